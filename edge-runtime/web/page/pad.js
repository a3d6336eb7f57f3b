// The drawing pad: strokes by mouse, pen or finger, and examples for those who draw with neither.

import { rasterise } from "./strokes.js";

// One way to write each digit, as points of a field of 10 by 10.
const EXAMPLES = [
  ["5 1 3.2 1.8 2.4 4 2.4 6.4 3.4 8.6 5 9.2 6.7 8.5 7.6 6.3 7.6 3.9 6.7 1.8 5 1"],
  ["3.6 2.8 5.4 1 5.4 9"],
  ["2.6 3 3.2 1.6 4.8 1 6.6 1.5 7.2 3 6.6 4.6 4.8 6.4 2.5 9 7.7 9"],
  ["2.6 1.8 4.6 1 6.6 1.6 7 3 6 4.4 4.4 4.8 6.3 5.2 7.4 6.6 6.8 8.4 4.8 9.2 2.6 8.4"],
  ["3 1 2.4 5.4 7.6 5.4", "6.6 1.2 6.4 9.2"],
  ["7 1 3.2 1 2.9 4.8 4.8 4.2 6.8 5 7.4 6.8 6.6 8.6 4.6 9.2 2.6 8.4"],
  ["6.4 1 4.2 2.6 2.9 5 2.6 7.2 3.6 8.8 5.4 9.2 7 8.2 7.2 6.4 6 5.2 4.4 5.2 2.9 6.6"],
  ["2.4 1.2 7.6 1.2 5.8 4.6 4.4 9"],
  ["6.6 2 5 1 3.4 1.8 3.4 3.4 5 4.8 6.8 6.4 6.8 8.2 5 9.2 3.2 8.2 3.2 6.4 5 4.8 6.6 3.4 6.6 2"],
  ["7 3.4 5.6 4.8 3.8 4.6 2.9 3 3.8 1.4 5.6 1 7 2.2 7.1 4 6.6 6.6 5.6 9.2"],
];

function example(digit) {
  return EXAMPLES[digit].map((stroke) => {
    const numbers = stroke.split(" ").map(Number);
    const points = [];
    for (let i = 0; i < numbers.length; i += 2) points.push({ x: numbers[i] / 10, y: numbers[i + 1] / 10 });
    return smooth(points);
  });
}

// Through the same points, without corners (Catmull–Rom).
function smooth(points) {
  const at = (index) => points[Math.min(points.length - 1, Math.max(0, index))];
  const out = [points[0]];
  for (let i = 0; i + 1 < points.length; i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (let t = 0.25; t <= 1; t += 0.25) {
      const along = (p, q, r, s) =>
        q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
      out.push({ x: along(a.x, b.x, c.x, d.x), y: along(a.y, b.y, c.y, d.y) });
    }
  }
  return out;
}

export class Pad {
  #canvas;
  #hint;
  #changed;
  #strokes = [];
  #current = null;
  #isExample = false;

  // `changed` is called after every point.
  constructor(canvas, hint, changed) {
    this.#canvas = canvas;
    this.#hint = hint;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.#current = null));
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (/^[0-9]$/.test(event.key)) this.show(Number(event.key));
      else if (event.key === "Backspace") this.undo();
      else if (event.key === "Delete" || event.key === "Escape") this.clear();
      else return;
      event.preventDefault();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  get isEmpty() {
    return this.#strokes.length === 0;
  }

  clear() {
    this.#set([], false);
  }

  undo() {
    this.#set(this.#strokes.slice(0, -1), this.#isExample);
  }

  // An example; the first stroke of one's own takes its place.
  show(digit) {
    this.#set(example(digit), true);
  }

  // The pixels of an image of this size, 0 to 1.
  pixels(height, width) {
    return rasterise(this.#strokes, height, width);
  }

  #set(strokes, isExample) {
    this.#strokes = strokes;
    this.#current = null;
    this.#isExample = isExample;
    this.#update();
  }

  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#canvas.setPointerCapture(event.pointerId);
    if (this.#isExample) this.#strokes = [];
    this.#isExample = false;
    this.#current = { id: event.pointerId, stroke: [this.#place(event)] };
    this.#strokes.push(this.#current.stroke);
    this.#update();
  }

  #go(event) {
    if (this.#current?.id !== event.pointerId) return;
    // Pens and mice report more points than there are frames.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) this.#current.stroke.push(this.#place(each));
    this.#update();
  }

  #place(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }

  #update() {
    this.#paint();
    this.#changed();
  }

  #paint() {
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = getComputedStyle(this.#canvas).color;
    context.lineWidth = width * 0.065;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.beginPath();
      context.moveTo(stroke[0].x * width, stroke[0].y * height);
      for (const point of stroke) context.lineTo(point.x * width, point.y * height);
      context.stroke();
    }
    this.#hint.hidden = this.#strokes.length > 0;
  }
}
