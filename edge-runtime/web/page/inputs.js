// What goes into a model: pixels for one that takes images, numbers for any other.

// True where a drawing is an input: one channel or three, and room for strokes.
export function takesImages(model) {
  const [height, width, channels] = model.tensors[model.input].shape;
  const isSound = model.properties.some(([key]) => key.startsWith("audio-"));
  return !isSound && height >= 6 && width >= 6 && (channels === 1 || channels === 3);
}

// The raw value of a white pixel: the largest of those in use that the model's scaling does not yet cut off.
function whiteOf({ scale }) {
  const [mantissa, exponent, shift] = scale;
  const most = mantissa * 2 ** exponent + 127.5 * 2 ** -shift;
  return [255, 16, 1].find((white) => white <= most) ?? 1;
}

// Gives the model pixels, [height, width], 0 to 1; grey where it takes colours.
export function setPixels(model, pixels) {
  const channels = model.tensors[model.input].shape[2];
  const white = whiteOf(model);
  const raw = new Int32Array(model.length);
  pixels.forEach((value, index) => raw.fill(Math.round(value * white), index * channels, (index + 1) * channels));
  model.quantize(raw);
}

// Gives the model an image file, scaled to fit.
export async function setImage(model, file) {
  const [height, width, channels] = model.tensors[model.input].shape;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  } catch {
    throw new Error("the browser cannot read it as an image");
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const white = whiteOf(model);
  const raw = new Int32Array(model.length);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    const values = channels === 3 ? [red, green, blue] : [0.299 * red + 0.587 * green + 0.114 * blue];
    values.forEach((value, channel) => (raw[i * channels + channel] = Math.round((value / 255) * white)));
  }
  model.quantize(raw);
}

// Rows of an embedding that reads the input: what it may name.
function vocabularyOf(model) {
  const embedding = model.operators.find(({ kind, inputs }) => kind === "embedding" && inputs[0] === model.input);
  return embedding?.rows ?? 256;
}

// Gives the model random int8, all of them as likely.
export function setRandom(model) {
  const count = vocabularyOf(model);
  model.values.forEach((_, index, values) => (values[index] = Math.floor(Math.random() * count) - 128));
}

export function setZeros(model) {
  model.values.fill(0);
}

// Gives the model the whole numbers of a text, as raw values.
export function setNumbers(model, text) {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const wrong = words.find((word) => !/^[+-]?\d{1,9}$/.test(word));
  if (wrong !== undefined) throw new Error(`“${wrong.slice(0, 20)}” is not a whole number below 10⁹`);
  if (words.length !== model.length) throw new Error(`it holds ${words.length} numbers where the input takes ${model.length}`);
  model.quantize(words.map(Number));
}
