"""Measure `predict` as a whole on annotated photos; writes reports/photos.json.

`python -m facemask.benchmarks.photos ARCHIVES [--model M]` takes the photos from
ARCHIVES/face-mask-{scenes,street}.zip and prajnasb-observations.zip, and needs
`pip install -r requirements-bench.txt`. Six parts, each written when done, each to be had alone by
`--only`:

scenes, street  the photos that the face finder has not seen: found, and found and judged right, by
                size and class; mean average precision by pycocotools; the same by the finder before
portraits       prajnasb, one person each: judged right, no face found, faces beyond the first
speed           CPU ms per stage one after the other; photos/s as `predict FOLDER --output FOLDER`
                runs
memory          of the command `predict` over 10,000 photos, sampled; goes on where it was cut off
page            the web page in headless Chromium: ms to find the faces of a drawn 640 px photo,
                webcam frames a second, bytes of the first load; needs Node.js and Chromium

The scenes' `mask_weared_incorrect` faces are not unseen by the classifier: the three-class training
archive was cut from these photos. They stand apart, and no total of the scenes counts them.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from facemask import CLASSES
from facemask.benchmarks import browser
from facemask.datasets.download import download
from facemask.datasets.prepare import find_labelled
from facemask.datasets.sample import draw_scene
from facemask.finder import blazeface
from facemask.images.boxes import match, size
from facemask.images.reading import read_image
from facemask.io.files import FINDER, RELEASE, FacemaskError, read_json, write_json, write_whole
from facemask.metrics import detection
from facemask.metrics.classification import accuracy_with_interval
from facemask.models.classifier import Classifier, load
from facemask.photos import batch, finder
from facemask.photos.annotate import annotate
from facemask.photos.predict import MARGIN, cut, cut_found, describe
from facemask.photos.sources import Source
from facemask.release.collect import ARCHIVES
from facemask.release.photos import of_part, photos_of

REPORT = Path("reports/photos.json")
BANDS = {**detection.BANDS, "48 px and more": (48, np.inf)}
FOUND = 0.3  # IoU from which a face counts as found, as in metrics.detection
NAMES = {"mask_weared_incorrect": "incorrect_mask"}
SEEN = {"scenes": "incorrect_mask"}  # archive -> the class whose faces the classifier has seen
MANY = 10_000
PARTS = ("scenes", "street", "portraits", "speed", "memory", "page")
PAGE_PHOTOS, PAGE_SECONDS = 9, 6


def judge_scenes(scenes: list, model: Classifier) -> list[dict]:
    """Every photo's answer, as `predict` gives it."""
    sources = [Source(str(path)) for path, _, _ in scenes]
    return list(tqdm(batch.stream(sources, model), total=len(scenes), desc="scenes", unit="photo"))


def boxes_of(answer: dict) -> tuple[np.ndarray, list[dict]]:
    """An answer's faces, (N, 5) with score, and their verdicts; one judged whole is one face."""
    judged = answer["faces"]
    if answer["judged"] == "whole picture":
        box = [0, 0, answer["width"], answer["height"]]
        judged = [{**answer["whole"], "box": box, "score": 1.0}]
    rows = [[*face["box"], face["score"]] for face in judged]
    return np.array(rows, dtype=float).reshape(-1, 5), judged


def share(hits: np.ndarray) -> dict:
    """A share with its 95% interval (Wilson 1927); faces of one photo are taken as independent."""
    if not len(hits):
        return {"faces": 0}
    figures = accuracy_with_interval(hits)
    values = dict(zip(("share", "low", "high"), (figures["accuracy"], *figures["interval"])))
    return {"faces": len(hits), "right": int(hits.sum()),
            **{key: round(value, 4) for key, value in values.items()}}


def judge_as_before(scenes: list, model: Classifier) -> list[dict]:
    """The same by the face finder that came before."""
    answers = []
    for path, _, _ in tqdm(scenes, desc="as before", unit="photo"):
        image = read_image(path)
        shown = cut_found(image, blazeface.find_faces(image), model.image_size)
        answers.append(describe(shown, model.predict(shown.crops), model))
    return answers


