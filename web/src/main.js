// The page: takes pictures from a file, a drop, the clipboard or the webcam, and shows the answers.

import { backendsHere, load } from "./models.js";

const NAMES = { wasm: "processor (WASM)", webgl: "graphics (WebGL)", webgpu: "graphics (WebGPU)" };
const WORDS = {
  with_mask: "✓ with mask",
  without_mask: "✗ without mask",
  incorrect_mask: "! mask worn wrong",
  unsure: "? unsure",
};
const MOST_PIXELS = 4096 * 4096; // more than phones' canvases hold
const MOST_SIDE = 16384; // more than any browser's canvas takes
const EXAMPLE = new URL("./example.webp", import.meta.url);
const QUIET = 3000; // ms between announcements while the webcam runs

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);
const context = page.picture.getContext("2d", { willReadFrequently: true });
let models; // for the chosen backend
let working = Promise.resolve(); // one thing is done at a time
let stream; // of the webcam, while it runs
let asking = false; // for the webcam
const video = document.createElement("video"); // what it sees
video.muted = video.playsInline = true;
let lastPhoto; // its pixels, judged again when the backend changes

function say(text) {
  if (page.status.textContent !== text) page.status.textContent = text;
}

/** Do one thing after the other; a failure is told and does not stop the next. */
function inTurn(task, trouble) {
  page.stage.ariaBusy = "true";
  const mine = working.then(task).catch((error) => say(`${trouble}: ${error.message}`));
  working = mine;
  return mine.then(() => {
    if (working === mine) page.stage.ariaBusy = "false";
  });
}

async function useBackend(name) {
  say("Loading the networks …");
  for (const control of [page.choose, page.webcam, page.example]) control.disabled = true;
  models?.dispose();
  models = undefined;
  models = await load(name);
  for (const control of [page.choose, page.webcam, page.example]) control.disabled = false;
  say("Ready.");
}

/** Draw something onto the canvas as large as it is and give its pixels. */
function pixelsOf(source, width, height) {
  const shrink = Math.min(
    1,
    Math.sqrt(MOST_PIXELS / (width * height)),
    MOST_SIDE / Math.max(width, height),
  );
  page.picture.width = Math.max(1, Math.floor(width * shrink));
  page.picture.height = Math.max(1, Math.floor(height * shrink));
  context.fillStyle = "white"; // what shows through a transparent picture
  context.fillRect(0, 0, page.picture.width, page.picture.height);
  context.drawImage(source, 0, 0, page.picture.width, page.picture.height);
  page.stage.hidden = false;
  return context.getImageData(0, 0, page.picture.width, page.picture.height);
}

function show({ judged, faces }, { width, height }) {
  faces = [...faces].sort((a, b) => a.x - b.x);
  page.boxes.replaceChildren(
    ...faces.map((face, k) => {
      const { x, y, w, h, probability } = face;
      const said = verdict(face);
      const box = document.createElement("div");
      box.className = `box ${said}`;
      box.classList.toggle("high", y < 0.08 * height);
      box.classList.toggle("right", x > 0.7 * width);
      const percent = (part, whole) => `${(100 * part) / whole}%`;
      box.style.left = percent(x, width);
      box.style.top = percent(y, height);
      box.style.width = percent(w, width);
      box.style.height = percent(h, height);
      const tag = document.createElement("span");
      const words = document.createElement("b"); // left out where there is no room for it
      words.textContent = spoken(said);
      const sign = (WORDS[said] ?? "").split(" ")[0];
      tag.append(`${k + 1} ${sign} `, words);
      if (face.sure) tag.append(` ${(100 * probability).toFixed(0)}%`);
      box.append(tag);
      return box;
    }),
  );
  page.faces.replaceChildren(
    ...faces.map((face, k) => {
      const { x, y, w, h, label, probability, sure, probabilities } = face;
      const item = document.createElement("li");
      item.className = verdict(face);
      const who = judged === "faces" ? `Face ${k + 1}` : "The whole picture";
      const likeliest = `${sure ? (WORDS[label] ?? label) : spoken(label)}, ${(100 * probability).toFixed(1)}%`;
      item.textContent = `${who}: ${sure ? likeliest : `${WORDS.unsure} (${likeliest})`}`;
      // For whoever reads the page by a program.
      item.dataset.label = label;
      item.dataset.sure = sure;
      item.dataset.box = JSON.stringify([x, y, w, h]);
      item.dataset.probabilities = JSON.stringify(probabilities);
      return item;
    }),
  );
  const text = summary(judged, faces);
  page.picture.setAttribute("aria-label", `Your picture. ${text}`);
  return text;
}

function summary(judged, faces) {
  if (judged === "no face") return "No face was found.";
  const counts = new Map();
  for (const face of faces) counts.set(verdict(face), (counts.get(verdict(face)) ?? 0) + 1);
  const parts = [...counts].map(([label, count]) => `${count} ${spoken(label)}`);
  if (judged === "whole picture") return "The picture was judged whole, as one face.";
  return `${faces.length} ${faces.length === 1 ? "face" : "faces"}: ${parts.join(", ")}.`;
}

/** What to say of a face: its label, or that it is unsure. */
function verdict({ label, sure }) {
  return sure ? label : "unsure";
}

/** A label's words without the sign before them. */
function spoken(label) {
  return (WORDS[label] ?? label).replace(/^\W+/, "");
}

