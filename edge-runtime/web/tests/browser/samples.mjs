// Images for the comparison with this machine: raw bytes, 784 a sample.

import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

const SIDE = 28;
// Bytes before the pixels of an IDX file of images.
const IDX_HEADER = 16;

// The first images of MNIST's test set, in its IDX file.
export async function mnist(path, count) {
  const file = await readFile(path);
  if (file.readUInt32BE(0) !== 0x803 || file.readUInt32BE(8) !== SIDE || file.readUInt32BE(4) < count) {
    throw new Error(`${path} does not hold ${count} images of 28 by 28`);
  }
  return file.subarray(IDX_HEADER, IDX_HEADER + count * SIDE * SIDE);
}

// The first of the digits that the trainer ships with, 8×8 each, brought to the size of MNIST's; then as many images of noise
// as there are digits, whose sums are larger than any digit's.
export async function builtin(path, count) {
  const rows = gunzipSync(await readFile(path)).toString().trim().split("\n");
  const numbers = rows.map((row) => row.split(",").map(Number)).filter((row) => row.every(Number.isInteger));
  const samples = Buffer.alloc(count * SIDE * SIDE);
  for (let sample = 0; sample < count; sample++) {
    const image = samples.subarray(sample * SIDE * SIDE, (sample + 1) * SIDE * SIDE);
    if (sample < count / 2) enlarge(numbers[sample], image);
    else image.forEach((_, index) => (image[index] = noise(sample * image.length + index)));
  }
  return samples;
}

// Each of 20 by 20 pixels in the middle is a weighted mean of four.
function enlarge(small, image) {
  const at = (row, column) => small[8 * Math.min(7, Math.max(0, row)) + Math.min(7, Math.max(0, column))];
  for (let y = 0; y < 20; y++) {
    for (let x = 0; x < 20; x++) {
      const [row, column] = [(y + 0.5) * 0.4 - 0.5, (x + 0.5) * 0.4 - 0.5];
      const [top, left] = [Math.floor(row), Math.floor(column)];
      const [down, right] = [row - top, column - left];
      const value =
        (1 - down) * ((1 - right) * at(top, left) + right * at(top, left + 1)) +
        down * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1));
      image[(y + 4) * SIDE + x + 4] = Math.round((value * 255) / 16);
    }
  }
}

// A byte that looks random, the same for the same number.
function noise(number) {
  let bits = Math.imul(number + 1, 0x9e3779b1);
  bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
  return (bits ^ (bits >>> 13)) & 255;
}
