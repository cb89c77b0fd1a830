// Does in a real Chromium what a visitor of the built page does: node drive.mjs DIST < steps.json
//
// DIST is served on this machine below a path, compressed and for ten minutes as GitHub Pages does. Standard input
// holds {chromium, arguments, steps}: the browser's file, further arguments for it, and a list of
// steps such as {"do": "file", "path": "photo.png"}; see `actions`. Prints, as JSON, what each step
// showed, and all that went wrong or was asked of another host.

import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";

import { chromium } from "playwright-core";

const PATIENCE = 240_000; // ms; a machine may be busy
const TYPES = {
  ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
  ".wasm": "application/wasm", ".webp": "image/webp",
}; // prettier-ignore
const AWAY = '<link rel="icon" href="data:," />Another page.';

let dist = path.resolve(process.argv[2]); // what is served
const { chromium: browserFile, arguments: more = [], steps } = JSON.parse(fs.readFileSync(0));

let sent = 0; // bytes of content, as compressed
const missing = [];
const server = http.createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  if (name === "/away") return response.writeHead(200, { "content-type": "text/html" }).end(AWAY);
  const file = path.join(dist, name.replace(/^\/below\//, "/").replace(/\/$/, "/index.html"));
  if (!name.startsWith("/below/") || !fs.existsSync(file)) {
    missing.push(name);
    return response.writeHead(404).end();
  }
  const tag = `"${fs.statSync(file).mtimeMs}"`;
  const type = TYPES[path.extname(file)] ?? "application/octet-stream";
  const head = { "content-type": type, "cache-control": "max-age=600", etag: tag };
  if (request.headers["if-none-match"] === tag) return response.writeHead(304, head).end();
  const body = zlib.gzipSync(fs.readFileSync(file));
  sent += body.length;
  response.writeHead(200, { ...head, "content-encoding": "gzip" }).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const home = `http://127.0.0.1:${server.address().port}/below/`;
const away = new URL("/away", home).href;

const profile = fs.mkdtempSync(path.join(os.tmpdir(), "facemask-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: browserFile,
  timeout: PATIENCE,
  headless: true,
  // Chromium refuses to run as root, as in a container, with its sandbox.
  chromiumSandbox: process.getuid?.() !== 0,
  args: [
    "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", ...more,
  ], // prettier-ignore
  ignoreDefaultArgs: ["--disable-back-forward-cache"], // visitors have it
  permissions: ["clipboard-read", "clipboard-write"],
});
context.setDefaultTimeout(PATIENCE);
const errors = [];
const elsewhere = [];
context.on("page", (tab) => {
  tab.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) errors.push(message.text());
  });
  tab.on("pageerror", (error) => errors.push(String(error)));
  tab.on("crash", () => errors.push("the tab crashed"));
});
context.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(home) && url !== away && !/^(data|blob):/.test(url)) elsewhere.push(url);
});
const tabs = { first: await context.newPage() };
let page = tabs.first; // the tab that steps are done in
await context.pages().find((tab) => tab !== page)?.close();

const until = (condition) => page.waitForFunction(condition).then((handle) => handle.dispose());
const settled = () => until(() => document.querySelector("#stage")?.ariaBusy === "false");

/** Give the page a file the way the step says, made inside the page from its bytes. */
const give = (kind, file) =>
  page.evaluate(
    ([kind, name, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type: `image/${name.split(".").pop()}` }));
      const event =
        kind === "drop"
          ? new DragEvent("drop", { dataTransfer: data, cancelable: true, bubbles: true })
          : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
      document.querySelector("h1").dispatchEvent(event);
    },
    [kind, path.basename(file), fs.readFileSync(file).toString("base64")],
  );

/** The resident memory of this browser's processes of a type, in MB; null where there is no /proc. */
function resident(type) {
  if (!fs.existsSync("/proc/self/status")) return null;
  const read = (pid, name) => {
    try {
      return fs.readFileSync(`/proc/${pid}/${name}`, "latin1");
    } catch {
      return ""; // it has ended
    }
  };
  const parents = new Map();
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    parents.set(pid, /^PPid:\s+(\d+)/m.exec(read(pid, "status"))?.[1]);
  }
  const ours = (pid) => pid === String(process.pid) || (parents.has(pid) && ours(parents.get(pid)));
  const kilobytes = [...parents.keys()]
    .filter((pid) => read(pid, "cmdline").includes(`--type=${type}`) && ours(pid))
    .map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0));
  return kilobytes.reduce((a, b) => a + b, 0) / 1000;
}

