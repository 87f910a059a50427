"""Scores of probabilities against labels: arrays in, numbers out."""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

TINY = 1e-7  # a probability counts as at least this much, so that no logarithm is infinite


def accuracy(probs: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose most probable class is the label, 0-1.

    probs: (images, classes). labels: (images,) int.
    """
    return float(np.mean(probs.argmax(axis=1) == labels))


def log_loss(probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log(probability of the label), in nats; probabilities below TINY count as TINY.

    probs: (images, classes), rows sum to 1. labels: (images,) int.
    """
    true = probs[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, TINY)).mean())


def class_table(
    probs: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> dict[str, list[dict[str, float | str]]]:
    """Precision, recall and F1 of every class, and their mean ± sd over the classes.

    probs: (images, classes). labels: (images,) int.
    Returns {"classes": [{name, precision, recall, f1, images}, ...], "summary": [mean, sd]};
    the sd is the population's (ddof 0), as a run's report.json has it. A class that is
    never predicted has precision 0.
    """
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, probs.argmax(axis=1), labels=np.arange(len(classes)), zero_division=0
    )
    columns = {"precision": precision, "recall": recall, "f1": f1}
    rows: list[dict[str, float | str]] = [
        {"name": name, **{key: float(v[i]) for key, v in columns.items()}, "images": int(images[i])}
        for i, name in enumerate(classes)
    ]
    mean = {key: float(v.mean()) for key, v in columns.items()}
    sd = {key: float(v.std()) for key, v in columns.items()}
    return {"classes": rows, "summary": [{"name": "mean", **mean}, {"name": "sd", **sd}]}


def family_accuracies(
    probs: np.ndarray, labels: np.ndarray, families: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """Accuracy within each family of corruption: (families,), NaN for one without images.

    probs: (images, classes). labels, families: (images,) int, `families` an index into `names`.
    """
    right = probs.argmax(axis=1) == labels
    counts = np.bincount(families, minlength=len(names))
    hits = np.bincount(families, weights=right, minlength=len(names))
    return np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)
