"""Test the released model: on faces from elsewhere, and on what must not change its answer.

`python -m facemask.release.measure ARCHIVES MODEL [MODEL ...]` prints it. What a user gets is the
likeliest of all the model's answers: figures with all answers open stand under `open`. Beside them
stand those of the likeliest of the classes that a set has, as models of two classes have them.
`--update` measures the released model and its int8 form, and puts them into its report.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve

from facemask import CLASSES
from facemask.copies import duplicates
from facemask.datasets.prepare import find_labelled, read_all
from facemask.drawing import masks
from facemask.drawing.landmarks import face_shape
from facemask.images.augment import reencode
from facemask.images.crops import brow_to_chin, resize
from facemask.images.reading import read_image
from facemask.io.files import RELEASE, read_json, write_json
from facemask.metrics.classification import calibration_error, macro_figures, open_figures
from facemask.models import classifier
from facemask.release.collect import fetch, scene_faces, side_of, split_3class
from facemask.release.photos import faces_of

Labelled = dict[Path, str]


def test_sets(archives: str | Path, data_dir: str | Path) -> dict[str, Labelled]:
    """The sets to measure on, from picture to class; none of them is trained on."""
    raw, folder = fetch(archives, data_dir), Path(data_dir) / "release"
    found = find_labelled(raw["12k"])
    published = {p: label for p, (split, label) in found.items() if split == "test"}
    train = [p for p, (split, _) in found.items() if split == "train"]
    copied = duplicates.leave_out_copies(list(published), train, folder / "copies.npz")
    street = photo_faces(raw, data_dir, "street", "test")
    # None is trained on; those of validation are chosen by.
    own = photo_faces(raw, data_dir, "scenes", "train", "test")

    def scenes(least: int, most: int, classes: tuple[str, ...]) -> Labelled:
        return _sized({p: v for p, v in own.items() if v in classes}, least, most)

    return {
        "12k Test, published": published,
        "12k Test, clean": {p: v for (p, v), c in zip(published.items(), copied) if not c},
        "prajnasb": {p: v for p, (_, v) in find_labelled(raw["prajnasb"]).items()},
        "scene faces, 48 px and more": scenes(48, 10_000, CLASSES[:2]),
        "scene faces, 24 to 47 px": scenes(24, 47, CLASSES[:2]),
        "street faces, 48 px and more": _sized(street, 48, 10_000),
        "street faces, 24 to 47 px": _sized(street, 24, 47),
        "3-class archive, held-out groups": split_3class(raw["3class"], folder)[1],
        # Not unseen: copies of these are in the 3-class archive.
        "scene faces worn incorrectly, 24 px and more": scenes(24, 10_000, CLASSES[2:]),
    }


def photo_faces(
    raw: dict[str, Path], data_dir: str | Path, archive: str, *parts: str
) -> Labelled:
    """The annotated faces of some parts of an archive's photos, cut out, from picture to class.

    Args:
        raw: from `collect.fetch`.
        archive: street or scenes.
    """
    folder = Path(data_dir) / "release" / f"{archive.removesuffix('s')}-faces"
    cut = {p: label for p, (_, label) in find_labelled(scene_faces(raw[archive], folder)).items()}
    return faces_of(cut, archive, *parts)


def _sized(faces: Labelled, least: int, most: int) -> Labelled:
    return {p: label for p, label in faces.items() if least <= side_of(p) <= most}


def score(
    model: classifier.Classifier, pictures: Labelled, images: np.ndarray | None = None
) -> dict:
    """Accuracy and macro recall on one set, with 95% intervals, and what a user gets wrong.

    Args:
        images: the pictures, uint8 RGB (N, S, S, 3), if they have been read already.

    Returns:
        Figures of the classes that the set has; with all answers `open`, see `open_figures`;
        `calibration_error`; and `sure`, see `sure_figures`.
    """
    labels = [label for label in model.labels if label in set(pictures.values())]
    columns = [model.labels.index(label) for label in labels]
    if images is None:
        images = read_all(list(pictures), model.image_size)
    every = model.predict(images)
    probabilities = every[:, columns]
    truth = np.array([labels.index(v) if v in labels else -1 for v in pictures.values()])
    answers = probabilities.argmax(axis=1)
    names = np.array(list(pictures.values()))
    said = np.array(model.labels)[every.argmax(axis=1)]
    return {
        "images": len(truth),
        "open": open_figures(names, said),
        "sure": sure_figures(names == said, every.max(axis=1), model.sure),
        "calibration_error": calibration_error(
            every, np.array([list(model.labels).index(v) if v in labels else -1 for v in names])),
        **macro_figures(truth, answers),
        "recall": {label: float(np.mean(answers[truth == k] == k)) for k, label in
                   enumerate(labels)},
        "mistakes": [
            {"file": "/".join(path.parts[-3:]), "label": label, "answer": str(answer),
             "probability": float(p.max())}
            for (path, label), answer, p in zip(pictures.items(), said, every) if answer != label
        ][:60],
    }


def sure_figures(right: np.ndarray, probability: np.ndarray, sure: float) -> dict:
    """What the operating point does: which answers are left unsure, and how good the others are.

    Args:
        right: whether each answer is right, bool (N,).
        probability: of each answer (N,), 0..1.
        sure: the operating point.

    Returns:
        `unsure`, the share below it; `right`, the share of right answers above it, None if all are
        unsure.
    """
    kept = probability >= sure
    return {"unsure": float(np.mean(~kept)),
            "right": float(np.mean(right[kept])) if kept.any() else None}


def _turn(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    def turn(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return turn


def _shift(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def shift(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = np.array([[1, 0, share * width], [0, 1, share * height]], np.float32)
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return shift


def _smaller(side: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _tint(gains: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: (image * np.array(gains, np.float32)).clip(0, 255).astype(np.uint8)


MUST_NOT_CHANGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda image: image[:, ::-1],
    "shifted by 5%": _shift(0.05),
    "turned by 20 degrees": _turn(20),
    "turned by -20 degrees": _turn(-20),
    "brightness x 0.6": _tint((0.6, 0.6, 0.6)),
    "brightness x 1.5": _tint((1.5, 1.5, 1.5)),
    "JPEG quality 30": lambda image: reencode(image, 30),
    "48 px": _smaller(48),
    "24 px": _smaller(24),
    "warm cast": _tint((1.2, 1.0, 0.8)),
    "cold cast": _tint((0.8, 1.0, 1.2)),
}
NOT_A_MASK = ("hand", "beard", "scarf_neck", "sunglasses", "microphone", "cup")


def drawings(
    bare: Iterable[np.ndarray], seed: int = 0
) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """Masks worn in every way, and things that are none, drawn on bare faces.

    Args:
        bare: uint8 RGB pictures; those in which no face's shape is found are passed over.

    Yields:
        For each kind its class, its name (`masks.WORN`, NOT_A_MASK) and a picture of each face.
    """
    shaped = [(image, shape) for image in bare if (shape := face_shape(image)) is not None]
    rng = np.random.default_rng(seed)
    for worn in masks.WORN:
        label = "with_mask" if worn == "right" else "incorrect_mask"
        yield label, worn, [masks.draw_mask(i, s, worn, rng) for i, s in shaped]
    for kind in NOT_A_MASK:
        yield "without_mask", kind, [masks.draw_occluder(i, s, kind, rng) for i, s in shaped]


def behaviour(model: classifier.Classifier, pictures: Labelled, seed: int = 0) -> dict:
    """How often the answer stays where it must stay, and changes where it must change.

    Args:
        pictures: 12k Test.

    Returns:
        `unchanged`: per change of the picture, the share of answers that stay; `drawn`: per way a
        mask is drawn onto a bare face, the share of right answers; `not_a_mask`: per thing drawn
        over a bare face, the share not called with_mask.
    """
    images = [read_image(path) for path in pictures]
    answers = _answers(model, images)
    unchanged = {
        name: float(np.mean(_answers(model, [change(image) for image in images]) == answers))
        for name, change in MUST_NOT_CHANGE.items()
    }
    bare = [image for image, label in zip(images, pictures.values()) if label == "without_mask"]
    drawn, not_a_mask = {}, {}
    for label, name, dressed in drawings(bare, seed):
        got = _answers(model, dressed)
        if label == "without_mask":
            not_a_mask[name] = float(np.mean(got != "with_mask"))
        else:
            drawn[name] = float(np.mean(got == label))
    return {"images": len(images), "drawn_on": len(dressed), "unchanged": unchanged,
            "drawn": drawn, "not_a_mask": not_a_mask}


def _answers(model: classifier.Classifier, images: list[np.ndarray]) -> np.ndarray:
    answers = model.predict(stacked(images, model.image_size)).argmax(axis=1)
    return np.array(model.labels)[answers]


def stacked(images: list[np.ndarray], size: int) -> np.ndarray:
    """Pictures of any size, or views of them, as uint8 RGB (N, size, size, 3)."""
    return np.stack([resize(np.ascontiguousarray(image), size) for image in images])


def measure(sets: dict[str, Labelled], models: dict[str, Path]) -> dict:
    """Every figure of every model, by its name; the first is the released one.

    Args:
        sets: what `test_sets` gives.

    Returns:
        sets: number of pictures in each test set; models: per model and set what `score` gives;
        behaviour, tight, incorrect_curve: of the first model.
    """
    report: dict = {"sets": {name: len(pictures) for name, pictures in sets.items()}, "models": {}}
    for name, path in models.items():
        model = classifier.load(path)
        # A two-class model has nothing to say of a set whose one class it does not know.
        report["models"][name] = {
            test: score(model, pictures) for test, pictures in sets.items()
            if set(pictures.values()) & set(model.labels)
        }
    first = classifier.load(next(iter(models.values())))
    report["behaviour"] = behaviour(first, sets["12k Test, published"])
    report["tight"] = {name: tight(first, sets[name]) for name in TIGHT}
    report["incorrect_curve"] = incorrect_curve(
        first, {p: v for name in STREET for p, v in sets[name].items()})
    return report


STREET = ("street faces, 48 px and more", "street faces, 24 to 47 px")
TIGHT = ("12k Test, published", "scene faces, 48 px and more", "street faces, 48 px and more")


def incorrect_curve(model: classifier.Classifier, pictures: Labelled) -> dict:
    """Precision and recall of incorrect_mask, were it said from any probability of it.

    Returns:
        pictures, and of them `incorrect`; `precision`, `recall` and `from`, the probability, each a
        list, recall falling.
    """
    given = model.predict(read_all(list(pictures), model.image_size))
    probability = given[:, model.labels.index("incorrect_mask")]
    truth = np.array([label == "incorrect_mask" for label in pictures.values()])
    precision, recall, least = precision_recall_curve(truth, probability)
    lists = {"precision": precision[:-1], "recall": recall[:-1], "from": least}
    return {"pictures": len(truth), "incorrect": int(truth.sum()),
            **{name: np.round(values, 4).tolist() for name, values in lists.items()}}


def plot_curve(curve: dict, axes: Axes) -> None:
    """Draw precision against recall of incorrect_mask; see `incorrect_curve`."""
    axes.step(curve["recall"], curve["precision"], where="post", color="#CC79A7")
    for least in (0.3, 0.5, 0.7, 0.9):
        point = int(np.searchsorted(curve["from"], least))
        if point < len(curve["from"]):
            at = curve["recall"][point], curve["precision"][point]
            axes.plot(*at, "o", color="#444444", markersize=4)
            axes.annotate(f"from {least}", at, xytext=(4, 4), textcoords="offset points", size=8)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.08), xlabel="recall", ylabel="precision",
             title=f"incorrect_mask: {curve['incorrect']} of {curve['pictures']} faces")
    axes.grid(alpha=0.3)


def tight(model: classifier.Classifier, pictures: Labelled) -> dict[str, float]:
    """The share of answers that stay, by class, on faces cut from brow to chin."""
    images = [read_image(path) for path in pictures]
    stay = _answers(model, images) == _answers(model, [brow_to_chin(image) for image in images])
    truth = np.array(list(pictures.values()))
    return {"all": float(stay.mean()),
            **{label: float(stay[truth == label].mean()) for label in CLASSES if label in truth}}


FORMS = {"released": RELEASE, "released, int8": RELEASE / "model-int8.tflite"}


def update(archives: Path, data_dir: Path) -> dict:
    """Measure the released forms, and put their figures into the report; see `measure`.

    The figures of other models stay, less the sets that are no more.
    """
    report = read_json(RELEASE / "report.json")
    found = measure(test_sets(archives, data_dir), FORMS)
    others = {
        name: {test: row for test, row in rows.items() if test in found["sets"]}
        for name, rows in report["models"].items() if name not in FORMS
    }
    report |= found | {"models": found["models"] | others}
    write_json(RELEASE / "report.json", report)
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--update", action="store_true", help="measure the release anew")
    args = parser.parse_args()
    if args.update:
        result = update(args.archives, args.data_dir)
    else:
        named = {str(p): p for p in args.models} or FORMS
        result = measure(test_sets(args.archives, args.data_dir), named)
    if args.json:
        write_json(args.json, result)
    for model_name, figures in result["models"].items():
        print(model_name)
        for test, row in figures.items():
            given = row.get("open", row)
            print(f"  {test:46} {row['images']:5} open: accuracy {given['accuracy']:.4f}  macro "
                  f"recall {given['macro_recall']:.4f}; the set's classes: {row['accuracy']:.4f}  "
                  f"{row['macro_recall']:.4f}")
    print(result["behaviour"])
