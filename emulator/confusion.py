"""The confusion matrix as a picture: counts as text, shares of the true class as colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cells.files import replacing

_INK, _QUIET, _RULE = "#1f2933", "#66727f", "#d5dbe1"
# With more classes than this the picture stays as large and the counts are left out.
_READABLE_CLASSES = 30


def draw_confusion(path: Path, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    """Write a PNG. counts: (classes, classes), a row a true class, a column a predicted one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    images = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(images, 1)
    size_in = 0.68 * min(len(classes), _READABLE_CLASSES)
    figure = Figure(figsize=(size_in, size_in), facecolor="white")
    FigureCanvasAgg(figure)
    # The cells fill the figure; saving cuts it where the names and the title end.
    axes = figure.add_axes((0, 0, 1, 1))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= _READABLE_CLASSES:
        for row, column in np.argwhere(counts):
            _write_cell(axes, row, column, counts[row, column], shares[row, column])
    ticks = np.arange(len(classes))
    labels = [f"{name}  ({int(of[0])})" for name, of in zip(classes, images, strict=True)]
    axes.set_xticks(ticks, classes, rotation=40, ha="right", rotation_mode="anchor", color=_INK)
    axes.set_yticks(ticks, labels, color=_INK)
    axes.set_xlabel("predicted", color=_QUIET)
    axes.set_ylabel("true  (images)", color=_QUIET)
    axes.set_title(title, loc="left", color=_INK, fontsize=11, pad=12)
    _plain(axes, len(classes))
    beside = axes.inset_axes((1 + 0.2 / size_in, 0, 0.16 / size_in, 1))
    bar = figure.colorbar(picture, cax=beside, ticks=(0, 0.25, 0.5, 0.75, 1))
    bar.set_label("share of the true class", color=_QUIET, fontsize=9)
    bar.ax.set_yticklabels(("0 %", "25 %", "50 %", "75 %", "100 %"))
    # matplotlib leaves its axes and the bar's outline untyped, here and below
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=0, labelcolor=_QUIET, labelsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, bbox_inches="tight", pad_inches=0.25)


def _write_cell(axes, row: int, column: int, count: int, share: float) -> None:  # type: ignore[no-untyped-def]
    axes.text(
        column,
        row,
        str(count),
        ha="center",
        va="center",
        fontsize=9,
        fontweight="bold" if row == column else "normal",
        color="white" if share > 0.55 else _INK,
    )


def _plain(axes, classes: int) -> None:  # type: ignore[no-untyped-def]
    """No frame, no tick marks; thin rules between the cells."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    edges = np.arange(classes + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=_RULE, linewidth=0.8)
    axes.tick_params(which="both", length=0)
