// The two networks, and the backends of TF.js that can run them.

import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

import { cropFace, findFaces, isFaceCrop } from "./faces.js";
import { resize, toFloats } from "./pixels.js";

// Beside this script lie the files of its own version; see web/src/sw.js.
const beside = (path) => new URL(path, import.meta.url).href;

// Each backend is fetched when it is first chosen.
const BACKENDS = {
  wasm: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    setWasmPaths(beside("./"));
  },
  webgl: () => import("@tensorflow/tfjs-backend-webgl"),
  webgpu: () => import("@tensorflow/tfjs-backend-webgpu"),
};

/** The backends that this browser offers, as far as can be told without trying. */
export function backendsHere() {
  const canvas = document.createElement("canvas");
  const offered = ["wasm"];
  if (canvas.getContext("webgl2") ?? canvas.getContext("webgl")) offered.push("webgl");
  if (navigator.gpu) offered.push("webgpu");
  return offered;
}

/** Have TF.js run on a backend; throws if this browser cannot. */
export async function start(backend) {
  await BACKENDS[backend]();
  if (!(await tf.setBackend(backend))) throw new Error(`${backend} cannot run in this browser`);
  await tf.ready();
}

/**
 * Load both networks for a backend.
 *
 * @returns {labels, judge, dispose}; throws if the browser cannot run the backend
 */
export async function load(backend) {
  await start(backend);
  const json = async (path) => (await fetch(path)).json();
  const [settings, { labels, input, sure }, finder, classifier] = await Promise.all([
    json(beside("./finder/settings.json")),
    json(beside("./model/labels.json")),
    loadGraphModel(beside("./finder/model.json")),
    loadGraphModel(beside("./model/model.json")),
  ]);

  // The converter's names of the outputs say nothing, so the maps are told apart by their shapes.
  async function runFinder(pixels, height, width) {
    const names = Object.values(finder.modelSignature.outputs).map(({ name }) => name);
    const results = tf.tidy(() =>
      finder.execute(tf.tensor4d(pixels, [1, height, width, 3]), names),
    );
    const values = await Promise.all(results.map((tensor) => tensor.data()));
    const maps = results.map(({ shape: [, rows, , channels] }, k) => {
      return { stride: height / rows, channels, values: values[k] };
    });
    tf.dispose(results);
    const of = (stride, channels) =>
      maps.find((map) => map.stride === stride && map.channels === channels).values;
    return settings.strides.map((stride) => {
      return { stride, scores: of(stride, 1), boxes: of(stride, 4) };
    });
  }

  async function classify(pictures) {
    // One at a time: another number of faces would have WebGL compile its programs anew.
    const results = pictures.map((picture) =>
      tf.tidy(() =>
        classifier.predict(tf.tensor4d(toFloats(picture), [1, input.size, input.size, 3])),
      ),
    );
    const answers = await Promise.all(results.map((tensor) => tensor.data()));
    tf.dispose(results);
    return answers.map((values) => {
      const probabilities = Array.from(values);
      const best = probabilities.indexOf(Math.max(...probabilities));
      const probability = probabilities[best];
      return { label: labels[best], probability, sure: probability >= sure, probabilities };
    });
  }

  /**
   * Find and classify the faces of a picture: `judge` in facemask/photos/predict.py.
   *
   * @param again whether to look twice at a large picture; it takes four times as long
   * @returns {judged: "faces" | "whole picture" | "no face", faces: [{x, y, w, h, score, label,
   *   probability, sure, probabilities}], findTime, classifyTime in ms}; of a whole picture, the one
   *   face is all of it, and where there is no face there is none
   */
  async function judge(image, again) {
    const start = performance.now();
    let faces = await findFaces(image, runFinder, settings, again);
    const found = performance.now();
    const whole = await isFaceCrop(image, faces, runFinder, settings);
    if (whole) faces = [{ x: 0, y: 0, w: image.width, h: image.height, score: 1 }];
    const crops = faces.map((face) =>
      whole
        ? resize(image, input.size, input.size)
        : cropFace(image, face, input.size, settings.margin),
    );
    const answers = await classify(crops);
    return {
      judged: whole ? "whole picture" : faces.length ? "faces" : "no face",
      faces: faces.map((face, k) => ({ ...face, ...answers[k] })),
      findTime: found - start,
      classifyTime: performance.now() - found,
    };
  }

  return {
    judge,
    dispose() {
      finder.dispose();
      classifier.dispose();
    },
  };
}
