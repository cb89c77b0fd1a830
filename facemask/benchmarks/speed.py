"""Measure speed and size: `make bench` -> reports/bench.json, which the README quotes.

Every part compares within one run and takes turns, so that a busy machine slows all sides alike.
A part that was measured is kept in data/bench and not measured again: delete its file there, or
name it with --only. Training, the longest, goes on where it was cut off (--minutes).
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from facemask.benchmarks import browser
from facemask.benchmarks.training import compare
from facemask.exports.export import differences, pictures_to_compare
from facemask.exports.timing import runner, seconds
from facemask.io.files import RELEASE, ROOT, FacemaskError, read_json, write_json, write_whole
from facemask.models import classifier
from facemask.models.networks import multiply_adds

KEPT = ROOT / "data" / "bench"
SPLIT = ROOT / "data" / "split" / "face-mask-12k"
EXPORTS = ROOT / "models" / "face-mask-12k" / "compact" / "exports"
ROUNDS = 40
GROWTH = (1, 3, 10)  # times as many pictures
GROWTH_LEAST = 2000


def latency() -> dict:
    """One face on one core by LiteRT, against MobileNetV2 at 224 px and the core's own peak.

    Times are the thread's processor time: what it waits for others on a busy machine is left out.
    """
    mobilenet = KEPT / "mobilenetv2-224.tflite"
    if not mobilenet.is_file():
        network = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
        content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
        with write_whole(mobilenet) as partial:
            partial.write_bytes(content)
    counts = {
        **{name: multiply_adds(keras.models.load_model(folder / "model.keras", compile=False))
           for name, folder in (("compact", EXPORTS), ("released", RELEASE))},
        "MobileNetV2": multiply_adds(keras.applications.MobileNetV2(weights=None)),
    }
    files = {
        "compact float32": EXPORTS / "model.tflite",
        "compact int8": EXPORTS / "model-int8.tflite",
        "released float32": RELEASE / "model.tflite",
        "released int8": RELEASE / "model-int8.tflite",
        "MobileNetV2 224 float32": mobilenet,
    }
    one = {name: runner(path, 1) for name, path in files.items()}
    many = {name: runner(path, 32) for name, path in files.items()}
    square = np.random.default_rng(0).random((1024, 1024), np.float32)
    peak: list[float] = []
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in files}
    with threadpool_limits(1):
        for turn in range(ROUNDS):
            peak.append(len(square) ** 3 / seconds(lambda: square @ square))
            for name in files:
                times[name][0].append(min(seconds(one[name]) for _ in range(5)))
                if turn < ROUNDS // 4:
                    times[name][1].append(seconds(many[name]) / 32)
    best = max(peak)  # a peak is what was reached once, the times are what is usual
    models = {}
    for name, path in files.items():
        single, batch = (float(np.median(values)) for values in times[name])
        adds = counts[name.split()[0]]
        models[name] = {
            "milliseconds": 1e3 * single, "milliseconds_in_32": 1e3 * batch,
            "bytes": path.stat().st_size, "multiply_adds": adds,
            "share_of_peak": adds / single / best,
        }  # fmt: skip
    base = models["MobileNetV2 224 float32"]["milliseconds"]
    for row in models.values():
        row["times_faster"] = base / row["milliseconds"]
    return {"peak_multiply_adds_per_second": best, "models": models}


def in_browser() -> dict:
    """The TF.js export in headless Chromium: equal to Keras over the test split, and how fast."""
    images, answers = pictures_to_compare(SPLIT)
    reference = classifier.load(EXPORTS / "model.keras").predict(images)
    rows = {}
    # Without a graphics card the processor draws for the others, too slowly for all pictures.
    for backends, step in ((["wasm"], 1), (["webgl", "webgpu"], len(images) // 100)):
        measured = browser.measure(EXPORTS / "tfjs", images[::step], backends)
        for name, row in measured.items():
            if "not_run" not in row:
                middle = float(np.median(row["milliseconds"]))
                row = {
                    "milliseconds": middle, "faces_per_second": 1000 / middle,
                    **differences(row["probabilities"], reference[::step], answers[::step]),
                }  # fmt: skip
            rows[name] = row
    return rows


LITERT = """
import numpy as np
from ai_edge_litert.interpreter import Interpreter
model = Interpreter(model_path=r"{exports}/model-int8.tflite", num_threads=1)
model.allocate_tensors()
model.set_tensor(model.get_input_details()[0]["index"], np.zeros((1, 96, 96, 3), np.uint8))
model.invoke()
"""
LOADER = """
import numpy as np
from facemask import classifier
classifier.load(r"{exports}/{form}").predict(np.zeros((1, 96, 96, 3), np.uint8))
"""


def start() -> dict:
    """From nothing to the first answer in a fresh process, and the memory it takes."""
    scripts = {
        "LiteRT, int8": LITERT,
        "TensorFlow, SavedModel": LOADER.replace("{form}", "saved_model"),
        "Keras": LOADER.replace("{form}", "model.keras"),
    }
    # Not getrusage: a new process inherits its parent's peak there. Linux only.
    report = "print(*[line for line in open('/proc/self/status') if 'VmHWM' in line])"
    found: dict[str, list] = {name: [] for name in scripts}
    for _ in range(3):
        for name, script in scripts.items():
            code = script.format(exports=EXPORTS) + report
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            begun = time.perf_counter()
            said = _python("-c", code)
            seconds = time.perf_counter() - begun
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found[name].append((seconds, used, int(said.split()[-2]) / 1024))
    return {
        name: dict(zip(("seconds", "processor_seconds", "megabytes"),
                       (float(v) for v in np.median(rows, axis=0))))
        for name, rows in found.items()
    }  # fmt: skip


def growth() -> dict:
    """Training once over 1, 3 and 10 times as many pictures: time per picture, peak memory."""
    rows = {}
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        for times in GROWTH:
            split = Path(folder, f"split-{times}")
            pictures = _copies(split, times * GROWTH_LEAST)
            said = _python("-m", "facemask.benchmarks.training", str(split), str(split / "run"))
            seconds, used, megabytes = (float(value) for value in said.split()[-3:])
            rows[str(times)] = {
                "pictures": pictures, "milliseconds_a_picture": 1e3 * seconds / pictures,
                "processor_milliseconds_a_picture": 1e3 * used / pictures, "megabytes": megabytes,
            }  # fmt: skip
    return rows


def _copies(split: Path, count: int) -> int:
    """A split folder whose train split has `count` pictures, as links to those of 12k."""
    facts = read_json(SPLIT / "prepare.json")
    each = count // len(facts["labels"])
    for part in ("train", "validation"):
        wanted = each if part == "train" else 20
        for label in facts["labels"]:
            sources = sorted((SPLIT / part / label).iterdir())
            (split / part / label).mkdir(parents=True)
            for k in range(wanted):
                source = sources[k % len(sources)]
                os.symlink(source, split / part / label / f"{k:06d}{source.suffix}")
            facts["counts"][part][label] = wanted
    shutil.copy(SPLIT / "files.csv", split)
    write_json(split / "prepare.json", facts)
    return each * len(facts["labels"])


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise FacemaskError(f"a measurement failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def training(minutes: float) -> dict:
    """Time to 98.8% on 12k Test against the field's own pipeline; see `benchmarks.training`."""
    return compare(SPLIT, ROOT / "data/raw/face-mask-12k", KEPT, minutes)


