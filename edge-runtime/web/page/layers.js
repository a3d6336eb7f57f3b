// The layers: a card for the input and one for each operator, with what it wrote.

import { TensorPicture, shapeOf, signed, superscript } from "./tensors.js";

export class Layers {
  #section;
  #cards = [];

  constructor(section) {
    this.#section = section;
  }

  // Cards of another model.
  build(model) {
    const arrivals = model.operators.map((operator) => {
      const tensor = model.tensors[operator.output];
      return card(titleOf(operator), factsOf(operator), tensor, () => model.written(operator));
    });
    const input = model.tensors[model.input];
    this.#cards = [card("input", "as the model's scaling makes it", input, () => model.values), ...arrivals];
    this.#section.replaceChildren(...this.#cards.map(({ element }) => element));
  }

  // What the last run left.
  show() {
    const available = Math.max(120, this.#section.clientWidth - 40);
    for (const { picture, values } of this.#cards) picture.show(values(), available);
  }
}

function card(title, facts, tensor, values) {
  const element = document.createElement("article");
  element.className = "card layer";
  const heading = document.createElement("h2");
  heading.textContent = title;
  const shape = document.createElement("span");
  shape.className = "shape";
  shape.textContent = `${tensor.type} ${shapeOf(tensor.shape)} · 2${superscript(tensor.exponent)}`;
  heading.append(" ", shape);
  const details = document.createElement("p");
  details.className = "quiet";
  details.textContent = facts;
  const picture = new TensorPicture(tensor, title);
  element.append(heading, ...(facts ? [details] : []), picture.element);
  return { element, picture, values };
}

function titleOf({ kind, kernel }) {
  return kernel ? `${kind} ${kernel.join("×")}` : kind;
}

function factsOf(operator) {
  const facts = [];
  if (operator.weights === "ternary") {
    const { rows, columns, group } = operator;
    facts.push(`${signed(rows * columns)} trits, an exponent for ${group} of them`);
  }
  if (operator.weights === "int8") facts.push(`${signed(operator.rows * operator.columns)} int8 weights`);
  if (operator.macs > 0) facts.push(`${signed(operator.macs)} multiply-accumulates`);
  return facts.join("; ");
}
