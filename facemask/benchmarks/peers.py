"""The best-known public detector on the released model's test sets; writes reports/peers.json.

`python -m facemask.benchmarks.peers ARCHIVES AIZOO`, where AIZOO is the file
`face_mask_detection.tflite` of https://github.com/AIZOOTech/FaceMaskDetection (MIT): one SSD that
finds and judges faces in a picture squeezed to 260 x 260. It is shown the very pictures that the
classifiers are shown, and answers with the class of its surest anchor. As it wants to see something
round a face, tight crops get a border of repeated pixels, as wide as suits it best on 12k
Validation. It knows masked and bare faces; of all models only their probabilities for the classes
of a set are compared. The figures of the other models are those of models/release/report.json.
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

from facemask import CLASSES
from facemask.images.crops import resize
from facemask.io.files import RELEASE, FacemaskError, read_json, write_json
from facemask.io.tables import REPORTS
from facemask.models.classifier import Classifier
from facemask.release.measure import score, test_sets
from facemask.release.recipe import validation_pictures

SIDE = 260
ROOMS = (0.0, 0.25, 0.5, 1.0)  # border on each side, in sides of the crop
NAMES = {"released": "this project", "baseline, 12k alone": "the field's CNN, trained on 12k"}


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


def measure(archives: Path, file: Path, data_dir: Path) -> dict:
    """Every model on every set of two classes; see the module's text."""
    known = validation_pictures(archives, data_dir)
    chosen = {room: score(aizoo(file, room), known)["macro_recall"] for room in ROOMS}
    room = max(chosen, key=lambda room: chosen[room])
    peer = aizoo(file, room)
    released = read_json(RELEASE / "report.json")["models"]
    sets = {name: pictures for name, pictures in test_sets(archives, data_dir).items()
            if set(pictures.values()) == set(CLASSES[:2])}
    models = {title: {name: released[key][name] for name in sets} for key, title in NAMES.items()}
    models["AIZOO FaceMaskDetection"] = {name: score(peer, sets[name]) for name in sets}
    kept = ("images", "accuracy", "interval", "macro_recall", "macro_interval")
    return {
        "AIZOO's border": room,
        "AIZOO's mean recall on 12k Validation, by border": chosen,
        "sets": {name: len(pictures) for name, pictures in sets.items()},
        "models": {title: {name: {key: row[key] for key in kept} for name, row in rows.items()}
                   for title, rows in models.items()},
    }  # fmt: skip


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