def end_to_end(scenes: list, answers: list[dict], seen: str | None) -> dict:
    """By band: faces found, found and judged right, judged right of those found; false faces.

    `either`: right if only masked and bare are asked for, as of a model that knows these two.
    `unseen` counts all classes but `seen`.
    """
    sizes, classes, found, right, either, extra = [], [], [], [], [], []
    for (_, boxes, names), answer in zip(scenes, answers, strict=True):
        given, judged = boxes_of(answer)
        pairs = match(given, boxes, FOUND)
        truth = [NAMES.get(name, name) for name in names]
        sizes.append(size(boxes))
        classes.append(np.array(truth, dtype="U20"))
        found.append(pairs >= 0)
        right.append(np.array([p >= 0 and judged[p]["label"] == t for p, t in zip(pairs, truth)],
                              dtype=bool))
        either.append(np.array([p >= 0 and _masked_or_bare(judged[p]) == t
                                for p, t in zip(pairs, truth)], dtype=bool))
        extra.append(size(np.delete(given, pairs[pairs >= 0], axis=0)))
    sizes, classes, found, right, either, extra = map(
        np.concatenate, (sizes, classes, found, right, either, extra)
    )
    table: dict[str, dict[str, Any]] = {}
    for band, (low, high) in BANDS.items():
        inside = (sizes >= low) & (sizes < high)
        rows = {"unseen": inside & (classes != (seen or ""))}
        rows |= {label: inside & (classes == label) for label in CLASSES}
        table[band] = {
            name: {"found": share(found[rows[name]]),
                   "found and judged right": share(right[rows[name]]),
                   "judged right of those found": share(right[rows[name] & found]),
                   "found and either": share(either[rows[name]]),
                   "either": share(either[rows[name] & found])}
            for name in rows
        }
        false = ((extra >= low) & (extra < high)).sum() / len(scenes)
        table[band]["false faces a photo"] = round(float(false), 4)
    return table


def _masked_or_bare(face: dict) -> str:
    return max(CLASSES[:2], key=face["probabilities"].get)


def average_precision(scenes: list, answers: list[dict]) -> dict:
    """AP at IoU 0.5 per class and its mean, by pycocotools, over all faces and by size.

    A face counts for its one label, with the finder's score times the label's probability.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise FacemaskError(
            "pycocotools is missing; run: pip install -r requirements-bench.txt"
        ) from error
    truth: list[dict[str, Any]] = []
    given: list[dict[str, Any]] = []
    for number, ((_, boxes, names), answer) in enumerate(zip(scenes, answers, strict=True), 1):
        for box, name in zip(boxes, names, strict=True):
            truth.append({
                "id": len(truth) + 1, "image_id": number, "bbox": [float(v) for v in box],
                "category_id": CLASSES.index(NAMES.get(name, name)) + 1,
                "area": float(box[2] * box[3]), "iscrowd": 0,
            })  # fmt: skip
        for face in boxes_of(answer)[1]:
            given.append({
                "image_id": number, "bbox": face["box"],
                "category_id": CLASSES.index(face["label"]) + 1,
                "score": face["score"] * face["probability"],
            })  # fmt: skip
    bands = {"all sizes": (0, np.inf), **detection.BANDS}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {}, "images": [{"id": k + 1} for k in range(len(scenes))], "annotations": truth,
            "categories": [{"id": k + 1, "name": label} for k, label in enumerate(CLASSES)],
        }  # fmt: skip
        coco.createIndex()
        scorer = COCOeval(coco, coco.loadRes(given), "bbox")
        scorer.params.iouThrs = np.array([0.5])
        scorer.params.areaRng = [[low**2, min(high, 1e5) ** 2] for low, high in bands.values()]
        scorer.params.areaRngLbl = list(bands)
        scorer.params.maxDets = [1000]  # of a photo: some show a crowd
        scorer.evaluate()
        scorer.accumulate()
    precision = scorer.eval["precision"][0]  # (recall levels, classes, bands, 1)
    table = {}
    for k, band in enumerate(bands):
        means = precision[:, :, k, 0].mean(axis=0)
        table[band] = {label: round(float(m), 4) for label, m in zip(CLASSES, means, strict=True)}
        table[band]["mean"] = round(float(means.mean()), 4)
    return table


def portraits(pictures: dict[Path, str], model: Classifier) -> dict:
    """Pictures of one person each, by the verdict on the likeliest face or else on the whole."""
    sources = [Source(str(path)) for path in pictures]
    answers = list(tqdm(batch.stream(sources, model), total=len(sources), desc="portraits"))
    counts = np.array([len(boxes_of(answer)[1]) for answer in answers])
    right = [(answer["whole"] or answer["faces"][0])["label"] == label
             for answer, label in zip(answers, pictures.values(), strict=True)]
    return {
        "judged right": share(np.array(right)),
        "no face found": round(float((counts == 0).mean()), 4),
        "faces beyond the first, a picture": round(float((counts - 1).clip(0).mean()), 4),
    }


def on_archive(archive: str, scenes: list, model: Classifier) -> dict:
    """The figures of one archive's annotated photos, and by the finder before."""
    seen = SEEN.get(archive)
    answers = judge_scenes(scenes, model)
    before = end_to_end(scenes, judge_as_before(scenes, model), seen)
    return {
        "photos": len(scenes),
        "judged whole": sum(a["judged"] == "whole picture" for a in answers),
        "IoU from which a face is found": FOUND,
        "not unseen": seen,
        "by size": end_to_end(scenes, answers, seen),
        "average precision at IoU 0.5": average_precision(scenes, answers),
        "finder before": {
            band: {"unseen": row["unseen"], "false faces a photo": row["false faces a photo"]}
            for band, row in before.items()
        },
    }