const actions = {
  /** Open the page and wait until it is stored for use without a network. */
  async open({ keep = true }) {
    await page.goto(home);
    if (keep) await until(() => document.querySelector("#offline").textContent);
    await settled();
  },
  file: ({ path }) => page.setInputFiles("#file", path).then(settled),
  drop: ({ path }) => give("drop", path).then(settled),
  paste: ({ path }) => give("paste", path).then(settled),
  example: () => page.click("#example").then(settled),
  backend: ({ name }) => page.selectOption("#backend", name).then(settled),
  /** Run the webcam for some seconds; what the page shows is read while it runs. */
  async webcam({ seconds }) {
    await page.click("#webcam");
    await until(() => /frames/.test(document.querySelector("#speed").textContent));
    await page.waitForTimeout(1000 * seconds);
  },
  stop: () => page.click("#webcam").then(settled),
  /** Take the server away and open the page again. */
  async offline() {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await page.reload();
    await settled();
  },
  async press({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
  },
  async look({ width = 1000, height = 1000, dark = false }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
  },
  screenshot: ({ path, full = false }) => page.screenshot({ path, fullPage: full }).then(() => null),
  tree: () => page.ariaSnapshot?.() ?? page.locator("body").ariaSnapshot(),
  run: ({ script }) => page.evaluate(script),
  /** Run a script that may spoil the page, or take it away; it is opened in a new tab then. */
  async attempt({ script }) {
    const value = await page.evaluate(script).catch(() => null);
    const gone = page.url().split("#")[0] !== home;
    if (!gone && value && (await page.$("#stage").catch(() => null))) return value;
    const [name] = Object.entries(tabs).find(([, tab]) => tab === page);
    await page.close();
    page = tabs[name] = await context.newPage();
    await actions.open({ keep: false });
    return gone ? null : value;
  },
  wait: ({ seconds }) => page.waitForTimeout(1000 * seconds),
  /** Wait until a script gives something true. */
  until: ({ script }) => until(script),
  /** Serve another folder from now on, in the same place. */
  serve({ path: folder }) {
    dist = path.resolve(folder);
  },
  /** Do what follows in the tab of this name, an empty one if it is new. */
  async tab({ name }) {
    page = tabs[name] ??= await context.newPage();
    await page.bringToFront();
  },
  reload: () => page.reload().then(settled),
  leave: () => page.goto(away).then(() => null),
  /** Come back to the page, which the browser has kept or loads anew. */
  back: () => page.goBack({ waitUntil: "commit" }).then(settled),
  /** What the page holds after its garbage is collected, in MB, and how many tensors. */
  async memory() {
    const session = await context.newCDPSession(page);
    await session.send("HeapProfiler.enable");
    for (let k = 0; k < 3; k++) await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    const tensors = await page.evaluate(() => globalThis._tfengine?.memory().numTensors);
    return { heap: usedSize / 1e6, tensors, renderer: resident("renderer"), gpu: resident("gpu") };
  },
};

const results = [];
try {
  for (const step of steps) {
    const value = await actions[step.do](step);
    results.push(
      await page.evaluate(
        ([value, sent]) => ({
          value,
          sent,
          status: document.querySelector("#status")?.textContent,
          speed: document.querySelector("#speed")?.textContent,
          focus: document.activeElement?.id,
          backends: [...document.querySelectorAll("#backend option")].map((o) => o.value),
          wide: document.documentElement.scrollWidth > window.innerWidth,
          faces: [...document.querySelectorAll("#faces li")].map((item, k) => ({
            text: item.textContent,
            label: item.dataset.label,
            sure: JSON.parse(item.dataset.sure),
            box: JSON.parse(item.dataset.box),
            probabilities: JSON.parse(item.dataset.probabilities),
            tag: document.querySelectorAll(".box span")[k]?.textContent,
          })),
        }),
        [value ?? null, sent],
      ),
    );
  }
} finally {
  await context.close();
  server.close();
  server.closeAllConnections();
  fs.rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify({ results, errors, elsewhere, missing, sent }));
