"""The command `score`: judge all pictures of a source into a folder of Parquet."""

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from facemask.io.files import RELEASE, FacemaskError, not_installed

ENGINES = {"local": "score", "ray": "ray"}  # each with the extra that it needs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `score`."""
    parser.add_argument(
        "source",
        help="a folder, a picture, a pattern such as 'photos/*.jpg', an address such as "
        "s3://bucket/prefix, or a file that lists paths and addresses, one a line",
    )
    parser.add_argument(
        "--out", type=Path, required=True,
        help="folder for the results; the same command, given again after it was cut off, goes on",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=ENGINES, default="local",
        help="local: this machine; ray: Ray Data, here or on the cluster that RAY_ADDRESS names",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=Path, default=RELEASE, help="default: models/release, the released model"
    )


def run(args: argparse.Namespace) -> int:
    """Do what `add_arguments` describes.

    Returns:
        0 if all was judged, 1 if some pictures could not be read or did not come, 130 if stopped
        by Ctrl-C.

    Raises:
        FacemaskError: see `score`.
    """
    try:
        counts = score(args.source, args.out, args.engine, args.model)
    except KeyboardInterrupt:
        print("stopped; give the same command again to go on", file=sys.stderr)
        return 130
    labels = counts["labels"] | {"unsure": counts["unsure"]}
    said = ", ".join(f"{label} {number:,}" for label, number in labels.items())
    print(f"{counts['pictures']:,} pictures: {counts['faces']:,} faces ({said}), "
          f"{counts['unreadable']:,} unreadable")  # fmt: skip
    print(args.out)
    if counts["not_come"]:
        print(f"{counts['not_come']:,} pictures did not come, such as: {counts['why']}",
              file=sys.stderr)  # fmt: skip
    return 1 if counts["unreadable"] or counts["not_come"] else 0


def score(source: str, out: Path, engine: str = "local", model: Path = RELEASE) -> dict:
    """Judge all pictures of a source that are not yet in the results.

    Args:
        source: see `items.find_items`.
        out: folder of the results; see `parts`.
        engine: of ENGINES.
        model: its path; with Ray, every node must have it there.

    Returns:
        What is in the results then, by `parts.count`; `not_come`: the number of pictures that are
        missing or could not be read this time, which are not in the results, and `why` the first.

    Raises:
        FacemaskError: what the engine needs is not installed, there is nothing to judge, `out`
            belongs to another model, or the engine gave up.
    """
    for module in ("pyarrow", "ray")[: 1 + (engine == "ray")]:
        if importlib.util.find_spec(module) is None:
            raise not_installed(module, ENGINES[engine])
    from facemask.photos.batch import load_whole
    from facemask.scoring import parts
    from facemask.scoring.items import AGAIN, find_items
    from facemask.scoring.settings import settings_of

    items = find_items(source)
    loaded = load_whole(model)
    about = settings_of(model, loaded)
    with parts.opened(out, about, loaded.labels) as results:
        left = [item for item in items if item.name not in results.done]
        answers: Iterable[dict] = ()
        if left and engine == "ray":
            from facemask.scoring import cluster

            own = None if model == RELEASE else model.resolve()
            answers = cluster.answers(left, own, about)
        elif left:
            from facemask.scoring import pipeline

            answers = pipeline.answers(left, loaded)
        not_come: dict[str, str] = {}
        with tqdm(
            total=len(items), initial=len(items) - len(left), unit="photo", desc="Scoring"
        ) as bar:
            for answer in answers:
                if answer.get("error", "").endswith(AGAIN):
                    not_come[answer["file"]] = answer["error"]
                else:
                    bar.update(results.add(answer))
        # After the loss of a node an answer may come twice, the second time with the picture.
        not_come = {name: why for name, why in not_come.items() if name not in results.done}
        missing = {item.name for item in left} - results.done - set(not_come)
    if missing:
        raise FacemaskError(f"{len(missing)} pictures have no answer; give the same command again")
    return parts.count(out) | {"not_come": len(not_come), "why": next(iter(not_come.values()), "")}