PARTS: dict[str, Callable[..., dict]] = {
    "latency": latency, "browser": in_browser, "start": start, "growth": growth,
    "training": training,
}  # fmt: skip


def show(report: dict) -> None:
    """Print every figure on a line of its own, by its way through the report."""

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{name} / {key}" if name else key)
        else:
            print(f"{name}: {value:.6g}" if isinstance(value, float) else f"{name}: {value}")

    walk(report, "")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="facemask.benchmarks.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", choices=PARTS, help="measure this part, even again")
    parser.add_argument("--minutes", type=float, default=240,
                        help="for training each side, less what was done before")
    args = parser.parse_args()
    try:
        if not (EXPORTS / "model.keras").is_file():
            raise FacemaskError(
                "the models of face-mask-12k, which this measures, are not there yet; run "
                "`make run DATASET=face-mask-12k` first (about an hour on two cores)"
            )
        KEPT.mkdir(parents=True, exist_ok=True)
        for name, measure in PARTS.items():
            kept = KEPT / f"{name}.json"
            # Training remembers by itself how far it came.
            if args.only == name or (not args.only and (name == "training" or not kept.is_file())):
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                write_json(kept, measure(args.minutes) if name == "training" else measure())
    except FacemaskError as error:
        print(f"facemask.benchmarks.speed: {error}", file=sys.stderr)
        return 2
    # What was measured elsewhere stays in the report until it is measured here.
    path = ROOT / "reports" / "bench.json"
    report = (read_json(path) if path.is_file() else {}) | {
        name: read_json(KEPT / f"{name}.json") for name in PARTS
        if (KEPT / f"{name}.json").is_file()
    }  # fmt: skip
    write_json(path, report)
    show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
