"""Figures of a face finder: how many faces it finds, by size, and how many boxes are none."""

from typing import Any

import numpy as np

from facemask.images.boxes import match, size

BANDS = {"64 px and more": (64, np.inf), "32 to 63 px": (32, 64), "16 to 31 px": (16, 32)}


def score(scenes: list, found: list[np.ndarray], threshold: float) -> dict:
    """Recall by size and class, and false faces per photo by size, at one IoU threshold."""
    sizes, classes, hits, extra = [], [], [], []
    for (_, boxes, names), faces_found in zip(scenes, found, strict=True):
        pairs = match(faces_found, boxes, threshold)
        sizes.append(size(boxes))
        classes.append(names)
        hits.append(pairs >= 0)
        extra.append(size(np.delete(faces_found, pairs[pairs >= 0], axis=0)))
    sizes, classes, hits, extra = map(np.concatenate, (sizes, classes, hits, extra))
    table = {}
    for band, (low, high) in BANDS.items():
        inside = (sizes >= low) & (sizes < high)
        recall = round(float(hits[inside].mean()), 4)
        row: dict[str, Any] = {"faces": int(inside.sum()), "recall": recall}
        for name in np.unique(classes[inside]):
            own = inside & (classes == name)
            row[str(name)] = [int(hits[own].sum()), int(own.sum())]
        row["false faces a photo"] = round(
            float(((extra >= low) & (extra < high)).sum() / len(scenes)), 4
        )
        table[band] = row
    return table
