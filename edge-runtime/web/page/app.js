// The page: one model at a time, its input, and what its layers make of it.

import { Model, load } from "./engine.js";
import { showFacts } from "./facts.js";
import { setImage, setNumbers, setPixels, setRandom, setZeros, takesImages } from "./inputs.js";
import { Layers } from "./layers.js";
import { Pad } from "./pad.js";
import { Result } from "./result.js";
import { shapeOf } from "./tensors.js";

// Larger files are no models for a browser's tab.
const MOST_BYTES = 1 << 28;
// The digit that stands on the pad until somebody draws.
const FIRST_EXAMPLE = 3;

const byId = (id) => document.getElementById(id);
const layers = new Layers(byId("layers"));
const result = new Result(byId("answer"), byId("bars"));
const pad = new Pad(byId("pad"), byId("hint"), () => schedule(drawn));
let model = null;
let isScheduled = false;
let hasInput = false;

// Runs at most once a frame, however many points a pen reports.
function schedule(input) {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    // A model without a pad may have come meanwhile.
    if (!byId("drawing").hidden) attempt("", input);
  });
}

// Sets the input and runs the model. What is refused is said, and nothing changes but that.
function attempt(name, input) {
  try {
    input();
    run();
    tell("");
  } catch (error) {
    refuse(name, error);
  }
}

function drawn() {
  const [height, width] = model.tensors[model.input].shape;
  hasInput = !pad.isEmpty;
  setPixels(model, pad.pixels(height, width));
}

function run() {
  const start = performance.now();
  model.run();
  const time = performance.now() - start;
  byId("timing").textContent = `${time < 10 ? time.toFixed(1) : Math.round(time)} ms in this tab`;
  layers.show();
  result.show(model, hasInput);
}

function tell(text) {
  byId("message").hidden = text === "";
  byId("message").textContent = text;
}

function refuse(name, error) {
  // A trap ends an instance for good; its message is the browser's.
  const why = error instanceof WebAssembly.RuntimeError ? `the module stopped (${error.message})` : error.message;
  tell(name === "" ? `${why}.` : `${name}: ${why}.`);
}

// Puts a model on the page. The one before stays where the file is refused.
function open(name, bytes) {
  let opened;
  try {
    opened = new Model(bytes);
  } catch (error) {
    refuse(name, error);
    return;
  }
  model = opened;
  tell("");
  const { shape } = model.tensors[model.input];
  const isImage = takesImages(model);
  byId("drawing").hidden = !isImage;
  byId("numbers").hidden = isImage;
  byId("reset").hidden = !model.tensors.some((tensor) => tensor.class === "persistent");
  byId("input-title").textContent = isImage ? "Draw" : "Input";
  document.title = `${model.name} – Trishift`;
  layers.build(model);
  showFacts(byId("facts"), model, name);
  if (isImage) {
    byId("examples").hidden = !Array.from("0123456789").every((digit) => model.labels.includes(digit));
    attempt("", drawn);
    return;
  }
  byId("numbers-note").textContent =
    `This model takes no drawing but ${shapeOf(shape)} numbers. Random and zeros are int8 as they are; a file holds ` +
    "whole numbers as sensors give them, which the model's own scaling makes int8.";
  hasInput = true;
  attempt("", () => setRandom(model));
}

// A file by its kind: an image and numbers are an input, anything else a model.
async function take(file) {
  if (file.size > MOST_BYTES) return tell(`${file.name}: it is larger than 256 MiB.`);
  try {
    if (file.type.startsWith("image/")) {
      if (!takesImages(model)) throw new Error("this model takes no images");
      pad.clear();
      // The empty pad is an input, too, and comes first.
      await new Promise(requestAnimationFrame);
      await setImage(model, file);
      hasInput = true;
      attempt(file.name, () => {});
    } else if (file.type.startsWith("text/") || /\.(csv|txt)$/i.test(file.name)) {
      const text = await file.text();
      hasInput = true;
      attempt(file.name, () => setNumbers(model, text));
    } else {
      open(file.name, await file.arrayBuffer());
    }
  } catch (error) {
    refuse(file.name, error);
  }
}

function listen() {
  byId("clear").addEventListener("click", () => pad.clear());
  byId("undo").addEventListener("click", () => pad.undo());
  for (let digit = 0; digit < 10; digit++) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = digit;
    button.setAttribute("aria-label", `Example of the digit ${digit}`);
    button.addEventListener("click", () => pad.show(digit));
    byId("examples").append(button);
  }
  byId("random").addEventListener("click", () => attempt("", () => setRandom(model)));
  byId("zeros").addEventListener("click", () => attempt("", () => setZeros(model)));
  byId("reset").addEventListener("click", () => attempt("", () => model.reset()));
  for (const id of ["choose", "choose-numbers"]) byId(id).addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await take(file);
    // The same file may be chosen again.
    event.target.value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) byId("drop").hidden = true;
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    byId("drop").hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) await take(file);
  });
  addEventListener("resize", () => model && layers.show());
}

async function start() {
  listen();
  try {
    const [, response] = await Promise.all([load("trishift.wasm"), fetch("model.tsm")]);
    if (!response.ok) throw new Error(`the model could not be loaded (${response.status})`);
    open(response.headers.get("x-model-name") ?? "model.tsm", await response.arrayBuffer());
  } catch (error) {
    return refuse("", error);
  }
  if (model && takesImages(model) && !byId("examples").hidden) pad.show(FIRST_EXAMPLE);
  // From then on the page works without its server.
  await navigator.serviceWorker?.register("service-worker.js").catch(() => {});
}

await start();
document.documentElement.dataset.ready = "yes";