def stages(paths: list[Path], model: Classifier, folder: Path) -> dict:
    """Mean CPU ms a photo of each stage, one photo after the other.

    CPU time, as it depends less than the clock on what else the machine does.
    """
    spent = dict.fromkeys(("decode", "find", "crop", "judge", "draw", "write"), 0.0)
    clock = time.process_time()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.process_time()
        spent[stage] += (now - clock) * 1000 / len(paths)
        clock = now

    for path in tqdm(paths, desc="stages", unit="photo"):
        image = read_image(path)
        lap("decode")
        found = finder.find_faces(image)
        lap("find")
        shown = cut_found(image, found, model.image_size)
        lap("crop")
        answer = describe(shown, model.predict(shown.crops), model)
        lap("judge")
        drawn = annotate(image, answer)
        lap("draw")
        batch.save_picture(folder / path.name, drawn)
        lap("write")
    return {stage: round(ms, 2) for stage, ms in spent.items()}


def speed(scenes: list, model: Classifier, work: Path) -> dict:
    """Stages one by one, then all at once as `predict` does it."""
    paths = [path for path, _, _ in scenes]
    for path in paths[:20]:  # what is set up once does not count
        model.predict(cut(read_image(path), model.image_size).crops)
    each = stages(paths, model, work)
    load = os.getloadavg()[0]
    start, before = time.perf_counter(), time.process_time()
    sources = [Source(str(path)) for path in paths]

    def keep(answer: dict, image: np.ndarray) -> None:
        batch.save_picture(work / Path(answer["file"]).name, annotate(image, answer))

    for _ in tqdm(batch.stream(sources, model, keep), total=len(paths), desc="together"):
        pass
    took, cpu = time.perf_counter() - start, time.process_time() - before
    return {
        "cores": len(os.sched_getaffinity(0)),
        "CPU ms a photo, one stage after the other": each,
        "CPU ms a photo, sum of the stages": round(sum(each.values()), 2),
        "CPU ms a photo, together": round(cpu * 1000 / len(paths), 2),
        "photos a second": round(len(paths) / took, 2),
        "cores it got": round(cpu / took, 2),
        "load of the machine beforehand": round(load, 2),
    }


