// Measures the classifier in a browser; facemask/benchmarks/browser.py calls what stands on `window`.

import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

import { backendsHere, start } from "../src/models.js";

const BATCH = 32;
const WARM_UP = 10;

const { input } = await (await fetch("./model/labels.json")).json();
const shape = [input.size, input.size, 3];
const each = shape.reduce((a, b) => a * b);
const pixels = new Uint8Array(await (await fetch("./images.bin")).arrayBuffer());
let model;

/** Load the model for a backend; the reason, if it cannot run here. */
window.use = async (backend) => {
  try {
    await start(backend);
    model?.dispose();
    model = await loadGraphModel("./model/model.json");
    return "";
  } catch (error) {
    return error.message;
  }
};

async function run(bytes) {
  const result = tf.tidy(() =>
    model.predict(tf.tensor4d(Float32Array.from(bytes), [bytes.length / each, ...shape])),
  );
  const values = await result.data();
  result.dispose();
  return values;
}

/** The probabilities of all pictures. */
window.predict = async () => {
  const rows = [];
  for (let at = 0; at < pixels.length; at += BATCH * each) {
    rows.push(...(await run(pixels.subarray(at, at + BATCH * each))));
  }
  return JSON.stringify(rows);
};

/** Milliseconds of each answer about one picture, from its pixels to its probabilities. */
window.time = async (seconds) => {
  const one = (k) => run(pixels.subarray((k * each) % pixels.length).subarray(0, each));
  for (let k = 0; k < WARM_UP; k++) await one(k);
  const times = [];
  const end = performance.now() + 1000 * seconds;
  for (let k = 0; performance.now() < end; k++) {
    const before = performance.now();
    await one(k);
    times.push(performance.now() - before);
  }
  return JSON.stringify(times);
};

document.querySelector("#backend").replaceChildren(...backendsHere().map((b) => new Option(b, b)));
document.querySelector("#stage").ariaBusy = "false";
