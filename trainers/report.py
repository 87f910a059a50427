"""What a finished run shows: per-class scores, curves, a sheet of augmented images."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

from cells.files import replacing

INNER_VERSIONS = ("clean", "shifted", "augmented")  # the last where the recipe asks for it


def per_class(labels: np.ndarray, probs: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, log loss, and precision, recall and F1 of each class with mean and sd over classes.

    labels: (n,). probs: (n, classes). sd is the population's (ddof 0).
    """
    scores = precision_recall_fscore_support(
        labels, probs.argmax(axis=1), labels=range(len(classes)), zero_division=0
    )
    table = dict(zip(("precision", "recall", "f1", "images"), scores, strict=True))
    exact = probs.astype(np.float64)  # float32 rows sum to 1 within 1e-7, which log_loss warns of
    exact /= exact.sum(axis=1, keepdims=True)
    return {
        "accuracy": float(accuracy_score(labels, probs.argmax(axis=1))),
        "log_loss": float(log_loss(labels, exact, labels=range(len(classes)))),
        "classes": {
            name: {key: float(values[index]) for key, values in table.items()}
            for index, name in enumerate(classes)
        },
        "mean": {key: float(np.mean(table[key])) for key in ("precision", "recall", "f1")},
        "sd": {key: float(np.std(table[key])) for key in ("precision", "recall", "f1")},
    }


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One row an epoch, as a CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, history[0].keys())
        table.writeheader()
        table.writerows(history)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a history.csv, numbers as numbers; none when there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> int | float | str:
    """What a cell says: a whole number, a number, or a word such as a phase's name."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def draw_curves(path: Path, history: list[dict[str, Any]], title: str) -> None:
    """Losses, accuracies and learning rate over the epochs of all phases, as a PNG.

    The inner rows have a curve for each version of them that is scored.
    """
    epochs = np.arange(1, len(history) + 1)
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    losses, accuracies, rates = figure.subplots(1, 3)
    seen = [row["loss"] for row in history]
    losses.plot(epochs, seen, marker=".", label="training (augmented)")
    for version in INNER_VERSIONS:
        for axis, what in ((losses, "loss"), (accuracies, "accuracy")):
            key = f"inner_{version}_{what}"
            if key in history[0]:
                scores = [row[key] for row in history]
                axis.plot(epochs, scores, marker=".", label=f"inner, {version}")
    rates.plot(epochs, [row["learning_rate"] for row in history], marker=".")
    for axis, name in ((losses, "log loss"), (accuracies, "accuracy"), (rates, "learning rate")):
        axis.set(xlabel="epoch", ylabel=name)
        axis.grid(alpha=0.3)
    losses.legend(fontsize=8)
    accuracies.legend(fontsize=8)
    starts = [i for i in range(1, len(history)) if history[i]["phase"] != history[i - 1]["phase"]]
    for start in starts:
        for axis in (losses, accuracies, rates):
            axis.axvline(start + 0.5, color="grey", linestyle=":")
    figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
