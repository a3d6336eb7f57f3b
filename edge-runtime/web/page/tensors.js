// Tensors as pictures: one cell for each integer, blue below zero, orange above, the channels of an image side by side.

const NEGATIVE = [47, 126, 214];
const POSITIVE = [240, 138, 36];
// Channels that a picture shows at most, and elements of a vector.
const MOST_TILES = 64;
const MOST_CELLS = 4096;

export class TensorPicture {
  #tensor;
  #canvas = document.createElement("canvas");
  #readout = document.createElement("output");
  #values = null;
  #cursor = null;
  #layout = null;

  constructor(tensor, name) {
    this.#tensor = tensor;
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", `${name}: ${shapeOf(tensor.shape)} integers; arrow keys read them one by one`);
    this.#canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.#canvas.addEventListener("pointerleave", () => this.#move(null));
    this.#canvas.addEventListener("blur", () => this.#move(null));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    this.element = document.createElement("div");
    this.element.className = "picture";
    this.element.append(this.#canvas, this.#readout);
  }

  // Shows these values, in this many pixels of width.
  show(values, available) {
    this.#values = Array.from(values);
    this.#arrange(available);
    this.#paint();
    this.#say();
  }

  // Where the cells lie: `columns` tiles in a row, a cell free between them.
  #arrange(available) {
    const [height, width, channels] = this.#tensor.shape;
    const isVector = height === 1 && width === 1;
    if (isVector) {
      const count = Math.min(channels, MOST_CELLS);
      const cell = count > 1024 ? 5 : count > 256 ? 8 : 13;
      const columns = Math.max(1, Math.min(count, Math.floor(available / cell), 64));
      this.#layout = { isVector, count, columns, cell, size: [columns, Math.ceil(count / columns)] };
      return;
    }
    const count = Math.min(channels, MOST_TILES);
    // Lines may be longer than images.
    const side = (count > 1 ? 58 : 132) * (width > 4 * height ? 3 : 1);
    const wanted = Math.max(1, Math.min(16, Math.round(side / Math.max(height, width))));
    const cell = Math.max(1, Math.min(wanted, Math.floor(available / (width + 1))));
    const rows = Math.ceil(count / Math.max(1, Math.floor(available / ((width + 1) * cell))));
    // Rows of the same length.
    const columns = Math.ceil(count / rows);
    this.#layout = { isVector, count, columns, cell, size: [columns * (width + 1) - 1, rows * (height + 1) - 1] };
  }

  #paint() {
    const { isVector, count, columns, cell, size } = this.#layout;
    const [height, width, channels] = this.#tensor.shape;
    const [across, down] = size;
    const image = new ImageData(across, down);
    const largest = this.#values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const paint = (x, y, value) => {
      const [red, green, blue] = value < 0 ? NEGATIVE : POSITIVE;
      // The square root lets small magnitudes be seen.
      const alpha = value === 0 ? 0 : 40 + 215 * Math.sqrt(Math.abs(value) / largest);
      image.data.set([red, green, blue, alpha], 4 * (y * across + x));
    };
    if (isVector) {
      for (let i = 0; i < count; i++) paint(i % columns, Math.floor(i / columns), this.#values[i]);
    } else {
      for (let channel = 0; channel < count; channel++) {
        const [left, top] = [(channel % columns) * (width + 1), Math.floor(channel / columns) * (height + 1)];
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) paint(left + x, top + y, this.#values[(y * width + x) * channels + channel]);
        }
      }
    }
    // Setting a size clears, and is only for another one.
    if (this.#canvas.width !== across || this.#canvas.height !== down) [this.#canvas.width, this.#canvas.height] = size;
    this.#canvas.style.width = `${across * cell}px`;
    this.#canvas.getContext("2d").putImageData(image, 0, 0);
  }

  #point(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const [across, down] = this.#layout.size;
    const x = Math.floor(((event.clientX - left) / width) * across);
    const y = Math.floor(((event.clientY - top) / height) * down);
    this.#move(this.#elementAt(x, y));
  }

  // The element of a cell, null between tiles.
  #elementAt(x, y) {
    const { isVector, count, columns } = this.#layout;
    const [height, width, channels] = this.#tensor.shape;
    if (isVector) {
      const index = y * columns + x;
      return index < count ? index : null;
    }
    const [column, row] = [x % (width + 1), y % (height + 1)];
    const channel = Math.floor(y / (height + 1)) * columns + Math.floor(x / (width + 1));
    if (column === width || row === height || channel >= count) return null;
    return (row * width + column) * channels + channel;
  }

  #key(event) {
    const [, width, channels] = this.#tensor.shape;
    const { isVector, columns } = this.#layout ?? {};
    const steps = isVector
      ? { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }
      : { ArrowLeft: -channels, ArrowRight: channels, ArrowUp: -width * channels, ArrowDown: width * channels };
    Object.assign(steps, { PageUp: -1, PageDown: 1 });
    const step = steps[event.key];
    if (step === undefined || !this.#values) return;
    event.preventDefault();
    const next = this.#cursor === null ? 0 : this.#cursor + step;
    if (next >= 0 && next < this.#values.length) this.#move(next);
  }

  #move(cursor) {
    this.#cursor = cursor;
    this.#say();
  }

  #say() {
    const { shape, exponent } = this.#tensor;
    const hidden = shape[2] - (this.#layout?.count ?? shape[2]);
    const rest = hidden > 0 ? ` ${hidden} more ${this.#layout.isVector ? "elements" : "channels"} are not drawn.` : "";
    if (this.#cursor === null) {
      this.#readout.textContent = summary(this.#values) + rest;
      return;
    }
    const channel = this.#cursor % shape[2];
    const position = Math.floor(this.#cursor / shape[2]);
    const where = this.#layout.isVector
      ? `element ${channel}`
      : `row ${Math.floor(position / shape[1])}, column ${position % shape[1]}, channel ${channel}`;
    this.#readout.textContent = `${where}: ${signed(this.#values[this.#cursor])} · 2${superscript(exponent)}`;
  }
}

function summary(values) {
  const [least, most] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const zeros = values.filter((value) => value === 0).length;
  return `${signed(least)} to ${signed(most)}, ${Math.round((100 * zeros) / values.length)} % zeros.`;
}

// Height × width × channels, or only the latter of a vector.
export function shapeOf([height, width, channels]) {
  return height === 1 && width === 1 ? `${channels}` : `${height}×${width}×${channels}`;
}

// With a true minus sign, and thousands apart.
export function signed(value) {
  return value.toLocaleString("en").replace("-", "−");
}

export function superscript(value) {
  return [...String(value)].map((character) => (character === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[character])).join("");
}
