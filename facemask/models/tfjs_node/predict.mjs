// Run a TF.js graph model on pictures: node predict.mjs MODEL_FOLDER IMAGES SIZE OUTPUT
//
// IMAGES holds uint8 RGB pictures of SIZE x SIZE, one after the other; OUTPUT receives the
// probabilities as little-endian float32, a row per picture.

import fs from "node:fs";
import path from "node:path";
import "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

const BATCH = 32;

const [folder, imagesFile, sizeText, outputFile] = process.argv.slice(2);
const size = Number(sizeText);

// TF.js can fetch a model only by http, so its files are read from disk here.
const fromDisk = {
  load: () => {
    const model = JSON.parse(fs.readFileSync(path.join(folder, "model.json"), "utf8"));
    return tf.io.getModelArtifactsForJSON(model, async (manifest) => {
      const shards = manifest
        .flatMap((group) => group.paths)
        .map((name) => fs.readFileSync(path.join(folder, name)));
      const bytes = new Uint8Array(Buffer.concat(shards));
      return [manifest.flatMap((group) => group.weights), bytes.buffer];
    });
  },
};

if (!(await tf.setBackend("wasm"))) throw new Error("this Node.js cannot run WebAssembly");
const model = await loadGraphModel(fromDisk);

const images = fs.readFileSync(imagesFile);
const bytesEach = size * size * 3;
const output = fs.openSync(outputFile, "w");
for (let start = 0; start < images.length; start += BATCH * bytesEach) {
  const pixels = images.subarray(start, start + BATCH * bytesEach);
  const probabilities = tf.tidy(() =>
    model
      .predict(
        tf.tensor4d(Float32Array.from(pixels), [pixels.length / bytesEach, size, size, 3]),
      )
      .dataSync(),
  );
  fs.writeSync(output, probabilities);
}
fs.closeSync(output);
