"""The released model's training, on a few drawn pictures."""

import json
import zipfile

import cv2
import keras
import numpy as np
import pytest

from facemask import CLASSES
from facemask.datasets.sample import draw_picture
from facemask.io.files import FacemaskError
from facemask.release import recipe
from facemask.release.collect import ARCHIVES, KINDS
from facemask.release.publish import calibration, cost, join_histories

TINY = recipe.Recipe(image_size=32, epochs=2, steps=3, early_epochs=1, early_size=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a zip laid out like the 12k set, and collected pictures, both drawn."""
    folder = tmp_path_factory.mktemp("release")
    with zipfile.ZipFile(folder / ARCHIVES["12k"], "w") as archive:
        for split in ("Train", "Validation", "Test"):
            for label, ours in (("WithMask", CLASSES[0]), ("WithoutMask", CLASSES[1])):
                for number in range(4):
                    image = draw_picture(ours, np.random.default_rng(number), 48)
                    code = cv2.imencode(".png", image)[1].tobytes()
                    archive.writestr(f"Face Mask Dataset/{split}/{label}/{number}.png", code)
    collected = folder / "release"
    collected.mkdir()
    # A kind is told by its colour, so that a test can see which a training picture is of.
    kinds = [kind for kind in KINDS for _ in range(3)]
    tones = np.linspace(20, 235, len(KINDS)).astype(np.uint8).repeat(3)
    pictures = np.full((len(kinds), 96, 96, 3), tones[:, None, None, None])
    np.save(collected / "pictures.npy", pictures)
    (collected / "kinds.csv").write_text("\n".join(["kind", *kinds]))
    (collected / "collected.json").write_text("{}")
    return folder


def untouched(image, rng, background):
    return image


def _kinds_of(images):
    tones = np.linspace(20, 235, len(KINDS)).astype(np.uint8).astype(int)
    means = images[:, 40:56, 40:56].mean(axis=(1, 2, 3))
    return np.array(list(KINDS))[np.abs(means[:, None] - tones).argmin(axis=1)]


def test_every_kind_has_its_share_and_its_class(data):
    plain = recipe.Recipe(change=untouched, early_epochs=0)
    stream = recipe.batches(data / "release", 0, plain).take(60)
    images, classes = (np.concatenate(x) for x in zip(*((i.numpy(), c.numpy()) for i, c in stream)))
    kinds = _kinds_of(images)
    for kind, (label, share) in KINDS.items():
        of_kind = kinds == kind
        assert abs(of_kind.mean() - share) < 0.03
        assert (classes[of_kind].argmax(axis=1) == CLASSES.index(label)).all()


def test_a_kind_can_be_left_out(data):
    without = recipe.Recipe(change=untouched, early_epochs=0, leave_out=("12k masked",))
    images, _ = next(iter(recipe.batches(data / "release", 0, without)))
    assert "12k masked" not in _kinds_of(images.numpy())


def test_street_photos_can_have_more_than_their_share(data):
    twice = recipe.Recipe(change=untouched, early_epochs=0, street=2.0)
    stream = recipe.batches(data / "release", 0, twice).take(60)
    kinds = _kinds_of(np.concatenate([images.numpy() for images, _ in stream]))
    street = sum(share for kind, (_, share) in KINDS.items() if kind.startswith("street"))
    found = np.mean([kind.startswith("street") for kind in kinds])
    assert abs(found - 2 * street / (1 + street)) < 0.03


def test_the_same_seed_gives_the_same_pictures(data):
    first, again, other = (
        next(iter(recipe.batches(data / "release", seed)))[0].numpy() for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_early_epochs_are_on_smaller_pictures_and_a_later_start_goes_on(data):
    plain = TINY._replace(change=untouched)
    whole = list(recipe.batches(data / "release", 0, plain).take(5))
    assert [images.shape[1] for images, _ in whole] == [16, 16, 16, 32, 32]
    later, _ = next(iter(recipe.batches(data / "release", 0, plain, start=3)))
    assert np.array_equal(later, whole[3][0])


def test_calibration_has_every_class_alike_by_the_shares(data):
    pictures = calibration(data / "release", each=3)
    labels = [KINDS[kind][0] for kind in _kinds_of(pictures.astype(float))]
    assert [labels.count(label) for label in CLASSES] == [3, 3, 3]


def test_two_runs_from_one_seed_agree_and_a_cut_one_goes_on(data, tmp_path, monkeypatch):
    models = [recipe.fit(data, tmp_path / name, data, TINY, seed=3) for name in ("a", "b")]
    for x, y in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)

    class Cut(Exception):
        pass

    class CutAfterOneEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(recipe, "_Clock", lambda path: CutAfterOneEpoch())
        with pytest.raises(Cut):
            recipe.fit(data, tmp_path / "c", data, TINY, seed=3)
    assert not (tmp_path / "c" / "model.keras").exists()
    models.append(recipe.fit(data, tmp_path / "c", data, TINY, seed=3))
    for x, y in zip(models[0].get_weights(), models[2].get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
    assert not list((tmp_path / "c").glob("checkpoint*"))
    rows = (tmp_path / "c" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1"]
    assert json.loads((tmp_path / "c" / "training.json").read_text())["epochs"] == 2


def test_a_folder_of_another_recipe_is_refused(data, tmp_path):
    recipe.fit(data, tmp_path / "a", data, TINY._replace(epochs=1, steps=1))
    with pytest.raises(FacemaskError, match="another recipe"):
        recipe.fit(data, tmp_path / "a", data, TINY)


def test_the_last_epochs_go_on_from_the_first_ones_weights(data, tmp_path):
    first, last = tmp_path / "first", tmp_path / "last"
    before = recipe.fit(data, first, data, TINY)
    finish = recipe.FINISH._replace(image_size=32, epochs=1, steps=2, rate=1e-5)
    after = recipe.fit(data, last, data, finish, seed=1, start=first / "model.keras")
    kernels = [model.layers[-1].get_weights()[0] for model in (before, after)]
    assert 0 < np.abs(kernels[0] - kernels[1]).max() < 1e-3
    with pytest.raises(FacemaskError, match="another recipe"):
        recipe.fit(data, last, data, finish, seed=1)
    join_histories(first, last, tmp_path / "history.csv")
    rows, of_last = (
        (folder / "history.csv").read_text().splitlines() for folder in (tmp_path, last))
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]
    assert rows[3].split(",")[1:] == of_last[1].split(",")[1:]
    both = [json.loads((folder / "training.json").read_text()) for folder in (first, last)]
    assert cost(first, last)["epochs"] == 3
    assert cost(first, last)["seconds"] == pytest.approx(sum(row["seconds"] for row in both))
    assert cost(first, last)["peak_memory_mb"] == max(row["peak_memory_mb"] for row in both)
