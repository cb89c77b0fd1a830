// Run a TF.js graph model on pictures: node predict.mjs MODEL_FOLDER IMAGES HEIGHT WIDTH OUTPUT
//
// IMAGES holds uint8 RGB pictures of one size, one after the other; OUTPUT receives for each what
// the model gives, all outputs in the order of their names, as little-endian float32. Their shapes
// are printed.

import fs from "node:fs";
import path from "node:path";
import "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

const BATCH = 32;

const [folder, imagesFile, heightText, widthText, outputFile] = process.argv.slice(2);
const [height, width] = [Number(heightText), Number(widthText)];

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
const outputs = model.modelSignature.outputs;
const names = Object.keys(outputs)
  .sort()
  .map((key) => outputs[key].name);
const batch = names.length === 1 ? BATCH : 1; // several outputs are written picture by picture
const bytesEach = height * width * 3;
const output = fs.openSync(outputFile, "w");
let shapes = []; // of the last batch's outputs
for (let start = 0; start < images.length; start += batch * bytesEach) {
  const pixels = images.subarray(start, start + batch * bytesEach);
  const shape = [pixels.length / bytesEach, height, width, 3];
  const results = tf.tidy(() => {
    const found = [model.execute(tf.tensor4d(Float32Array.from(pixels), shape), names)].flat();
    shapes = found.map((tensor) => tensor.shape);
    return found.map((tensor) => tensor.dataSync());
  });
  for (const values of results) fs.writeSync(output, values);
}
fs.closeSync(output);
console.log(JSON.stringify(shapes));
