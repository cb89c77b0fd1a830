"""Judge pictures with a trained model: find the faces, classify each, show the answers.

What `judge` says about a picture is a dict with the same fields everywhere: in Python, in the
files that `--json` writes, and (as columns) in those that `--csv` writes.

    width, height   of the picture in pixels, after its EXIF rotation
    judged          "faces": each face by itself; "whole picture": it is one face, cut out tightly;
                    "no face": none was found, so `whole` says how the picture would be judged as
                    if it were a face, which may mean nothing
    faces           a list, best found first, empty unless `judged` is "faces"; for each:
        box             [x, y, width, height] in pixels, x and y of its left top corner
        label           the class with the highest probability
        probability     of that class, 0..1
        probabilities   of every class, by its name, in the model's order
        score           how sure the face finder is that it is a face, 0..1
    whole           label, probability and probabilities of the whole picture, or null if `judged`
                    is "faces"

In lists of answers, `file` comes first: the name as given or found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemask import faces
from facemask.files import RELEASE as RELEASE  # judges unless told other
from facemask.files import FacemaskError, find_images, read_image, write_whole

if TYPE_CHECKING:  # TensorFlow and Matplotlib take seconds to import, and not all need them
    from matplotlib.figure import Figure

    from facemask.classifier import Classifier

# From Okabe and Ito's palette, which colour-blind people can tell apart; the text says it too.
COLOURS = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}
# What the usual training crops leave round a face: the median over bare faces of 12k's Train.
MARGIN = 0.1


class Cut(NamedTuple):
    """A picture after the face finder: what the classifier is to be shown."""

    width: int
    height: int
    judged: str
    boxes: np.ndarray  # as `faces.find_faces` gives them, (N, 5)
    crops: np.ndarray  # uint8 RGB (N, S, S, 3); the whole picture unless `judged` is "faces"


def cut(image: np.ndarray, size: int, margin: float = MARGIN) -> Cut:
    """Find the faces of a picture and cut out what is to be classified.

    Args:
        image: uint8 RGB (H, W, 3).
        size: side of the classifier's input in pixels.
        margin: added on each side of a face, as a fraction of its box's longer side.

    Raises:
        FacemaskError: the array is no picture, or the face detector is not installed.
    """
    return cut_found(image, faces.find_faces(image), size, margin)


def cut_found(image: np.ndarray, boxes: np.ndarray, size: int, margin: float = MARGIN) -> Cut:
    """`cut` for faces that have been found: boxes (N, 5) as `faces.find_faces` gives them."""
    if faces.is_face_crop(image, boxes):
        judged = "whole picture"
    else:
        judged = "faces" if len(boxes) else "no face"
    if judged == "faces":
        crops = faces.crops(image, boxes, size, margin)
    else:
        crops = faces.resize(image, size, size)[None]
    return Cut(image.shape[1], image.shape[0], judged, boxes, crops)


def describe(found: Cut, probabilities: np.ndarray, labels: Sequence[str]) -> dict:
    """The answer about one picture; see the module's text.

    Args:
        found: from `cut`.
        probabilities: what the model gives for `found.crops`, (N, len(labels)), 0..1.
        labels: the model's.
    """
    verdicts = [_verdict(row, labels) for row in probabilities]
    by_face = found.judged == "faces"
    return {
        "width": found.width,
        "height": found.height,
        "judged": found.judged,
        "faces": [
            {"box": _round(box[:4], 1), **verdict, "score": _round(box[4:], 4)[0]}
            for box, verdict in zip(found.boxes, verdicts, strict=True)
        ]
        if by_face
        else [],
        "whole": None if by_face else verdicts[0],
    }


def judge(image: np.ndarray, model: Classifier, margin: float = MARGIN) -> dict:
    """Find the faces in a picture and classify all of them in one batch.

    Args:
        image: uint8 RGB (H, W, 3), of any size.
        model: from `classifier.load`.
        margin: see `cut`.

    Returns:
        The answer; see the module's text.

    Raises:
        FacemaskError: see `cut`.
    """
    found = cut(image, model.image_size, margin)
    return describe(found, model.predict(found.crops), model.labels)


def verdicts(answer: dict) -> list[dict]:
    """Each judged face of an answer, with label and probabilities; none if none was found."""
    return [answer["whole"]] if answer["judged"] == "whole picture" else answer["faces"]


def summarise(answers: Iterable[dict], labels: Sequence[str]) -> dict:
    """Count many answers: pictures, pictures without a face, faces, and faces by label.

    Args:
        answers: from `predict` or read back from a `--json` file; errors are counted apart.

    Returns:
        `pictures`, `unreadable`, `no_face`, `faces`, `labels` (label to number of faces) and
        `masked`, the share of faces labelled with_mask (None without faces).
    """
    counts = dict.fromkeys(labels, 0)
    pictures = unreadable = no_face = 0
    for answer in answers:
        if "error" in answer:
            unreadable += 1
            continue
        pictures += 1
        no_face += answer["judged"] == "no face"
        for verdict in verdicts(answer):
            counts[verdict["label"]] += 1
    total = sum(counts.values())
    return {
        "pictures": pictures,
        "unreadable": unreadable,
        "no_face": no_face,
        "faces": total,
        "labels": counts,
        "masked": counts.get("with_mask", 0) / total if total else None,
    }


def predict(
    pictures: Sequence[str | Path], model: Classifier
) -> tuple[list[dict], list[str]]:
    """Judge some pictures; folders stand for the pictures in them.

    For very many, use `photos.stream`, which works on several at once.

    Args:
        pictures: files and folders.
        model: from `classifier.load`.

    Returns:
        The answers (see the module's text), with `label`, `probability` and `probabilities` of
        the largest face or else of the whole picture besides, and a message for each picture
        that could not be read.

    Raises:
        FacemaskError: not one picture could be read.
    """
    paths = []
    for path in map(Path, pictures):
        paths += find_images(path) if path.is_dir() else [path]
    answers, problems = [], []
    for path in paths:
        try:
            answer = judge(read_image(path), model)
        except FacemaskError as error:
            problems.append(str(error))
            continue
        main = answer["whole"] or max(answer["faces"], key=lambda f: f["box"][2] * f["box"][3])
        main = {key: main[key] for key in ("label", "probability", "probabilities")}
        answers.append({"file": str(path), **main, **answer})
    if not answers:
        raise FacemaskError("; ".join(problems) or "there is no picture to classify; name some")
    return answers, problems


def draw(
    answers: Sequence[dict], columns: int = 4, images: Sequence[np.ndarray] | None = None
) -> Figure:
    """Show pictures with their faces boxed and labelled; one large, several as a grid.

    Args:
        answers: from `predict` or `judge`.
        columns: of the grid.
        images: the pictures with the answers drawn on them, if they are at hand; else the files
            are read again.
    """
    from matplotlib.figure import Figure

    from facemask.annotate import annotate

    columns = min(columns, len(answers))
    rows = -(-len(answers) // columns)
    side = 5 if len(answers) == 1 else 2.6
    figure = Figure(figsize=(side * columns, (side + 0.3) * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for number, answer in enumerate(answers):
        image = images[number] if images else annotate(read_image(answer["file"]), answer)
        axes[number].imshow(image)
        title, colour = headline(answer)
        axes[number].set_title(title, color=colour, size="medium")
        axes[number].set(xticks=[], yticks=[])
        for spine in axes[number].spines.values():
            spine.set(color=colour, linewidth=4)
    for empty in axes[len(answers) :]:
        empty.set_visible(False)
    return figure


def headline(answer: dict) -> tuple[str, str]:
    """An answer in a few words, and the colour that goes with it."""
    if answer["judged"] == "faces" and len(answer["faces"]) > 1:
        return f"{len(answer['faces'])} faces", "black"
    verdict = answer["whole"] or answer["faces"][0]
    text = f"{verdict['label']} {verdict['probability']:.1%}"
    if answer["judged"] == "no face":
        return f"no face; whole: {text}", "black"
    return text, COLOURS.get(verdict["label"], "black")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a picture, in the format that the name ends in, whole or not at all."""
    import matplotlib

    if Path(path).suffix.lstrip(".").lower() not in figure.canvas.get_supported_filetypes():
        raise FacemaskError(f"{path} does not end like a picture format; use .png or .jpg")
    with write_whole(path) as partial, matplotlib.rc_context({"savefig.dpi": 120}):
        figure.savefig(partial)


def _verdict(row: np.ndarray, labels: Sequence[str]) -> dict:
    return {
        "label": labels[int(row.argmax())],
        "probability": _round([row.max()], 6)[0],
        "probabilities": dict(zip(labels, _round(row, 6), strict=True)),
    }


def _round(values: Sequence[float], digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]
