"""Trained anew on parts of the data: group-aware folds, and a learning curve by size.

Many trainings on two cores are affordable only if each is short, so these run at half the
resolution and for 40 to 600 steps (`schedule`): they compare parts of the data with each other,
not with the finished model.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.stats import t as student
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from facemask.copies import duplicates
from facemask.datasets.prepare import split_files
from facemask.io.files import FacemaskError, read_json, write_json
from facemask.metrics.classification import accuracy_with_interval
from facemask.models.networks import MODELS
from facemask.models.train import augmented, class_weights

EPOCHS, LEAST_STEPS, MOST_STEPS = 3, 40, 600  # of a short training
SCORED = 2000  # training pictures that a short training is scored on, at most
SMALL_POOL, FEW_FOLDS, FOLDS = 2000, 3, 5  # below that many pictures, fewer folds
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training pictures, for the learning curve


def schedule(images: int, batch_size: int = 32) -> int:
    """Steps of a short training: three epochs, but at least 40 steps and at most 600."""
    return int(np.clip(EPOCHS * -(-images // batch_size), LEAST_STEPS, MOST_STEPS))


def fold_count(images: int) -> int:
    """5 folds; 3 of a small pool."""
    return FEW_FOLDS if images < SMALL_POOL else FOLDS


def shares_for(images: int) -> tuple[float, ...]:
    """The shares for the learning curve; of a small pool the smallest would be a few pictures."""
    return SHARES[1:] if images < SMALL_POOL else SHARES


def pool(split_folder: str | Path) -> tuple[list[str], np.ndarray]:
    """Files (relative) and class numbers of train and validation, in the order used for folds."""
    labels = read_json(Path(split_folder) / "prepare.json")["labels"]
    files = split_files(split_folder, "train") + split_files(split_folder, "validation")
    return files, np.array([labels.index(file.split("/")[1]) for file in files])


def group_kfold(
    split_folder: str | Path, run: str | Path, model_name: str,
    group_ids: Sequence[int] | np.ndarray | None = None, folds: int = FOLDS,
    steps: int | None = None, batch_size: int = 32, seed: int = 0, progress: bool = True,
) -> dict:
    """Train once per fold, for a short time, with copies never on both sides.

    Train and validation are pooled and dealt into stratified folds (scikit-learn); the test split
    is not touched. Every finished training is written to <run>/<model>/short_trainings.json, and a
    run that was cut off goes on after the last of them.

    Args:
        split_folder: written by `prepare`.
        run: the run's folder, such as models/sample.
        group_ids: (N,) group of copies of each picture in the order of `pool`; None: found here.
        steps: of each training, over which the learning rate falls to 0; None: see `schedule`.

    Returns:
        steps; image_size; folds: per fold images, train and held_out (accuracy, interval) and
        seconds; held_out: mean and sd over the folds; gap: mean of train less held-out accuracy
        and its 95% interval by Student's t. (Folds share training pictures, so the interval is a
        little too narrow: Bengio and Grandvalet, JMLR 2004.)

    Raises:
        FacemaskError: too few pictures for the folds, unknown model, no split folder.
    """
    short = _Short(split_folder, run, model_name, group_ids, folds, steps, batch_size, seed)
    return _kfold(short, progress)


def fold_settings(
    split_folder: str | Path, model_name: str, group_ids: Sequence[int] | np.ndarray, folds: int
) -> dict:
    """What the trainings of `group_kfold` depend on, at its own schedule; nothing is trained.

    Raises:
        FacemaskError: as `group_kfold`.
    """
    return _Short(split_folder, None, model_name, group_ids, folds, None, 32, 0).done["settings"]


def train_fold(
    split_folder: str | Path, model_name: str, fold: int, group_ids: Sequence[int] | np.ndarray,
    folds: int = FOLDS, seed: int = 0,
) -> dict:
    """One training of `group_kfold` alone, for another process or machine; nothing is written.

    Args:
        fold: its number, from 0.

    Returns:
        The same as `folds` has there.

    Raises:
        FacemaskError: as `group_kfold`.
    """
    return _Short(split_folder, None, model_name, group_ids, folds, None, 32, seed).train(fold, 1.0)


def _kfold(short: "_Short", progress: bool) -> dict:
    folds = len(short.folds)
    numbers = tqdm(range(folds), desc=f"Folds of {short.model_name}", disable=not progress)
    results = [short.train(fold, 1.0) for fold in numbers]
    held = np.array([r["held_out"]["accuracy"] for r in results])
    gaps = np.array([r["train"]["accuracy"] for r in results]) - held
    reach = student.ppf(0.975, folds - 1) * gaps.std(ddof=1) / np.sqrt(folds)
    return {
        "steps": short.steps,
        "image_size": short.size,
        "folds": results,
        "held_out": {"mean": float(held.mean()), "sd": float(held.std(ddof=1))},
        "gap": {
            "value": float(gaps.mean()),
            "interval": [float(gaps.mean() - reach), float(gaps.mean() + reach)],
        },
    }


def learning_curve_by_size(
    split_folder: str | Path, run: str | Path, model_name: str,
    group_ids: Sequence[int] | np.ndarray | None = None, shares: Sequence[float] = SHARES,
    folds: int = FOLDS, steps: int | None = None, batch_size: int = 32, seed: int = 0,
    progress: bool = True,
) -> list[dict]:
    """Accuracy against the number of training pictures, on the first fold of `group_kfold`.

    Each share holds the smaller ones, class by class, and is trained for as many steps as the
    whole, so that only the number of pictures differs. The last point is the fold's own training
    and costs nothing if `group_kfold` has run with the same settings.

    Returns:
        Per share, in the order given: share, images, train, held_out and seconds.

    Raises:
        FacemaskError: as `group_kfold`; or a share is not above 0 and at most 1.
    """
    if not all(0 < share <= 1 for share in shares):
        raise FacemaskError(f"shares of the training pictures lie in 0..1, not {list(shares)}")
    short = _Short(split_folder, run, model_name, group_ids, folds, steps, batch_size, seed)
    return _curve(short, shares, progress)


def _curve(short: "_Short", shares: Sequence[float], progress: bool) -> list[dict]:
    parts = tqdm(shares, desc=f"Learning curve of {short.model_name}", disable=not progress)
    return [{"share": share, **short.train(0, share)} for share in parts]


def folds_and_curve(
    split_folder: str | Path, run: str | Path, model_name: str,
    group_ids: Sequence[int] | np.ndarray, progress: bool = True,
) -> tuple[dict, list[dict]]:
    """`group_kfold` and `learning_curve_by_size` as suit the number of pictures.

    The network is built and compiled once for all of their trainings.
    """
    images = len(group_ids)
    short = _Short(split_folder, run, model_name, group_ids, fold_count(images), None, 32, 0)
    return _kfold(short, progress), _curve(short, shares_for(images), progress)


class _Short:
    """Short trainings on parts of the pool, each done once and remembered in a file of the run."""

    def __init__(
        self, split_folder: str | Path, run: str | Path | None, model_name: str,
        group_ids: Sequence[int] | np.ndarray | None, folds: int, steps: int | None,
        batch_size: int, seed: int,
    ):
        if model_name not in MODELS:
            raise FacemaskError(f"unknown model {model_name!r}; choose from {', '.join(MODELS)}")
        self.facts = read_json(Path(split_folder) / "prepare.json")
        self.model_name, self.batch_size, self.seed = model_name, batch_size, seed
        # Below 24 pixels the baseline's third convolution has nothing left to see.
        self.size = max(self.facts["settings"]["image_size"] // 2, 24)
        self.model: keras.Model | None = None
        files, self.classes = pool(split_folder)
        self.paths = np.array([str(Path(split_folder) / file) for file in files])
        if group_ids is None:
            group_ids = duplicates.group_pictures(self.paths.tolist())
        groups = np.asarray(group_ids)
        if len(groups) != len(files):
            raise FacemaskError(f"{len(groups)} group numbers were given for {len(files)} pictures")
        least = min(len(np.unique(groups[self.classes == c])) for c in np.unique(self.classes))
        if least < folds or folds < 2:
            raise FacemaskError(
                f"{folds} folds need 2 and at most as many as there are different pictures of the "
                f"rarest class ({least})"
            )
        dealt = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        self.folds = list(dealt.split(self.paths, self.classes, groups))
        self.steps = steps or schedule(len(files) * (folds - 1) // folds, batch_size)
        self.store = Path(run) / model_name / "short_trainings.json" if run else None
        dealt_out = np.concatenate([held_out for _, held_out in self.folds])
        settings = {
            "model": model_name, "data": self.facts["settings"], "labels": self.facts["labels"],
            "folds": folds, "steps": self.steps, "batch_size": batch_size, "seed": seed,
            "image_size": self.size,
            "dealt": hashlib.sha256(dealt_out.astype("<i8").tobytes()).hexdigest()[:16],
        }
        self.done = {"settings": settings, "trainings": {}}
        if self.store and self.store.is_file():
            stored = read_json(self.store)
            if stored["settings"] == settings:
                self.done = stored

    def train(self, fold: int, share: float) -> dict:
        key = f"fold {fold}, share {share}"
        if key not in self.done["trainings"]:
            self.done["trainings"][key] = self._train(fold, share)
            if self.store:
                write_json(self.store, self.done)
        return self.done["trainings"][key]

    def _train(self, fold: int, share: float) -> dict:
        start = time.monotonic()
        whole, held_out = self.folds[fold]
        chosen = np.sort(np.concatenate([self._part(whole, c, share, fold)
                                         for c in np.unique(self.classes)]))
        labels = self.facts["labels"]
        model = self._fresh_model(len(labels), self.seed + fold)
        counts = dict(zip(labels, np.bincount(self.classes[chosen]).tolist(), strict=True))
        data = self._stream(chosen, shuffled=True)
        model.fit(
            augmented(data, self.model_name, self.seed + fold).prefetch(2),
            steps_per_epoch=self.steps, epochs=1, verbose=0,
            shuffle=False,  # the data set does that itself
            class_weight=class_weights(labels, counts),
        )
        some = np.random.default_rng(self.seed).permutation(chosen)[:SCORED]
        return {
            "images": len(chosen),
            "train": self._score(model, some),
            "held_out": self._score(model, held_out),
            "seconds": round(time.monotonic() - start, 1),
        }

    def _fresh_model(self, classes: int, seed: int) -> keras.Model:
        """The model with new weights; compiled once, for that takes as long as many steps."""
        keras.utils.set_random_seed(seed)
        fresh = MODELS[self.model_name](self.size, classes)
        if self.model is None:
            self.model = fresh
            rate = keras.optimizers.schedules.CosineDecay(2e-3, self.steps)
            fresh.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
            return fresh
        # The dropout's random numbers too: what was trained before is not to matter.
        for variable, new in zip(self.model.variables, fresh.variables, strict=True):
            variable.assign(new)
        for variable in self.model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        return self.model

    def _part(self, whole: np.ndarray, c: int, share: float, fold: int) -> np.ndarray:
        ours = np.random.default_rng([self.seed, fold, c]).permutation(
            whole[self.classes[whole] == c])
        return ours[: max(round(share * len(ours)), 1)]

    def _stream(self, chosen: np.ndarray, shuffled: bool = False) -> tf.data.Dataset:
        size = (self.size, self.size)

        def read(path: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = tf.io.decode_png(tf.io.read_file(path), channels=3)
            return tf.image.resize(tf.ensure_shape(image, (None, None, 3)), size, "area"), number

        rows = tf.data.Dataset.from_tensor_slices((self.paths[chosen], self.classes[chosen]))
        if shuffled:
            rows = rows.shuffle(len(chosen), seed=self.seed)
        return rows.map(read, num_parallel_calls=2).batch(self.batch_size)

    def _score(self, model: keras.Model, chosen: np.ndarray) -> dict:
        images = self._stream(chosen).map(lambda image, number: image)
        answers = model.predict(images, verbose=0).argmax(axis=1)
        return accuracy_with_interval(answers == self.classes[chosen])
