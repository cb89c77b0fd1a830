// Pictures are {data, width, height} with four bytes a pixel, like ImageData; the fourth is unused.
// Sizes change here as OpenCV changes them for the Python side, so that both judge the same pixels.

/** Resize by area mean if a side shrinks, bilinear otherwise: `resize` in facemask/images/crops.py. */
export function resize(image, width, height) {
  if (image.width === width && image.height === height) return image;
  const scaleX = image.width / width;
  const scaleY = image.height / height;
  const shrinks = width < image.width || height < image.height;
  // OpenCV's area mean becomes a blend of two pixels once one of the sides grows.
  const kind = !shrinks ? linear : scaleX >= 1 && scaleY >= 1 ? area : areaGrowing;
  return weigh(image, kind(image.width, width, scaleX), kind(image.height, height, scaleY));
}

/** Cut a rectangle; beyond the picture's edge its border pixels are repeated. */
export function cut(image, left, top, width, height) {
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const to = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = clamp(top + y, image.height) * image.width;
    for (let x = 0; x < width; x++) to[y * width + x] = from[row + clamp(left + x, image.width)];
  }
  return { data: new Uint8ClampedArray(to.buffer), width, height };
}

/** Red, green and blue of a picture, 0..255, in the order that TF.js wants. */
export function toFloats({ data, width, height }) {
  const floats = new Float32Array(width * height * 3);
  for (let from = 0, to = 0; to < floats.length; from += 4, to += 3) {
    floats[to] = data[from];
    floats[to + 1] = data[from + 1];
    floats[to + 2] = data[from + 2];
  }
  return floats;
}

function clamp(v, size) {
  return v < 0 ? 0 : v >= size ? size - 1 : v;
}

// For each new pixel along one side: the first old one it takes from and the weights from there on.
function linear(from, to, scale) {
  return Array.from({ length: to }, (_, k) => {
    const centre = (k + 0.5) * scale - 0.5;
    const first = Math.floor(centre);
    if (first < 0) return { first: 0, weights: [1] };
    if (first >= from - 1) return { first: from - 1, weights: [1] };
    return { first, weights: [1 - (centre - first), centre - first] };
  });
}

function area(from, to, scale) {
  return Array.from({ length: to }, (_, k) => {
    const start = k * scale;
    const end = Math.min(start + scale, from);
    const first = Math.floor(start + 1e-3);
    const last = Math.min(Math.ceil(end - 1e-3), from);
    const weights = [];
    for (let old = first; old < last; old++) {
      weights.push((Math.min(old + 1, end) - Math.max(old, start)) / (end - start));
    }
    return { first, weights };
  });
}

function areaGrowing(from, to, scale) {
  return Array.from({ length: to }, (_, k) => {
    const first = Math.min(Math.floor(k * scale), from - 1);
    const share = k + 1 - (first + 1) / scale;
    if (share <= 0 || first >= from - 1) return { first, weights: [1] };
    return { first, weights: [1 - (share - Math.floor(share)), share - Math.floor(share)] };
  });
}

function weigh({ data, width: oldWidth }, columns, rows) {
  const width = columns.length;
  const result = new Uint8ClampedArray(width * rows.length * 4);
  const line = new Float32Array(oldWidth * 3);
  for (let y = 0; y < rows.length; y++) {
    line.fill(0);
    rows[y].weights.forEach((weight, k) => {
      let from = (rows[y].first + k) * oldWidth * 4;
      for (let to = 0; to < line.length; to += 3, from += 4) {
        line[to] += weight * data[from];
        line[to + 1] += weight * data[from + 1];
        line[to + 2] += weight * data[from + 2];
      }
    });
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let k = 0, from = first * 3; k < weights.length; k++, from += 3) {
        red += weights[k] * line[from];
        green += weights[k] * line[from + 1];
        blue += weights[k] * line[from + 2];
      }
      const to = (y * width + x) * 4;
      result[to] = Math.floor(red + 0.5); // the array itself would round halves to even
      result[to + 1] = Math.floor(green + 0.5);
      result[to + 2] = Math.floor(blue + 0.5);
    }
  }
  return { data: result, width, height: rows.length };
}