async function judgePhoto(image) {
  if (!models) throw new Error("the networks are not loaded");
  page.boxes.replaceChildren();
  page.faces.replaceChildren();
  say("Looking for faces …");
  await new Promise((resolve) => setTimeout(resolve, 20)); // lets the browser draw first
  const answer = await models.judge(image, true);
  say(show(answer, image));
  const { findTime, classifyTime } = answer;
  page.speed.textContent =
    `Finding faces took ${findTime.toFixed(0)} ms, judging them ${classifyTime.toFixed(0)} ms.`;
}

function judgeAgain() {
  page.picture.width = lastPhoto.width; // the webcam may have drawn there since
  page.picture.height = lastPhoto.height;
  context.putImageData(lastPhoto, 0, 0);
  return judgePhoto(lastPhoto);
}

/** Judge a picture file, which `source` gives. */
function takePhoto(source, name) {
  if (stream) release();
  return inTurn(async () => {
    const bitmap = await createImageBitmap(await source(), {
      colorSpaceConversion: "default", // to sRGB, as read_image in facemask/images/reading.py
      imageOrientation: "from-image",
    }).catch(() => {
      throw new Error("it is not a picture that this browser can show");
    });
    lastPhoto = pixelsOf(bitmap, bitmap.width, bitmap.height);
    bitmap.close(); // else its memory, of all its pixels, waits for the garbage collector
    await judgePhoto(lastPhoto);
  }, `${name} cannot be judged`);
}

async function startWebcam() {
  if (!navigator.mediaDevices) return say("This browser gives no page here access to a webcam.");
  if (asking) return; // a second stream would never be stopped
  asking = true;
  let mine;
  try {
    mine = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
    });
  } catch (error) {
    return say(
      error.name === "NotAllowedError"
        ? "The webcam was not allowed. Allow it in the browser's settings for this page."
        : `The webcam cannot be used: ${error.message}`,
    );
  } finally {
    asking = false;
  }
  stream = mine;
  page.webcam.textContent = "Stop the webcam";
  page.webcam.setAttribute("aria-pressed", "true");
  say("Starting the webcam …");
  await inTurn(() => watch(mine), "The webcam stopped");
}

/** Judge frame after frame until the webcam is stopped or goes away. */
async function watch(from) {
  let told = -QUIET;
  let previous = performance.now();
  let interval; // ms from frame to frame, smoothed
  try {
    if (stream === from) {
      video.srcObject = from;
      await video.play();
    }
    while (stream === from && from.active) {
      const image = pixelsOf(video, video.videoWidth, video.videoHeight);
      const text = show(await models.judge(image, false), image);
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      interval ??= now - previous;
      interval += 0.1 * (now - previous - interval);
      previous = now;
      page.speed.textContent = `${(1000 / interval).toFixed(1)} frames a second`;
      if (now - told > QUIET) {
        say(text);
        told = now;
      }
    }
  } catch (error) {
    if (stream === from) throw error; // else it was stopped before it had started
  } finally {
    if (stream === from) release();
  }
}

function release() {
  for (const track of stream.getTracks()) track.stop();
  stream = undefined;
  video.srcObject = null;
  page.webcam.textContent = "Use the webcam";
  page.webcam.setAttribute("aria-pressed", "false");
}

async function stopWebcam() {
  if (!stream) return;
  release();
  await working;
  say("The webcam is off.");
}

function firstPicture(items) {
  return [...items].find((file) => file.type.startsWith("image/")) ?? [...items][0];
}

page.choose.addEventListener("click", () => page.file.click());
page.file.addEventListener("change", () => {
  const [file] = page.file.files;
  if (file) takePhoto(() => file, file.name);
  page.file.value = ""; // so that the same file can be chosen again
});
page.webcam.addEventListener("click", () => (stream ? stopWebcam() : startWebcam()));
page.example.addEventListener("click", () => {
  takePhoto(async () => (await fetch(EXAMPLE)).blob(), "The example");
});
page.backend.addEventListener("change", async () => {
  const live = Boolean(stream);
  await stopWebcam();
  const name = page.backend.value;
  await inTurn(() => useBackend(name), `${NAMES[name]} cannot be used; choose another`);
  if (!models) return;
  if (live) startWebcam();
  else if (lastPhoto) inTurn(judgeAgain, "The photo cannot be judged");
});
window.addEventListener("pagehide", () => stream && release()); // a page left behind sees nothing
document.addEventListener("paste", (event) => {
  const file = firstPicture(event.clipboardData.files);
  if (file) takePhoto(() => file, "What you pasted");
  else say("There is no picture on the clipboard.");
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = firstPicture(event.dataTransfer.files);
  if (file) takePhoto(() => file, file.name);
  else say("Drop a picture from your files.");
});

page.backend.replaceChildren(...backendsHere().map((name) => new Option(NAMES[name], name)));
page.backend.disabled = false;
await inTurn(() => useBackend(page.backend.value), "The networks cannot be loaded");
if ("serviceWorker" in navigator) {
  try {
    // The page's policy lets no other script be named by a text that a script made.
    const worker = { createScriptURL: () => "./sw.js" };
    const policy = globalThis.trustedTypes?.createPolicy("page", worker) ?? worker;
    await navigator.serviceWorker.register(policy.createScriptURL(""));
    await navigator.serviceWorker.ready;
    page.offline.textContent = "It is now stored here and works without a network.";
  } catch {
    // The browser stores nothing for this page, as in some private windows: it works all the same.
  }
}
