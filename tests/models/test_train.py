"""Models, augmentation and training runs, on small drawn data."""

import numpy as np
import pytest

from facemask.datasets.prepare import prepare
from facemask.images.augment import AUGMENTATIONS
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.models import checkpoint, networks
from facemask.models import train as trainings
from facemask.models.train import PATIENCE, WARM_UP, _Best, class_weights, read_history, train


@pytest.fixture(scope="module")
def split(sample, tmp_path_factory):
    return prepare(sample, "drawn", tmp_path_factory.mktemp("data"), image_size=48)


def test_sizes_of_the_models():
    assert networks.compact(96, 3).count_params() < 150_000
    assert networks.baseline(96, 2).count_params() > 1_000_000


@pytest.mark.parametrize("build", networks.MODELS.values())
def test_models_take_raw_pixels_and_give_probabilities(build):
    model = build(48, 3)
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3)).astype(np.float32)
    out = model.predict(noise, verbose=0)
    assert out.shape == (4, 3) and np.allclose(out.sum(axis=1), 1, atol=1e-5)
    scaled = model.get_layer(index=1)
    assert float(np.max(scaled(np.full((1, 48, 48, 3), 255.0)))) == pytest.approx(1)


@pytest.mark.parametrize("augment", AUGMENTATIONS.values())
def test_augmentation_is_seeded_and_keeps_the_form(augment, sample):
    picture = read_image(next(sample.rglob("*.*")))[:96, :96]
    results = [augment(picture, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])
    for seed in range(200):  # rare branches too
        result = augment(picture, np.random.default_rng(seed))
        assert result.shape == picture.shape and result.dtype == np.uint8
    assert np.array_equal(picture, read_image(next(sample.rglob("*.*")))[:96, :96])


def test_class_weights_balance():
    weights = class_weights(["a", "b"], {"b": 30, "a": 10})
    assert weights == {0: 2.0, 1: pytest.approx(2 / 3)}


def test_same_seed_same_figures(split, tmp_path):
    histories = []
    for run in "ab":
        train(split, tmp_path / run, "compact", epochs=2, batch_size=16, seed=5)
        histories.append(read_history(tmp_path / run / "compact"))
    assert histories[0] == histories[1] and len(histories[0]) == 2


def test_complete_run_is_not_repeated_and_other_settings_are(split, tmp_path):
    train(split, tmp_path, "compact", epochs=1)
    stamp = (tmp_path / "compact/model.keras").stat().st_mtime_ns
    train(split, tmp_path, "compact", epochs=1)
    assert (tmp_path / "compact/model.keras").stat().st_mtime_ns == stamp
    train(split, tmp_path, "compact", epochs=2)
    assert (tmp_path / "compact/model.keras").stat().st_mtime_ns != stamp
    assert len(read_history(tmp_path / "compact")) == 2


@pytest.mark.parametrize("moment", ["before the checkpoint", "after the last epoch"])
def test_a_cut_training_comes_to_the_same_figures(split, tmp_path, monkeypatch, moment):
    """Pictures, dropout and the best epoch's weights go on as if there had been no cut."""
    whole = train(split, tmp_path / "whole", "compact", epochs=4, batch_size=16)
    write, written = checkpoint.write_arrays, []

    def stop(path, arrays, epochs):
        written.append(epochs)
        if moment == "before the checkpoint" and epochs == 3:
            raise KeyboardInterrupt
        write(path, arrays, epochs)

    def stop_late(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_arrays", stop)
        if moment == "after the last epoch":
            patch.setattr(trainings, "read_arrays", stop_late)
        with pytest.raises(KeyboardInterrupt):
            train(split, tmp_path / "cut", "compact", epochs=4, batch_size=16)
    folder = tmp_path / "cut" / "compact"
    assert not folder.exists()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_arrays", stop)
        moment = "never"
        written.clear()
        cut = train(split, tmp_path / "cut", "compact", epochs=4, batch_size=16)
    assert written in ([3, 4], [])  # no epoch before the checkpoint again
    history = (tmp_path / "whole/compact/history.csv").read_bytes()
    assert (folder / "history.csv").read_bytes() == history
    for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {p.name for p in folder.iterdir()} == {"history.csv", "labels.txt", "model.keras",
                                                  "settings.json"}  # fmt: skip


def test_early_stopping_goes_on_counting(tmp_path):
    rows = [{"epoch": k, "val_loss": 1.0 if k == WARM_UP else 2.0 - k / 100}
            for k in range(WARM_UP + PATIENCE + 1)]  # fmt: skip
    assert _Best(tmp_path / "best.npz", rows).is_over
    assert not _Best(tmp_path / "best.npz", rows[:-1]).is_over


def test_model_before_stays_until_the_next_one_is_done(split, tmp_path):
    """The system refuses what the second training writes: a limit on the size of files."""
    resource = pytest.importorskip("resource")

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "compact").iterdir()}

    train(split, tmp_path, "compact", epochs=1)
    before, limits = contents(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(FacemaskError, match="cannot write .*compact.unfinished.*too large"):
            train(split, tmp_path, "compact", epochs=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents() == before
    train(split, tmp_path, "compact", epochs=2)
    assert len(read_history(tmp_path / "compact")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["compact"]


def test_unknown_model(split, tmp_path):
    with pytest.raises(FacemaskError, match="choose from baseline, compact"):
        train(split, tmp_path, "huge")


def test_missing_split_folder(tmp_path):
    with pytest.raises(FacemaskError, match="prepare.json is missing"):
        train(tmp_path / "none", tmp_path / "run", "compact")
    assert not (tmp_path / "run").exists()
