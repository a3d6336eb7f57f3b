// The runtime's module for JavaScript: one instance for each model, which goes with all its memory when the model goes.

import { SENTENCES } from "./sentences.js";

let compiled;

// Compiles the module once: its address, or its bytes.
export async function load(module) {
  if (typeof module !== "string") {
    compiled = await WebAssembly.compile(module);
    return;
  }
  const response = await fetch(module);
  if (!response.ok) throw new Error(`${module} could not be loaded (${response.status})`);
  compiled = await WebAssembly.compile(await response.arrayBuffer());
}

// What a refusal says. The module gives the type of an error, the number of its sentence, and what is put into that: texts,
// numbers, refusals.
function sentence([type, number, ...parts]) {
  return SENTENCES[type][number].replace(/\{(\d)\}/g, (_, place) => {
    const part = parts[place];
    return Array.isArray(part) ? sentence(part) : part;
  });
}

export class Model {
  #exports;
  #session;

  // Checks a file, an ArrayBuffer or bytes; throws an Error with a sentence where it is not a model or does not fit.
  constructor(file) {
    const bytes = new Uint8Array(file);
    this.#exports = new WebAssembly.Instance(compiled).exports;
    const pointer = this.#exports.reserve(bytes.length);
    if (pointer === 0) throw new Error("the file is larger than this tab's memory");
    new Uint8Array(this.#exports.memory.buffer, pointer, bytes.length).set(bytes);
    this.#session = this.#exports.open(pointer, bytes.length);
    if (!this.#exports.is_ready(this.#session)) throw new Error(sentence(this.#said()));
    Object.assign(this, this.#said());
    for (const tensor of this.tensors) tensor.length = tensor.shape.reduce((product, side) => product * side);
    this.length = this.tensors[this.input].length;
    // Not always the last one: states may be kept behind it.
    this.result = this.operators.find(({ output }) => this.tensors[output].class === "output");
  }

  // The model's description; or the last refusal, where there was one.
  #said() {
    const { memory, text, text_length } = this.#exports;
    const bytes = new Uint8Array(memory.buffer, text(this.#session), text_length(this.#session));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  // The int8 input of the next run.
  get values() {
    return new Int8Array(this.#exports.memory.buffer, this.#exports.input(this.#session), this.length);
  }

  // Makes the input of raw values (pixels, readings), by the model's own scaling.
  quantize(raw) {
    new Int32Array(this.#exports.memory.buffer, this.#exports.raw(this.#session), this.length).set(raw);
    this.#exports.quantize(this.#session);
  }

  // Runs the model. What the operators wrote is there then; throws an Error with a sentence where the input is refused.
  run() {
    if (!this.#exports.run(this.#session)) throw new Error(sentence(this.#said()));
  }

  // What an operator of the graph wrote in the last run, as a view of the module's memory.
  written(operator) {
    const tensor = this.tensors[operator.output];
    const start = this.#exports.trace(this.#session) + operator.start;
    const { buffer } = this.#exports.memory;
    return tensor.type === "int8"
      ? new Int8Array(buffer, start, tensor.length)
      : new Int32Array(buffer, start, tensor.length);
  }

  // Everything that the operators wrote, one after another: for comparisons.
  trace() {
    const { output, start } = this.operators.at(-1);
    const { type, length } = this.tensors[output];
    const bytes = start + Math.ceil((type === "int8" ? length : 4 * length) / 4) * 4;
    return new Uint8Array(this.#exports.memory.buffer, this.#exports.trace(this.#session), bytes);
  }

  // A model that streams begins anew.
  reset() {
    this.#exports.reset(this.#session);
  }
}
