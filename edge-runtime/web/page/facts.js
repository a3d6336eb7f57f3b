// What a model file holds: metadata, graph, tensors, as tables.

import { shapeOf, signed, superscript } from "./tensors.js";

export function showFacts(section, model, name) {
  section.replaceChildren(
    group("Model", [["", "fact"]], overview(model, name), true),
    group(
      `Graph: ${count(model.operators.length, "operator")}`,
      [["#"], ["operator"], ["reads"], ["writes"], ["window"], ["weights"], ["bytes", "number"], ["work", "number"]],
      model.operators.map((operator, index) => [
        index,
        operator.kind,
        operator.inputs.map((tensor) => `t${tensor}`).join(", "),
        `t${operator.output}`,
        operator.kernel ? `${operator.kernel.join("×")} by ${operator.stride.join("×")}` : "",
        operator.weights ? `${operator.weights} ${operator.rows}×${operator.columns}` : "",
        operator.bytes ? signed(operator.bytes) : "",
        operator.macs ? signed(operator.macs) : "",
      ]),
    ),
    group(
      `Tensors: ${model.tensors.length}`,
      [["#"], ["type"], ["shape"], ["unit"], ["place"], ["offset", "number"]],
      model.tensors.map((tensor, index) => [
        `t${index}`,
        tensor.type,
        shapeOf(tensor.shape),
        `2${superscript(tensor.exponent)}`,
        tensor.class,
        tensor.class === "arena" || tensor.class === "persistent" ? signed(tensor.offset) : "",
      ]),
    ),
  );
}

function overview(model, name) {
  const weights = model.operators.reduce((sum, { rows = 0, columns = 0 }) => sum + rows * columns, 0);
  const bits = weights > 0 ? `; ${((8 * model.weight_bytes) / weights).toFixed(2)} bits a weight` : "";
  return [
    ["name", model.name],
    ["file", `${name}, ${signed(model.file_bytes)} bytes`],
    ["weights", `${signed(weights)} in ${signed(model.weight_bytes)} bytes${bits}`],
    ["memory", `${signed(model.arena_bytes)} bytes of arena a sample`],
    ["work", `${signed(model.macs)} multiply-accumulates a sample, kernels: ${model.kernels}`],
    ["labels", model.labels.join(", ")],
    ...model.properties,
  ].filter(([, value]) => value !== "");
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// A table to unfold. Columns are [title, class].
function group(title, columns, rows, isOpen = false) {
  const details = document.createElement("details");
  details.className = "card";
  details.open = isOpen;
  const summary = document.createElement("summary");
  summary.textContent = title;
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  const table = document.createElement("table");
  if (columns.length > 1) {
    const head = table.createTHead().insertRow();
    for (const [text, kind = ""] of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = kind;
      cell.textContent = text;
      head.append(cell);
    }
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, index) => {
      const isName = columns.length === 1 && index === 0;
      const cell = document.createElement(isName ? "th" : "td");
      if (isName) cell.scope = "row";
      cell.className = columns[index]?.[1] ?? "";
      cell.textContent = text;
      line.append(cell);
    });
  }
  scroll.append(table);
  details.append(summary, scroll);
  return details;
}