def memory(scenes: list, model: Path, work: Path) -> dict:
    """Resident memory of `predict` while it judges MANY photos: the scenes again and again."""
    folder, samples_file = work / "many", work / "samples.json"
    paths = [path for path, _, _ in scenes]
    if not folder.is_dir():
        with write_whole(folder) as partial:
            partial.mkdir()
            for number in range(MANY):
                path = paths[number % len(paths)]
                (partial / f"{number:05d}{path.suffix}").symlink_to(path.resolve())
    results = work / "many.json"
    journal = results.with_name(results.name + ".unfinished")
    samples = read_json(samples_file) if journal.exists() and samples_file.exists() else []
    command: list[str | Path] = [sys.executable, "-m", "facemask", "predict", folder,
                                 "--json", results, "--model", model]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    runs = samples[-1][0] + 1 if samples else 1
    while process.poll() is None:
        time.sleep(2)
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            done = journal.read_bytes().count(b"\n") - 1
            samples.append([runs, done, round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)])
            write_json(samples_file, samples)
    if process.returncode:
        raise FacemaskError(f"predict ended with {process.returncode}; run this again to go on")
    each = [np.array([s[1:] for s in samples if s[0] == run]) for run in range(1, runs + 1)]
    longest = max(each, key=lambda rows: rows[-1, 0] - rows[0, 0] if len(rows) else 0)
    warm = longest[longest[:, 0] >= longest[0, 0] + 500]  # what is set up once is set up by then
    if len(warm) < 10:
        raise FacemaskError(f"no run lasted long enough; remove {work} and run this again")
    half = len(warm) // 2
    slope, _ = np.polyfit(warm[:, 0], warm[:, 1], 1)
    return {
        "photos": MANY,
        "answers": len(read_json(results)),
        "runs": runs,
        "photos in the longest run": int(longest[-1, 0] - longest[0, 0]),
        "MB, median of the first half": round(float(np.median(warm[:half, 1])), 1),
        "MB, median of the second half": round(float(np.median(warm[half:, 1])), 1),
        "MB, most": float(warm[:, 1].max()),
        "MB more per 1,000 photos": round(float(slope) * 1000, 2),
        "samples": [[int(n), mb] for n, mb in longest[:: max(1, len(longest) // 40)].tolist()],
    }


def page(model: Path) -> dict:
    """The web page with a model, in headless Chromium by WASM; see the module's text."""
    with tempfile.TemporaryDirectory() as name:
        site, photo, film = (Path(name) / n for n in ("site", "photo.png", "film.mjpeg"))
        build = [sys.executable, str(browser.WEB / "build.py"), str(model), str(site)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        scene, _ = draw_scene(np.random.default_rng(0), faces=4, width=640, height=480)
        cv2.imwrite(str(photo), scene[..., ::-1])
        film.write_bytes(cv2.imencode(".jpg", scene[..., ::-1])[1].tobytes() * 30)
        steps: list[dict] = [{"do": "open"}]
        steps += [{"do": "file", "path": str(photo)}] * PAGE_PHOTOS
        steps += [{"do": "webcam", "seconds": PAGE_SECONDS}]
        camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
        results = browser.drive(site, steps, browser.SOFTWARE_GRAPHICS + camera)["results"]
    numbers = [re.findall(r"\d+(?:\.\d+)?", result["speed"]) for result in results[1:]]
    find, judge = np.array(numbers[1:-1], float).T  # the first photo sets things up
    return {
        "photos": len(find),
        "ms to find the faces of 640 x 480, median": float(np.median(find)),
        "ms to judge four of them, median": float(np.median(judge)),
        "webcam frames a second": float(numbers[-1][0]),
        "bytes of the first load": int(results[0]["sent"]),
    }


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Measure predict on annotated photos.")
    parser.add_argument("archives", type=Path, help="folder with the data sets' zips")
    parser.add_argument("--model", type=Path, default=RELEASE)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args()
    photos = photos_of(args.archives, args.data_dir)
    unseen = of_part(photos, "test")
    work = args.data_dir / "bench-photos"
    work.mkdir(parents=True, exist_ok=True)
    model = load(args.model)
    if set(model.labels) != set(CLASSES):
        raise FacemaskError(f"{args.model} does not know {', '.join(CLASSES)}; give another model")
    report = read_json(REPORT) if REPORT.is_file() else {}
    about = {"model": "/".join(args.model.parts[-2:]), "sha256": batch.digest(args.model),
             "finder": batch.digest(FINDER), "margin": MARGIN}  # fmt: skip
    for part in [args.only] if args.only else PARTS:
        if part in photos:
            result = on_archive(part, unseen[part], model)
        elif part == "portraits":
            raw = download(str(args.archives / ARCHIVES["prajnasb"]), args.data_dir)
            found = {path: label for path, (_, label) in find_labelled(raw).items()}
            result = portraits(found, model)
        elif part == "speed":
            result = speed(photos["scenes"], model, work)
        elif part == "memory":
            result = memory(photos["scenes"], args.model, work)
        else:
            result = page(args.model)
        report[part] = {**about, **result}
        write_json(REPORT, report)


if __name__ == "__main__":
    try:
        main()
    except FacemaskError as error:
        sys.exit(f"facemask: {error}")
