"""How readily the released model says incorrect_mask, and from where it is sure of an answer.

Both are settled on photographs that are neither trained nor tested on: 12k Validation, less what
training pictures copy, and the validation faces of the street photos and of the scenes.

Training pictures are changed so hard that many could be of a mask worn right or wrong, and a fourth
of them is of masks worn wrong; on faces as they are, a model that has learnt to doubt finds masks
worn wrong where there are none. One number, added to the bias of incorrect_mask in the last layer,
makes up for that. Drawings are not asked: what is drawn clearly would have it say incorrect_mask
more readily than photographs bear.
"""

from pathlib import Path

import keras
import numpy as np
from scipy.special import log_softmax, softmax

from facemask import CLASSES
from facemask.copies.duplicates import leave_out_copies
from facemask.images.crops import brow_to_chin
from facemask.images.reading import read_image
from facemask.release.collect import fetch, side_of, training_paths
from facemask.release.measure import Labelled, photo_faces, stacked
from facemask.release.recipe import validation_pictures

SHIFTS = np.arange(-4, 1.01, 0.25)
FALSE = 0.03  # of rightly worn masks, and of bare faces, may be called incorrect
LEAST_SIDE = 24  # pixels; smaller faces on photos decide nothing
UNSURE = 0.08  # at most this share of the faces in photos may be left unsure
RIGHT = 0.97  # of the sure answers, if so many unsure ones allow it
LEVELS = np.arange(0.34, 0.991, 0.01)
TEMPERATURES = np.geomspace(0.25, 4, 49).round(3)


def validation_sets(archives: str | Path, data_dir: str | Path) -> dict[str, Labelled]:
    """The photographs to choose by, from picture to class.

    Of 12k Validation, those that no picture trained on copies: more than half of the masked ones
    were published in its training part as well.
    """
    raw, folder = fetch(archives, data_dir), Path(data_dir) / "release"
    by_kind, _ = training_paths(raw, folder)
    found = validation_pictures(archives, data_dir)
    trained = [path for paths in by_kind.values() for path in paths]
    copied = leave_out_copies(list(found), trained, folder / "copies.npz")
    sets = {"12k": {path: label for (path, label), copy in zip(found.items(), copied, strict=True)
                    if not copy}}  # fmt: skip
    for name in ("street", "scenes"):
        faces = photo_faces(raw, data_dir, name, "validation")
        sets[name] = {p: label for p, label in faces.items() if side_of(p) >= LEAST_SIDE}
    # Those of the scenes are in the three-class archive, which is trained on.
    sets["scenes"] = {p: v for p, v in sets["scenes"].items() if v != "incorrect_mask"}
    return sets


def settle(model: keras.Model, sets: dict[str, Labelled]) -> dict:
    """Settle the model's last layer in place, and from where its answers are sure.

    First the bias of incorrect_mask is shifted up to where, in every set, at most FALSE of the
    rightly worn masks and at most FALSE of the bare faces are called incorrect. Then all logits
    are divided by a temperature, which changes no answer, to where the negative log likelihood is
    lowest (Guo et al. 2017, arXiv 1706.04599), every set counting alike. Last, on faces in photos,
    an answer is sure from the lowest probability at which RIGHT of the sure ones are right, or
    else from where UNSURE of them are unsure.

    Args:
        model: from float32 RGB (N, S, S, 3), 0..255, to softmax (N, 3), its last layer Dense.
        sets: photographs that are neither trained nor tested on; the first is of one face each,
            the others of faces in photos.

    Returns:
        shift; called_incorrect: at each shift (as text) the largest share that is wrongly called
        so, and mean_recall, over the sets; recall: at the chosen one, of each set's classes, and
        of the same pictures cut from brow to chin; temperature; sure: the least probability of a
        sure answer; unsure: the share of faces in photos below it; sure_right: the share of right
        answers above it.
    """
    whole, cut = {}, {}
    for name, pictures in sets.items():
        images = [read_image(path) for path in pictures]
        truth = np.array([CLASSES.index(label) for label in pictures.values()])
        whole[name] = _logits(model, images), truth
        cut[f"{name}, brow to chin"] = _logits(model, [brow_to_chin(i) for i in images]), truth

    def recalls(shift: float) -> dict[str, dict[str, float]]:
        more = np.array([0, 0, shift])
        return {
            name: {CLASSES[k]: float(np.mean((logits + more).argmax(axis=1)[truth == k] == k))
                   for k in np.unique(truth)}
            for name, (logits, truth) in (whole | cut).items()
        }  # fmt: skip

    def falsely(shift: float) -> float:
        more = np.array([0, 0, shift])
        return max(float(np.mean((logits + more).argmax(axis=1)[truth == k] == 2))
                   for logits, truth in whole.values() for k in (0, 1))

    called = {shift: falsely(shift) for shift in SHIFTS.tolist()}
    means = {shift: float(np.mean([np.mean([*recalls(shift)[name].values()]) for name in sets]))
             for shift in called}
    best = max([shift for shift, share in called.items() if share <= FALSE], default=min(called))
    shifted = [(logits + np.array([0, 0, best]), truth) for logits, truth in whole.values()]

    def surprise(temperature: float) -> float:
        return float(np.mean([
            -np.mean(log_softmax(logits / temperature, axis=1)[np.arange(len(truth)), truth])
            for logits, truth in shifted
        ]))  # fmt: skip

    temperature = min(TEMPERATURES.tolist(), key=surprise)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([
        kernel / temperature, (bias + np.array([0, 0, best], np.float32)) / temperature
    ])
    rows = np.concatenate([softmax(logits / temperature, axis=1) for logits, _ in shifted[1:]])
    right = rows.argmax(axis=1) == np.concatenate([truth for _, truth in shifted[1:]])
    return {"shift": best,
            "called_incorrect": {f"{k:+.2f}": v for k, v in called.items()},
            "mean_recall": {f"{k:+.2f}": v for k, v in means.items()},
            "recall": recalls(best), "temperature": temperature,
            **sure_from(rows.max(axis=1), right)}


def sure_from(probability: np.ndarray, right: np.ndarray) -> dict:
    """From what probability answers are sure; see `settle`.

    Args:
        probability: of each answer (N,), 0..1.
        right: whether it is right, bool (N,).
    """
    chosen = {"sure": 0.0, "unsure": 0.0, "sure_right": float(right.mean())}
    for level in LEVELS.round(2).tolist():
        sure = probability >= level
        if chosen["sure_right"] >= RIGHT or np.mean(~sure) > UNSURE:
            break
        chosen = {"sure": level, "unsure": float(np.mean(~sure)),
                  "sure_right": float(right[sure].mean())}
    return chosen


def _logits(model: keras.Model, images: list[np.ndarray]) -> np.ndarray:
    """Logarithms of the probabilities, float (N, 3); what softmax takes but for a constant."""
    inputs = stacked(images, model.input_shape[1]).astype(np.float32)
    found = model.predict(inputs, batch_size=64, verbose=0)
    return np.log(np.maximum(found, 1e-9))
