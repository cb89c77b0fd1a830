"""Trainings that can be cut off at any moment: what is kept of an epoch, and how they go on.

Keras' own BackupAndRestore keeps weights and epoch in two files, written in place, and removes
them before the finished model is there: killed at the wrong moment, it goes on from half a file,
or from one epoch's weights as another's, or starts anew. Where the dropout layers' random numbers
stand it does not keep.
"""

from pathlib import Path

import keras
import numpy as np

from facemask.io.files import sweep, write_whole

NAME = "checkpoint.npz"


class Checkpoint(keras.callbacks.Callback):
    """Keeps all that a training has come to after every epoch, in one file, whole or not at all.

    The last callback of a training: what others write of an epoch is there before it counts.

    Args:
        folder: of the training, where `NAME` is written.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.path = folder / NAME

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        write_arrays(self.path, [v.numpy() for v in _variables(self.model)], epoch + 1)


def go_on(folder: Path, model: keras.Model) -> int:
    """Bring a compiled model to a training's checkpoint, if there is one.

    history.csv is cut back to it: an epoch that was cut off is done again.

    Returns:
        The epochs that are done: `initial_epoch` of `fit`, which must begin with the pictures of
        that epoch.
    """
    sweep(folder)
    path, history, done = folder / NAME, folder / "history.csv", 0
    if path.is_file():
        model.optimizer.build(model.trainable_variables)
        arrays, done = read_arrays(path)
        for variable, array in zip(_variables(model), arrays, strict=True):
            variable.assign(array)
    if history.is_file():
        rows = history.read_bytes().splitlines(keepends=True)
        with write_whole(history) as partial:
            partial.write_bytes(b"".join(rows[: done + 1] if done else []))
    return done


def clear_up(folder: Path) -> None:
    """Remove what only a training that goes on needs; to call once its model is written."""
    (folder / NAME).unlink(missing_ok=True)
    sweep(folder)


def write_arrays(path: Path, arrays: list[np.ndarray], epochs: int) -> None:
    """Write arrays, and of which epoch they are, whole or not at all."""
    with write_whole(path) as partial:
        np.savez(partial, *arrays, epochs=epochs)


def read_arrays(path: Path) -> tuple[list[np.ndarray], int]:
    """What `write_arrays` wrote."""
    with np.load(path) as kept:
        return [kept[f"arr_{number}"] for number in range(len(kept) - 1)], int(kept["epochs"])


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Weights, random numbers and the optimizer's."""
    return [*model.variables, *model.optimizer.variables]
