"""Labels → numbers: accuracy with its interval, per-class table, confusion matrix."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cells.files import replacing
from emulator.confusion import draw_confusion

_Z_95 = 1.959963984540054


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    """95 % interval for `right` hits in `of` > 0 trials (Wilson 1927, JASA 22:209-212)."""
    rate, z2 = right / of, _Z_95**2
    middle = (rate + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z_95 / (1 + z2 / of) * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def confusion_counts(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) int64: a row a true class, a column a predicted one.

    true, predicted: (n,) class indices.
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def per_class(counts: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, 0-1; 0 where undefined, as scikit-learn has it.

    counts: (classes, classes), as `confusion_counts` gives them.
    """
    right, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return [
        {
            "class": name,
            "images": int(true[index]),
            "precision": _share(right[index], predicted[index]),
            "recall": _share(right[index], true[index]),
            "f1": _share(2 * right[index], true[index] + predicted[index]),
        }
        for index, name in enumerate(classes)
    ]


def _share(part: int, of: int) -> float:
    return float(part / of) if of else 0.0


def write_scores(
    out: Path,
    predicted: np.ndarray,
    true: np.ndarray,
    rows: np.ndarray,
    classes: Sequence[str],
    set_name: str,
) -> dict[str, Any]:
    """Write confusion.png, classes.csv and predictions.csv into `out`; return the numbers.

    predicted, true: (n,) class indices. rows: (n,) row numbers for people to find an image by.
    """
    right, images = int((predicted == true).sum()), len(true)
    message = f"accuracy {right / images:.4f} on {images} images ({set_name})"
    counts = confusion_counts(true, predicted, len(classes))
    table = per_class(counts, classes)
    draw_confusion(out / "confusion.png", counts, classes, message[0].upper() + message[1:])
    _write_csv(out / "classes.csv", table)
    _write_csv(
        out / "predictions.csv",
        [
            {
                "row": int(row),
                "predicted": int(guess),
                "true": int(truth),
                "predicted_class": classes[guess],
                "true_class": classes[truth],
            }
            for row, guess, truth in zip(rows, predicted, true, strict=True)
        ],
    )
    return {
        "message": message,
        "accuracy": right / images,
        "interval": list(wilson_interval(right, images)),
        "per_class": table,
        "confusion": counts.tolist(),
    }


def _write_csv(path: Path, lines: list[dict[str, Any]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
