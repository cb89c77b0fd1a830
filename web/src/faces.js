// Finds faces as facemask/faces.py does; that file numbers and explains the steps. Its numbers are
// read from settings.json, which the build writes from it.

import { cut, fit, resize, toFloats } from "./pixels.js";

/**
 * Find the faces in a picture.
 *
 * @param image {data, width, height}, four bytes a pixel
 * @param run from Float32Array, height, width to {boxes, scores} of all anchors, raw
 * @param settings what the build took from facemask/faces.py
 * @param mostPasses fewer than all save time and miss faces that are small in the picture
 * @returns [{x, y, w, h, score}], in pixels of the picture, best first
 */
export async function findFaces(image, run, settings, mostPasses = Infinity) {
  const { passes, always, maxEnlarge, minScore, tiny, tinyExtra } = settings;
  const longer = Math.max(image.width, image.height);
  const sides = passes
    .filter((side, k) => k < always || side <= longer * maxEnlarge)
    .slice(0, mostPasses);
  const small = fit(image, Math.min(longer, passes.at(-1)));
  const found = [];
  for (const [pass, side] of sides.entries()) {
    for (const box of await look(fit(small, side), run, settings)) found.push({ ...box, pass });
  }
  return dropNested(merge(found, sides.length, settings), settings)
    .map((face) => correct(face, image, settings))
    .filter(({ w, h }) => w > 0 && h > 0)
    .filter((face) => face.score >= minScore + (sizeOf(face) < tiny ? tinyExtra : 0));
}

/** The square that the classifier is shown of a face: `crops` in facemask/faces.py. */
export function cropFace(image, { x, y, w, h }, size, margin) {
  const side = Math.max(1, Math.floor(Math.max(w, h) * (1 + 2 * margin) + 0.5));
  const left = Math.floor(x + w / 2 - side / 2 + 0.5);
  const top = Math.floor(y + h / 2 - side / 2 + 0.5);
  return resize(cut(image, left, top, side, side), size, size);
}

/** Whether the picture is one face, cut out: `is_face_crop` in facemask/faces.py. */
export function isFaceCrop({ width, height }, faces, settings) {
  const { cropSide, cropAspect, cropFill, cropSmall, cropSure, cropRival } = settings;
  const shorter = Math.min(width, height);
  const longer = Math.max(width, height);
  if (longer > cropAspect * shorter) return false;
  const sure = faces.filter((face) => face.score >= cropSure).map(sizeOf);
  sure.sort((a, b) => b - a);
  if (sure.length > 1 && sure[1] >= cropRival * sure[0]) return false;
  if (longer <= cropSide) return sure.length === 0 || sure[0] >= cropSmall * shorter;
  return sure.length > 0 && sure[0] >= cropFill * shorter;
}

// Step 2 and 3: one pass. Boxes are in units of the picture's sides.
async function look(image, run, { canvas, pad, grids, floor }) {
  const grow = (side) => Math.ceil((side + 2 * pad) / canvas) * canvas;
  const width = grow(image.width);
  const height = grow(image.height);
  const left = Math.floor((width - image.width) / 2);
  const top = Math.floor((height - image.height) / 2);
  const shown = toFloats(cut(image, -left, -top, width, height), (v) => v / 127.5 - 1);
  const { boxes, scores } = await run(shown, height, width);
  const found = [];
  let anchor = 0;
  for (const [stride, each] of grids) {
    for (let row = 0.5; row < height / stride; row++) {
      for (let column = 0.5; column < width / stride; column++) {
        for (let k = 0; k < each; k++, anchor++) {
          const score = 1 / (1 + Math.exp(-scores[anchor]));
          if (score <= floor) continue;
          const [dx, dy, w, h] = boxes.subarray(anchor * 16, anchor * 16 + 4);
          found.push({
            x: (column * stride + dx - left - w / 2) / image.width,
            y: (row * stride + dy - top - h / 2) / image.height,
            w: w / image.width,
            h: h / image.height,
            score,
          });
        }
      }
    }
  }
  return found;
}

// Step 4: join the passes' boxes into faces. (JavaScript's sort keeps the order of ties.)
function merge(boxes, passes, { sameFace }) {
  let left = [...boxes].sort((a, b) => b.score - a.score);
  const faces = [];
  while (left.length) {
    const [first] = left;
    const same = left.map((box) => box === first || overlap(first, box).union > sameFace);
    const group = left.filter((_, k) => same[k]);
    left = left.filter((_, k) => !same[k]);
    const best = new Array(passes).fill(0);
    for (const { pass, score } of group) best[pass] = Math.max(best[pass], score);
    const total = group.reduce((sum, { score }) => sum + score, 0);
    const mean = (side) => group.reduce((sum, box) => sum + box[side] * box.score, 0) / total;
    const [one, two = 0] = best.sort((a, b) => b - a);
    faces.push({ x: mean("x"), y: mean("y"), w: mean("w"), h: mean("h"), score: (one + two) / 2 });
  }
  return faces.sort((a, b) => b.score - a.score);
}

// Step 5.
function dropNested(faces, { minScore, nested }) {
  const kept = [];
  for (const face of faces) {
    if (face.score < minScore) break;
    if (kept.every((other) => overlap(face, other).smaller <= nested)) kept.push(face);
  }
  return kept;
}

// Step 6.
function correct(face, { width, height }, { boxFit: [dx, dy, sx, sy] }) {
  const within = (v, end) => Math.min(Math.max(v, 0), end);
  const [x, y, w, h] = [face.x * width, face.y * height, face.w * width, face.h * height];
  const left = within(x + w * (0.5 + dx - sx / 2), width);
  const right = within(x + w * (0.5 + dx + sx / 2), width);
  const top = within(y + h * (0.5 + dy - sy / 2), height);
  const bottom = within(y + h * (0.5 + dy + sy / 2), height);
  return { x: left, y: top, w: right - left, h: bottom - top, score: face.score };
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
