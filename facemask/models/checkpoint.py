"""Trainings that can be cut off at any moment: what is kept of an epoch, and how they go on.

Keras' own BackupAndRestore keeps weights and epoch in two files, written in place, and removes
them before the finished model is there: killed at the wrong moment, it goes on from half a file,
or from one epoch's weights as another's, or starts anew.
"""

from pathlib import Path

import h5py
import keras

from facemask.io.files import sweep, write_whole

NAME = "checkpoint.weights.h5"


class Checkpoint(keras.callbacks.Callback):
    """Keeps weights, optimizer and epoch after every epoch, in one file, whole or not at all.

    The last callback of a training: what others write of an epoch is there before it counts.

    Args:
        folder: of the training, where `NAME` is written.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.path = folder / NAME

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        with write_whole(self.path) as partial:
            self.model.save_weights(partial)
            with h5py.File(partial, "r+") as file:
                file.attrs["epochs"] = epoch + 1
                for number, state in enumerate(_chances(self.model)):
                    file.attrs[f"chance {number}"] = state.numpy()


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
        model.load_weights(path)
        with h5py.File(path) as file:
            done = int(file.attrs["epochs"])
            for number, state in enumerate(_chances(model)):
                state.assign(file.attrs[f"chance {number}"])
    if history.is_file():
        rows = history.read_text().splitlines(keepends=True)
        with write_whole(history) as partial:
            partial.write_text("".join(rows[: done + 1] if done else []))
    return done


def clear_up(folder: Path) -> None:
    """Remove what only a training that goes on needs; to call once its model is written."""
    (folder / NAME).unlink(missing_ok=True)
    sweep(folder)


def _chances(model: keras.Model) -> list[keras.Variable]:
    """Where the dropout layers' random numbers stand, which Keras does not save with weights."""
    saved = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]
