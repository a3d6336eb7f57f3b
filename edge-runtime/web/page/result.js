// The output: the label of the largest element, and a bar for each.

import { signed, superscript } from "./tensors.js";

// Bars at most; of more outputs the largest are shown.
const MOST_BARS = 12;

export class Result {
  #answer;
  #bars;

  constructor(answer, bars) {
    this.#answer = answer;
    this.#bars = bars;
  }

  // What the model says to the input, or nothing to nothing.
  show(model, hasInput) {
    const operator = model.result;
    const tensor = model.tensors[operator.output];
    const values = Array.from(model.written(operator));
    const label = (index) => model.labels[index] ?? String(index);
    // A class number is no logit.
    if (operator.kind === "argmax") {
      this.#answer.textContent = hasInput ? values.map((value) => `class ${value}`).join(", ") : "";
      this.#bars.replaceChildren();
      return;
    }
    const order = values.map((_, index) => index);
    const best = order.reduce((a, b) => (values[b] > values[a] ? b : a));
    this.#answer.textContent = hasInput && values.length > 1 ? label(best) : "";
    if (values.length > MOST_BARS) order.sort((a, b) => values[b] - values[a] || a - b);
    const shown = order.slice(0, MOST_BARS);
    const least = Math.min(0, ...shown.map((index) => values[index]));
    const most = Math.max(0, ...shown.map((index) => values[index]));
    const span = Math.max(1, most - least);
    this.#bars.replaceChildren(...shown.map((index) => {
      const value = values[index];
      const item = document.createElement("li");
      item.className = hasInput && index === best ? "best" : "";
      item.title = `${label(index)}: ${signed(value)} · 2${superscript(tensor.exponent)} = ${value * 2 ** tensor.exponent}`;
      const name = document.createElement("span");
      name.className = "name";
      name.textContent = label(index);
      const track = document.createElement("span");
      track.className = "track";
      const bar = document.createElement("span");
      bar.className = value < 0 ? "bar negative" : "bar";
      bar.style.left = `${(100 * (Math.min(0, value) - least)) / span}%`;
      bar.style.width = `${(100 * Math.abs(value)) / span}%`;
      track.append(bar);
      const number = document.createElement("span");
      number.className = "number";
      number.textContent = signed(value);
      item.append(name, track, number);
      return item;
    }));
  }
}
