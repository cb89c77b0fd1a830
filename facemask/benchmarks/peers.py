"""The best-known public detector on the released model's test sets; writes reports/peers.json.

`python -m facemask.benchmarks.peers ARCHIVES AIZOO`, where AIZOO is the file
`face_mask_detection.tflite` of https://github.com/AIZOOTech/FaceMaskDetection (MIT): one SSD that
finds and judges faces in a picture squeezed to 260 x 260. It is shown the very pictures that the
classifiers are shown, and answers with the class of its surest anchor. As it wants to see something
round a face, tight crops get a border of repeated pixels, as wide as suits it best on 12k
Validation. It knows masked and bare faces: of every set only these are shown, and of every model
only its probabilities for these two are compared. Beside it stand the released model and the
field's usual CNN (`baseline`), as the notebooks train it on face-mask-12k and face-mask-3class.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tqdm import tqdm

from facemask import CLASSES
from facemask.datasets.download import dataset_name
from facemask.images.crops import resize
from facemask.io.files import RELEASE, ROOT, FacemaskError, write_json
from facemask.io.tables import REPORTS
from facemask.models import classifier
from facemask.models.classifier import Classifier
from facemask.release.measure import Labelled, score, test_sets
from facemask.release.recipe import validation_pictures

SIDE = 260
ROOMS = (0.0, 0.25, 0.5, 1.0)  # border on each side, in sides of the crop
# The two systems of the field: one CNN, trained on two classes and on three.
RUNS = {"the field's CNN, trained on 12k": "face-mask-12k",
        "the field's CNN, trained on three classes": "{archives}/face-mask-3class.zip"}
SEEN = "3-class archive, held-out groups"  # its near copies are what the latter was trained on


def aizoo(file: Path, room: float) -> Classifier:
    """The detector as a classifier of face crops, to which it adds a border; see ROOMS.

    Raises:
        FacemaskError: the file is missing.
    """
    if not file.is_file():
        raise FacemaskError(f"{file} is missing; name AIZOO's face_mask_detection.tflite")
    network = Interpreter(str(file), num_threads=2)
    network.allocate_tensors()
    entry = network.get_input_details()[0]["index"]
    # Of each anchor: a box, (anchors, 4), and the scores of masked and bare, (anchors, 2).
    scores = next(o["index"] for o in network.get_output_details() if o["shape"][-1] == 2)

    def predict(images: np.ndarray) -> np.ndarray:
        answers = []
        for image in images:
            border = [int(room * SIDE)] * 4
            image = resize(cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE), SIDE)
            network.set_tensor(entry, image[None].astype(np.float32) / 255)
            network.invoke()
            answers.append(network.get_tensor(scores)[0].max(axis=0))
        return np.array(answers).reshape(-1, 2)

    return Classifier(list(CLASSES[:2]), SIDE, predict)


def masked_or_bare(sets: dict[str, Labelled]) -> dict[str, Labelled]:
    """Of the sets that hold both, the masked and the bare faces."""
    both = {name: {p: v for p, v in pictures.items() if v in CLASSES[:2]}
            for name, pictures in sets.items() if name != SEEN}
    return {name: pictures for name, pictures in both.items()
            if set(pictures.values()) == set(CLASSES[:2])}


def measure(archives: Path, file: Path, data_dir: Path) -> dict:
    """Every model on every set's masked and bare faces; see the module's text.

    Raises:
        FacemaskError: a model is missing.
    """
    known = validation_pictures(archives, data_dir)
    chosen = {room: score(aizoo(file, room), known)["macro_recall"] for room in ROOMS}
    room = max(chosen, key=lambda room: chosen[room])
    models = {"this project": classifier.load(RELEASE)}
    for title, data in RUNS.items():
        data = data.format(archives=archives)
        path = ROOT / "models" / dataset_name(data) / "baseline" / "model.keras"
        if not path.is_file():
            raise FacemaskError(
                f"{path} is missing; give `facemask prepare --dataset {data}` and, a quarter of an "
                f"hour long, `facemask train --dataset {data} --models baseline`"
            )
        models[title] = classifier.load(path)
    models["AIZOO FaceMaskDetection"] = aizoo(file, room)
    sets = masked_or_bare(test_sets(archives, data_dir))
    kept = ("images", "accuracy", "interval", "macro_recall", "macro_interval")
    rows: dict[str, dict] = {title: {} for title in models}
    for title, model in models.items():
        for name, pictures in tqdm(sets.items(), desc=title, unit="set"):
            found = score(_of_two(model), pictures)
            rows[title][name] = {key: found[key] for key in kept}
    return {
        "AIZOO's border": room,
        "AIZOO's mean recall on 12k Validation, by border": chosen,
        "sets": {name: len(pictures) for name, pictures in sets.items()},
        "models": rows,
    }


def _of_two(model: Classifier) -> Classifier:
    """The model as one that knows masked and bare faces alone, as AIZOO's does."""
    columns = [model.labels.index(label) for label in CLASSES[:2]]
    return Classifier(
        list(CLASSES[:2]), model.image_size, lambda images: model.predict(images)[:, columns]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, help="folder of the data sets' zips")
    parser.add_argument("aizoo", type=Path, help="face_mask_detection.tflite")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args()
    try:
        write_json(REPORTS / "peers.json", measure(args.archives, args.aizoo, args.data_dir))
    except FacemaskError as error:
        sys.exit(f"facemask.benchmarks.peers: {error}")
