// From strokes to pixels, as the images were made that networks for digits learn from: the drawing is brought to one size,
// drawn with a line of one width, and centred. Points are in units of the pad, 0 to 1.

// How images of a size are made. MNIST: 20 pixels in a field of 28, the centre of mass in the middle. The 8×8 digits: the whole
// field, the bounding box in the middle.
export function manner(height, width) {
  const side = Math.min(height, width);
  if (side < 12) return { box: side - 1, radius: 0.08 * side, byMass: false };
  return { box: (side * 20) / 28, radius: (side * 1.25) / 28, byMass: true };
}

// Coverage of each pixel, 0 to 1, [height, width].
export function rasterise(strokes, height, width) {
  const { box, radius, byMass } = manner(height, width);
  const points = strokes.flat();
  const pixels = new Float32Array(height * width);
  if (points.length === 0) return pixels;
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A dot stays a dot.
  const scale = (box - 2 * radius) / Math.max(right - left, bottom - top, 0.12);
  const draw = (dx, dy) => {
    const place = ({ x, y }) => ({
      x: (x - (left + right) / 2) * scale + width / 2 + dx,
      y: (y - (top + bottom) / 2) * scale + height / 2 + dy,
    });
    pixels.fill(0);
    for (const stroke of strokes) {
      const placed = stroke.map(place);
      placed.forEach((point, index) => cover(pixels, height, width, placed[Math.max(index - 1, 0)], point, radius));
    }
  };
  draw(0, 0);
  if (byMass) {
    let [mass, x, y] = [0, 0, 0];
    pixels.forEach((value, index) => {
      mass += value;
      x += value * ((index % width) + 0.5);
      y += value * (Math.floor(index / width) + 0.5);
    });
    if (mass > 0) draw(width / 2 - x / mass, height / 2 - y / mass);
  }
  return pixels;
}

// A line with round ends; its edge is half a pixel soft on either side.
function cover(pixels, height, width, from, to, radius) {
  const reach = radius + 1;
  const rows = range(from.y, to.y, reach, height);
  const columns = range(from.x, to.x, reach, width);
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  for (let row = rows[0]; row < rows[1]; row++) {
    for (let column = columns[0]; column < columns[1]; column++) {
      const [x, y] = [column + 0.5 - from.x, row + 0.5 - from.y];
      const along = length > 0 ? Math.min(1, Math.max(0, (x * dx + y * dy) / length)) : 0;
      const distance = Math.hypot(x - along * dx, y - along * dy);
      const value = Math.min(1, Math.max(0, radius + 0.5 - distance));
      const index = row * width + column;
      pixels[index] = Math.max(pixels[index], value);
    }
  }
}

function range(a, b, reach, end) {
  return [Math.max(0, Math.floor(Math.min(a, b) - reach)), Math.min(end, Math.ceil(Math.max(a, b) + reach))];
}
