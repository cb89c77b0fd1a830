"""Judge pictures with a trained model: find the faces, classify each, show the answers.

What `judge` says about a picture is a dict with the same fields everywhere: in Python, in the
files that `--json` writes, and (as columns) in those that `--csv` writes.

    width, height   of the picture in pixels, after its EXIF rotation
    judged          "faces": each face by itself; "whole picture": it is one face, cut out tightly;
                    "no face": none was found; `whole` says how the picture would be judged as if
                    it were a face, which may mean nothing, and is not shown
    faces           a list, best found first, empty unless `judged` is "faces"; for each:
        box             [x, y, width, height] in pixels, x and y of its left top corner
        label           the class with the highest probability
        probability     of that class, 0..1
        sure            whether that is at least the model's operating point; if not, the answer is
                        to be taken for "unsure", whatever the label
        probabilities   of every class, by its name, in the model's order
        score           how sure the face finder is that it is a face, 0..1
    whole           label, probability, sure and probabilities of the whole picture, or null if
                    `judged` is "faces"

In lists of answers, `file` comes first: the name as given or found.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemask.images.crops import crop_faces, resize
from facemask.images.reading import find_images, read_image
from facemask.io.files import FacemaskError
from facemask.models.classifier import Classifier
from facemask.photos import finder

# What the usual training crops leave round a face: the median over bare faces of 12k's Train.
MARGIN = 0.1


class Cut(NamedTuple):
    """A picture after the face finder: what the classifier is to be shown."""

    width: int
    height: int
    judged: str
    boxes: np.ndarray  # as `finder.find_faces` gives them, (N, 5)
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
    return cut_found(image, finder.find_faces(image), size, margin)


def cut_found(image: np.ndarray, boxes: np.ndarray, size: int, margin: float = MARGIN) -> Cut:
    """`cut` for faces that have been found: boxes (N, 5) as `finder.find_faces` gives them."""
    if finder.is_face_crop(image, boxes):
        judged = "whole picture"
    else:
        judged = "faces" if len(boxes) else "no face"
    if judged == "faces":
        crops = crop_faces(image, boxes, size, margin)
    else:
        crops = resize(image, size, size)[None]
    return Cut(image.shape[1], image.shape[0], judged, boxes, crops)


def describe(found: Cut, probabilities: np.ndarray, model: Classifier) -> dict:
    """The answer about one picture; see the module's text.

    Args:
        found: from `cut`.
        probabilities: what the model gives for `found.crops`, (N, len(model.labels)), 0..1.
    """
    verdicts = [verdict(row, model) for row in probabilities]
    by_face = found.judged == "faces"
    return {
        "width": found.width,
        "height": found.height,
        "judged": found.judged,
        "faces": [
            {"box": _round(box[:4], 1), **said, "score": _round(box[4:], 4)[0]}
            for box, said in zip(found.boxes, verdicts, strict=True)
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
    return describe(found, model.predict(found.crops), model)


def verdicts(answer: dict) -> list[dict]:
    """Each judged face of an answer, with label and probabilities; none if none was found."""
    return [answer["whole"]] if answer["judged"] == "whole picture" else answer["faces"]


def summarise(answers: Iterable[dict], labels: Sequence[str]) -> dict:
    """Count many answers: pictures, pictures without a face, faces, and faces by sure label.

    Args:
        answers: from `predict` or read back from a `--json` file; errors are counted apart.

    Returns:
        `pictures`, `unreadable`, `no_face`, `faces`, `labels` (label to number of faces that are
        surely so), `unsure` (number of the other faces) and `masked`, the share of with_mask among
        sure faces (None without any).
    """
    counts = dict.fromkeys(labels, 0)
    pictures = unreadable = no_face = unsure = 0
    for answer in answers:
        if "error" in answer:
            unreadable += 1
            continue
        pictures += 1
        no_face += answer["judged"] == "no face"
        for said in verdicts(answer):
            if said["sure"]:
                counts[said["label"]] = counts.get(said["label"], 0) + 1
            else:
                unsure += 1
    total = sum(counts.values())
    return {
        "pictures": pictures,
        "unreadable": unreadable,
        "no_face": no_face,
        "faces": total + unsure,
        "labels": counts,
        "unsure": unsure,
        "masked": counts.get("with_mask", 0) / total if total else None,
    }


def predict(
    pictures: Sequence[str | Path], model: Classifier
) -> tuple[list[dict], list[str]]:
    """Judge some pictures; folders stand for the pictures in them.

    For very many, use `batch.stream`, which works on several at once.

    Args:
        pictures: files and folders.
        model: from `classifier.load`.

    Returns:
        The answers (see the module's text), with `label`, `probability`, `sure` and
        `probabilities` of the largest face or else of the whole picture besides, and a message for
        each picture that could not be read.

    Raises:
        FacemaskError: not one picture could be read, or the face finder is missing.
    """
    finder.released()  # if it is missing, that is said once and not of each picture
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
        main = {key: main[key] for key in ("label", "probability", "sure", "probabilities")}
        answers.append({"file": str(path), **main, **answer})
    if not answers:
        raise FacemaskError("; ".join(problems) or "there is no picture to classify; name some")
    return answers, problems


def verdict(row: np.ndarray, model: Classifier) -> dict:
    """What the model says of one face, of probabilities (len(labels),); see the module's text."""
    values = _round(row, 6)
    best = int(np.argmax(values))
    return {
        "label": model.labels[best],
        "probability": values[best],
        "sure": values[best] >= model.sure,
        "probabilities": dict(zip(model.labels, values, strict=True)),
    }


def _round(values: Iterable[float], digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]
