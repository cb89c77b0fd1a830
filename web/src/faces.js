// Finds faces as facemask/photos/finder.py does; that file numbers and explains the steps. Its
// numbers are read from settings.json, which the build writes from it.

import { cut, resize, toFloats } from "./pixels.js";

/**
 * Find the faces in a picture.
 *
 * @param image {data, width, height}, four bytes a pixel
 * @param run from Float32Array, height, width to [{stride, scores, boxes}], finest first, raw
 * @param settings what the build took from facemask/photos/finder.py
 * @param again whether a large picture is looked at twice
 * @returns [{x, y, w, h, score}], in pixels of the picture, best first
 */
export async function findFaces(image, run, settings, again) {
  const { side, enlarge, large, pixels } = settings;
  const longer = Math.max(image.width, image.height);
  const first = await look(image, Math.min(side / longer, enlarge), run, settings);
  if (!again || longer < large * side) return first;
  const scale = Math.min(1, Math.sqrt(pixels / (image.width * image.height)));
  return join(first, await look(image, scale, run, settings), longer, settings);
}

async function look(image, scale, run, settings) {
  const { shown, scaleX, scaleY } = canvas(image, scale, settings);
  const levels = await run(toFloats(shown), shown.height, shown.width);
  const within = (v, end) => Math.min(Math.max(v, 0), end);
  return suppress(decode(levels, shown.width, settings), settings)
    .map(({ x, y, w, h, score }) => {
      const left = within(x / scaleX, image.width);
      const top = within(y / scaleY, image.height);
      const right = within((x + w) / scaleX, image.width);
      const bottom = within((y + h) / scaleY, image.height);
      return { x: left, y: top, w: right - left, h: bottom - top, score };
    })
    .filter(({ w, h }) => w > 0 && h > 0);
}

/** The square that the classifier is shown of a face: `crop_faces` in facemask/images/crops.py. */
export function cropFace(image, { x, y, w, h }, size, margin) {
  const side = Math.max(1, Math.floor(Math.max(w, h) * (1 + 2 * margin) + 0.5));
  const left = Math.floor(x + w / 2 - side / 2 + 0.5);
  const top = Math.floor(y + h / 2 - side / 2 + 0.5);
  return resize(cut(image, left, top, side, side), size, size);
}

/** Whether the picture is one face, cut out: `is_face_crop` in facemask/photos/finder.py. */
export async function isFaceCrop(image, faces, run, settings) {
  const { width, height } = image;
  const { cropFaint, cropSide, cropAspect, cropFill, cropSmall, cropSure, cropRival } = settings;
  const shorter = Math.min(width, height);
  const longer = Math.max(width, height);
  if (longer > cropAspect * shorter) return false;
  const sure = faces.filter((face) => face.score >= cropSure).map(sizeOf);
  sure.sort((a, b) => b - a);
  if (sure.length > 1 && sure[1] >= cropRival * sure[0]) return false;
  if (longer <= cropSide) {
    const faint = { ...settings, threshold: cropFaint };
    if (!faces.length) return (await findFaces(image, run, faint)).length > 0;
    return sure.length === 0 || sure[0] >= cropSmall * shorter;
  }
  return sure.length > 0 && sure[0] >= cropFill * shorter;
}

// Step 1.
function canvas(image, scale, { multiple }) {
  const scaled = (s) => Math.max(1, Math.floor(s * scale + 0.5));
  const small = resize(image, scaled(image.width), scaled(image.height));
  const grow = (s) => Math.ceil(s / multiple) * multiple;
  return {
    shown: cut(small, 0, 0, grow(small.width), grow(small.height)),
    scaleX: small.width / image.width,
    scaleY: small.height / image.height,
  };
}

// Steps 2 and 3. (JavaScript's sort keeps the order of ties.)
function decode(levels, width, { threshold, small, smallExtra }) {
  const least = Math.log(threshold / (1 - threshold));
  const found = [];
  for (const { stride, scores, boxes } of levels) {
    const columns = width / stride;
    scores.forEach((logit, cell) => {
      if (logit < least) return;
      const [dx, dy, logW, logH] = boxes.subarray(4 * cell, 4 * cell + 4);
      const length = (log) => Math.exp(Math.min(Math.max(log, -10), 10)) * stride;
      const [w, h] = [length(logW), length(logH)];
      const x = ((cell % columns) + dx) * stride - w / 2;
      const y = (Math.floor(cell / columns) + dy) * stride - h / 2;
      const score = 1 / (1 + Math.exp(-logit));
      const needed = Math.sqrt(w * h) < small ? threshold + smallExtra : threshold;
      if (score >= needed) found.push({ x, y, w, h, score });
    });
  }
  return found.sort((a, b) => b.score - a.score);
}

// Step 4.
function suppress(boxes, { same, nested }) {
  const kept = [];
  for (const box of boxes) {
    if (kept.every((other) => differ(other, box, same, nested))) kept.push(box);
  }
  return kept;
}

// Step 6.
function join(first, second, longer, { side, second: least, secondSize, same, nested }) {
  const added = second.filter(
    (box) =>
      box.score >= least &&
      (sizeOf(box) * side) / longer < secondSize &&
      first.every((other) => differ(other, box, same, nested)),
  );
  return [...first, ...added].sort((a, b) => b.score - a.score);
}

function differ(one, other, same, nested) {
  const { union, smaller } = overlap(one, other);
  return union <= same && smaller <= nested;
}

function overlap(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  const both = Math.max(w, 0) * Math.max(h, 0);
  const [one, two] = [a.w * a.h, b.w * b.h];
  return { union: both / (one + two - both), smaller: both / Math.min(one, two) };
}

function sizeOf({ w, h }) {
  return Math.sqrt(w * h);
}
