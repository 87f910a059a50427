"""What `mask` in a recipe does to images, as a picture."""

from pathlib import Path

import numpy as np

from cells.contact_sheet import contact_sheet
from trainers.cell_mask import cell_mask

SHOWN = 3  # images of a class, clean and again shifted


def draw_masks(
    path: Path,
    clean: np.ndarray,
    shifted: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    heading: str,
) -> None:
    """A contact sheet: a row for each class, images beside what is left of them inside the network.

    clean, shifted: (n, px, px, 3) uint8, the same images. labels: (n,). The first SHOWN of each
    class are drawn; where there are fewer, their places stay white.
    """
    places = []
    for label in range(len(classes)):
        rows = np.flatnonzero(labels == label)[:SHOWN]
        for images in (clean, shifted):
            shown = images[rows]
            pairs = np.stack([shown, masked(shown)], axis=1).reshape(-1, *images.shape[1:])
            white = np.full((2 * SHOWN, *images.shape[1:]), 255, np.uint8)
            white[: len(pairs)] = pairs
            places.append(white)
    names = ["clean", "masked"] * SHOWN + ["shifted", "masked"] * SHOWN
    contact_sheet(
        path,
        np.concatenate(places),
        columns=len(names),
        heading=heading,
        row_names=classes,
        column_names=names,
    )


def masked(images: np.ndarray) -> np.ndarray:
    """Images (n, px, px, 3) uint8 as the network sees them behind its mask."""
    seen = np.asarray(cell_mask(images.astype(np.float32)))
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)
