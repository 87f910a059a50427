"""Two pictures for the report, as PNG: accuracy by family of corruption, and confusion."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

_INK, _FAINT = "#1f2933", "#d9dee4"
_MAP = LinearSegmentedColormap.from_list("plum", ["#fdf7f5", "#e7b9c0", "#b5577f", "#5d1f5b"])


def family_picture(
    rows: list[str], families: list[str], images: list[int], accuracies: np.ndarray
) -> bytes:
    """Heat-map of accuracy, one row an ensemble or member, one column a family: PNG bytes.

    images: how many of each family. accuracies: (rows, families), 0-1.
    """
    figure = Figure(figsize=(2.6 + 0.72 * len(families), 1.5 + 0.42 * len(rows)), dpi=160)
    axes = figure.subplots()
    low = float(np.floor(np.nanmin(accuracies) * 20) / 20)
    _cells(axes, accuracies, min(low, 0.9), np.vectorize("{:.3f}".format)(accuracies))
    labels = [f"{name} ({count})" for name, count in zip(families, images, strict=True)]
    axes.set_xticks(range(len(families)), labels, rotation=38, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.get_yticklabels()[0].set_fontweight("bold")
    return _png(figure)


def confusion_picture(panels: dict[str, np.ndarray], classes: tuple[str, ...]) -> bytes:
    """Confusion matrices side by side, rows are the true class: PNG bytes.

    panels: title → (classes, classes) counts. Colours show the square root of each row's shares:
    on a straight scale the few errors of a good ensemble cannot be seen.
    """
    side = 1.5 + 0.46 * len(classes)
    figure = Figure(figsize=(side * len(panels) + 0.6, side + 0.4), dpi=160)
    for axes, (title, counts) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        _cells(axes, np.sqrt(shares), 0, np.where(counts > 0, counts.astype(str), ""))
        axes.set_xticks(
            range(len(classes)), classes, rotation=38, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(classes)), classes)
        axes.set_title(title, fontsize=9, color=_INK, pad=8)
        axes.set_xlabel("predicted", fontsize=8, color=_INK)
    figure.axes[0].set_ylabel("true", fontsize=8, color=_INK)
    for axes in figure.axes[1:]:
        axes.set_yticklabels([])
    return _png(figure)


def _cells(axes: Axes, values: np.ndarray, low: float, texts: np.ndarray) -> None:
    """Cells coloured from `low` to 1, with a text in each. values, texts: (rows, columns)."""
    axes.imshow(values, cmap=_MAP, vmin=low, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        color = "white" if value - low > 0.55 * (1 - low) else _INK
        axes.text(
            column, row, str(texts[row, column]), ha="center", va="center", fontsize=7, color=color
        )
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=_INK)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", facecolor="white")
    return buffer.getvalue()
