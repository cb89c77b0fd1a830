"""Run the TF.js export in a real browser, to compare it with Keras and to time it."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from facemask.io.files import ROOT, FacemaskError
from facemask.io.install import ToolMissing

WEB = ROOT / "web"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# WebGL without a graphics card: drawn by the processor, far slower than a card, and as exact.
SOFTWARE_GRAPHICS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def find() -> str:
    """The browser's file.

    Raises:
        ToolMissing: there is none.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise ToolMissing(
        "Chromium is missing; install it (Debian and Ubuntu: apt-get install chromium)"
    )


def drive(site: Path, steps: list[dict], arguments: list[str] | None = None) -> dict[str, Any]:
    """Visit a folder of web pages as web/drive.mjs does it, and give what it saw.

    Args:
        site: folder with index.html; it is served on this machine while the visit lasts.
        steps: what to do, see `actions` in web/drive.mjs.
        arguments: further ones for the browser.

    Raises:
        ToolMissing: there is no Chromium or no Node.js.
        FacemaskError: the visit failed.
    """
    order = {"chromium": find(), "arguments": arguments or SOFTWARE_GRAPHICS, "steps": steps}
    done = subprocess.run(
        ["node", WEB / "drive.mjs", site], input=json.dumps(order), capture_output=True, text=True
    )
    if done.returncode:
        raise FacemaskError(f"the visit of {site} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def measure(
    model: str | Path, images: np.ndarray, backends: list[str], seconds: float = 3
) -> dict[str, dict]:
    """Run a TF.js model on pictures in Chromium, by each backend that works there.

    Args:
        model: folder with model.json, its weights and labels.json.
        images: uint8 RGB (N, S, S, 3), S as the model takes it.
        backends: of "wasm", "webgl", "webgpu".
        seconds: for which single pictures are timed; 0 leaves it out.

    Returns:
        Per backend {"probabilities": float32 (N, C), "milliseconds": (runs,), each from pixels to
        probabilities}, or {"not_run": why}.
    """
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        shutil.copytree(model, site / "model")
        shutil.copy(WEB / "bench" / "index.html", site)
        np.ascontiguousarray(images).tofile(site / "images.bin")
        _bundle(site)
        steps: list[dict] = [{"do": "open", "keep": False}]
        for backend in backends:
            steps.append({"do": "run", "script": f"window.use({json.dumps(backend)})"})
            for call in ("predict()", f"time({seconds})"):
                safely = f"window.{call}.catch((error) => JSON.stringify(error.message))"
                steps.append({"do": "run", "script": safely})
        answers = [result["value"] for result in drive(site, steps)["results"][1:]]
    measured = {}
    for backend, (trouble, rows, times) in zip(backends, zip(*[iter(answers)] * 3)):
        rows, times = json.loads(rows), json.loads(times)
        trouble = trouble or next((text for text in (rows, times) if isinstance(text, str)), "")
        if trouble:
            measured[backend] = {"not_run": trouble}
        else:
            table = np.array(rows, np.float32).reshape(len(images), -1)
            measured[backend] = {"probabilities": table, "milliseconds": times}
    return measured


def _bundle(site: Path) -> None:
    """Write bench.js and the WASM backend's files."""
    if not (WEB / "node_modules").is_dir():
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=WEB, check=True, env=os.environ,
        )  # fmt: skip
    subprocess.run(
        [WEB / "node_modules/.bin/esbuild", "bench/bench.js", f"--outdir={site}", "--bundle",
         "--splitting", "--format=esm", "--minify", "--target=es2022", "--log-level=warning"],
        cwd=WEB, check=True,
    )  # fmt: skip
    for file in (WEB / "node_modules/@tensorflow/tfjs-backend-wasm/dist").glob("*.wasm"):
        shutil.copy(file, site)
