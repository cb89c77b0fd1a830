"""Judged pictures as a Matplotlib figure: one large, several as a grid."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, printable, write_whole
from facemask.photos.annotate import annotate, colour_of, said

SMALL = 480  # pixels of a picture's longer side in a grid
LARGER = 1.5  # its letters
LONGEST = 30  # letters of a name in a grid

if TYPE_CHECKING:  # Matplotlib takes a second to import, and not all need it
    from matplotlib.figure import Figure


def draw(
    answers: Sequence[dict], columns: int = 4, images: Sequence[np.ndarray] | None = None
) -> Figure:
    """Show pictures with their faces boxed and labelled; one large, several as a grid.

    Args:
        answers: from `predict` or `judge`.
        columns: of the grid.
        images: the pictures with the answers drawn on them, of several as `thumbnail` does, if they
            are at hand; else the files are read again.
    """
    from matplotlib.figure import Figure

    columns = min(columns, len(answers))
    rows = -(-len(answers) // columns)
    side = 5 if len(answers) == 1 else 2.6
    figure = Figure(figsize=(side * columns, (side + 0.3) * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for number, answer in enumerate(answers):
        if images:
            image = images[number]
        else:
            show = annotate if len(answers) == 1 else thumbnail
            image = show(read_image(answer["file"]), answer)
        axes[number].imshow(image)
        title, colour = headline(answer)
        if len(answers) > 1 and "file" in answer:
            title = f"{_short(Path(answer['file']).name)}\n{title}"
        axes[number].set_title(title, color=colour, size="medium", parse_math=False)
        axes[number].set(xticks=[], yticks=[])
        for spine in axes[number].spines.values():
            spine.set(color=colour, linewidth=4)
    for empty in axes[len(answers) :]:
        empty.set_visible(False)
    return figure


def thumbnail(image: np.ndarray, answer: dict) -> np.ndarray:
    """A picture, made small, with its answer drawn on it in letters that can be read so."""
    small = Image.fromarray(image)
    small.thumbnail((SMALL, SMALL))
    scale = small.width / image.shape[1]
    faces = [face | {"box": [value * scale for value in face["box"]]} for face in answer["faces"]]
    return annotate(np.asarray(small), answer | {"faces": faces}, larger=LARGER)


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 + 1 :]}"


def headline(answer: dict) -> tuple[str, str]:
    """An answer in a few words, and the colour that goes with it."""
    if answer["judged"] == "faces" and len(answer["faces"]) > 1:
        return f"{len(answer['faces'])} faces", "black"
    if answer["judged"] == "no face":
        return "no face found", "black"
    verdict = answer["whole"] or answer["faces"][0]
    return said(verdict), colour_of(verdict)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a picture, in the format that the name ends in, whole or not at all."""
    import matplotlib

    form, content = Path(path).suffix.lstrip(".").lower(), io.BytesIO()
    if form not in figure.canvas.get_supported_filetypes():
        raise FacemaskError(f"{path} does not end like a picture format; use .png or .jpg")
    with matplotlib.rc_context({"savefig.dpi": 120}):
        figure.savefig(content, format=form)
    with write_whole(path) as partial:  # not by Matplotlib, see `images.writing`
        partial.write_bytes(content.getvalue())
