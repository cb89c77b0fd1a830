"""Make the released finder again: `python -m facemask.finder.publish ARCHIVES` (`make finder`).

Gathers, trains, exports, compares every export with Keras, and then replaces models/finder as a
whole; `measure` sets it beside others. FACEMASK_YUNET names YuNet's file, one of the teachers.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from facemask.exports import tfjs, tflite
from facemask.exports.export import save
from facemask.finder import teachers
from facemask.finder.collect import collect, read
from facemask.finder.train import RELEASED, Schedule, train
from facemask.images.boxes import match
from facemask.io.files import FINDER, FacemaskError, read_json, write_json, write_whole
from facemask.models import tfjs as runner
from facemask.photos import finder

OUT = FINDER.parent
FORMS = ("model.tflite", "model-float16.tflite", "model-int8.tflite")
# At most so large a difference in a score, and at least so many of the faces found the same.
BOUNDS = {
    "saved_model": (1e-3, 1.0), "model.tflite": (1e-3, 1.0), "tfjs": (1e-3, 1.0),
    "model-float16.tflite": (0.05, 0.99), "model-int8.tflite": (0.6, 0.9),
}  # fmt: skip
SAME_BOX = 0.9  # IoU from which two forms have found the same face
COMPARED = 60  # validation photos
Maps = dict[str, np.ndarray]  # by the network's names of its outputs


def square(image: np.ndarray) -> np.ndarray:
    """A photo as the finder is shown it, filled up to a square: uint8 RGB (SIDE, SIDE, 3)."""
    shown = finder.canvas(image)[0]
    below, right = (finder.SIDE - side for side in shown.shape[:2])
    return np.pad(shown, ((0, below), (0, right), (0, 0)), "edge")


def export(model: keras.Model, photos: list[np.ndarray], folder: Path) -> dict:
    """Write every form of the finder into `folder`, each compared with Keras.

    Args:
        model: see `network.network`.
        photos: validation photos, uint8 RGB (H, W, 3): every third shows the int8 form its
            ranges, the others are what is compared on.

    Returns:
        Per form: pictures, largest difference in a score, share of the faces that are the same,
        bytes and the bounds; also in exports.json.

    Raises:
        FacemaskError: a form is beyond its bound.
    """
    save(model, folder)
    calibration = np.stack([square(image) for image in photos[::3]])
    for form in FORMS:
        content = tflite.convert_plainly(folder / "saved_model", form, calibration)
        (folder / form).write_bytes(content)
    tfjs.convert(folder / "saved_model", folder / "tfjs", check=_maps)
    others = [image for k, image in enumerate(photos) if k % 3]
    pictures = np.stack([square(image) for image in others[:COMPARED]])
    report = {"parameters": model.count_params(), **compare(model, folder, pictures)}
    write_json(folder / "exports.json", report)
    return report


def _maps(folder: Path) -> None:
    outputs = read_json(folder / "model.json")["signature"]["outputs"].values()
    channels = sorted(int(o["tensorShape"]["dim"][-1]["size"]) for o in outputs)
    if channels != [1, 1, 1, 4, 4, 4]:
        raise FacemaskError(f"{folder} gives maps of {channels} channels, not the finder's")


def compare(model: keras.Model, folder: Path, pictures: np.ndarray) -> dict:
    """See `export`; `pictures` are squares, uint8 RGB (N, SIDE, SIDE, 3)."""
    names = sorted(model.output)
    reference = [{k: v.numpy() for k, v in model(p[None].astype(np.float32)).items()}
                 for p in pictures]
    wanted = [_boxes(maps) for maps in reference]
    report: dict[str, dict] = {}
    for form, (largest, least) in BOUNDS.items():
        if form == "tfjs" and not runner.node_available():
            report[form] = {"not_run": "Node.js is not installed, so TF.js was not compared"}
            continue
        given = _run(form, folder)(pictures, names, reference[0])
        difference = max(
            float(np.abs(_sigmoid(a[k]) - _sigmoid(b[k])).max())
            for a, b in zip(given, reference, strict=True) for k in names if k.startswith("score")
        )
        pairs = [match(_boxes(a)[:, :4], b[:, :4], SAME_BOX) for a, b in zip(given, wanted)]
        found = sum(int((p >= 0).sum()) for p in pairs)
        most = max(sum(map(len, wanted)), sum(len(_boxes(a)) for a in given), 1)
        same = found / most if sum(map(len, wanted)) else 1.0
        row = {
            "pictures": len(pictures), "largest_difference": difference,
            "same_faces": same,
            "bytes": _bytes(folder / form), "bound": [largest, least],
        }  # fmt: skip
        if not (difference <= largest and same >= least):
            raise FacemaskError(
                f"the finder's {form} differs from Keras by up to {difference:.2g} in a score, and "
                f"finds {same:.1%} of the same faces; the bounds are {largest:g} and "
                f"{least:.0%}, so nothing was published"
            )
        report[form] = row
    return report


def _run(form: str, folder: Path) -> Callable[[np.ndarray, list[str], Maps], list[Maps]]:
    """How a form answers: from pictures, the outputs' names and Keras' maps to maps."""
    if form == "tfjs":

        def in_node(pictures: np.ndarray, names: list[str], like: Maps) -> list[Maps]:
            values, shapes = runner.run(folder / form, pictures)
            by_shape = {like[k].shape: k for k in names}
            ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
            return [{by_shape[tuple(shape)]: part.reshape(shape) for shape, part in
                     zip(shapes, np.split(row, ends))} for row in
                    values.reshape(len(pictures), -1)]

        return in_node
    if form == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / form))

        def in_tensorflow(pictures: np.ndarray, names: list[str], like: Maps) -> list[Maps]:
            signature = loaded.signatures["serving_default"]
            return [{k: v.numpy() for k, v in
                     signature(tf.constant(p[None], tf.float32)).items()} for p in pictures]

        return in_tensorflow
    network = finder.Finder(folder / form)

    def in_litert(pictures: np.ndarray, names: list[str], like: Maps) -> list[Maps]:
        by_shape = {like[k].shape: k for k in names}
        return [{by_shape[m.shape]: m for m in network.maps(p)} for p in pictures]

    return in_litert


def _boxes(maps: Maps) -> np.ndarray:
    return finder.suppress(finder.decode(list(maps.values()), finder.THRESHOLD))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


def publish(
    archives: Path,
    data_dir: Path,
    out: Path = OUT,
    schedule: Schedule = RELEASED,
    seed: int = 0,
) -> dict:
    """Train and export; replaces `out` as a whole once all of it is made.

    The card (README.md in `out`) is kept.

    Returns:
        See `export`.
    """
    trained = data_dir / f"finder-model-{seed}"
    model = train(archives, trained, data_dir, schedule, seed)
    photos = [np.ascontiguousarray(image) for image, labels in read(collect(archives, data_dir))
              if labels.part == "validation"]
    with write_whole(out) as partial:
        partial.mkdir()
        report = export(model, photos, partial)
        for name in ("history.csv", "clock.json", "settings.json"):
            shutil.copy(trained / name, partial / name)
        if (out / "README.md").is_file():
            shutil.copy(out / "README.md", partial / "README.md")
    return report


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Make the released face finder again.")
    parser.add_argument("archives", type=Path, help="folder of the data sets' zips")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        teachers.check()  # before the long work
        report = publish(args.archives, args.data_dir, args.out, seed=args.seed)
    except FacemaskError as error:
        print(f"facemask.finder.publish: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    for form, row in report.items():
        print(f"{form:22} {row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
