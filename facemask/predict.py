"""Classify pictures with a trained model and draw the answers over them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from facemask import classifier
from facemask.files import FacemaskError, find_images, read_image, write_whole
from facemask.prepare import resize

# From Okabe and Ito's palette, which colour-blind people can tell apart; the text says it too.
COLOURS = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}


def predict(
    pictures: Sequence[str | Path], model: classifier.Classifier
) -> tuple[list[dict], list[str]]:
    """Classify whole pictures; folders stand for the pictures in them.

    Args:
        pictures: files and folders.
        model: from `classifier.load`.

    Returns:
        The answers, one dict per picture with `file`, `label`, `probability` and `probabilities`
        (label to probability), and a message for each picture that could not be read.

    Raises:
        FacemaskError: not one picture could be read.
    """
    paths = []
    for path in map(Path, pictures):
        paths += find_images(path) if path.is_dir() else [path]
    read, problems = [], []
    for path in paths:
        try:
            read.append((path, resize(read_image(path), model.image_size)))
        except FacemaskError as error:
            problems.append(str(error))
    if not read:
        raise FacemaskError("; ".join(problems) or "there is no picture to classify; name some")
    probabilities = model.predict(np.stack([image for _, image in read]))
    answers = [
        {
            "file": str(path),
            "label": model.labels[row.argmax()],
            "probability": float(row.max()),
            "probabilities": dict(zip(model.labels, map(float, row))),
        }
        for (path, _), row in zip(read, probabilities)
    ]
    return answers, problems


def draw(answers: Sequence[dict], columns: int = 4) -> Figure:
    """Show pictures with their label and probability; one large, several as a grid."""
    columns = min(columns, len(answers))
    rows = -(-len(answers) // columns)
    side = 5 if len(answers) == 1 else 2.6
    figure = Figure(figsize=(side * columns, (side + 0.3) * rows), layout="constrained")
    for axes, answer in zip(figure.subplots(rows, columns, squeeze=False).flat, answers):
        axes.imshow(read_image(answer["file"]))
        colour = COLOURS.get(answer["label"], "black")
        axes.set_title(f"{answer['label']} {answer['probability']:.1%}", color=colour, size="medium")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=4)
    for axes in figure.axes[len(answers) :]:
        axes.set_visible(False)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a picture, in the format that the name ends in, whole or not at all."""
    if Path(path).suffix.lstrip(".").lower() not in figure.canvas.get_supported_filetypes():
        raise FacemaskError(f"{path} does not end like a picture format; use .png or .jpg")
    with write_whole(path) as partial, matplotlib.rc_context({"savefig.dpi": 120}):
        figure.savefig(partial)
