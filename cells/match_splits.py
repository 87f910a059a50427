"""Which published split a picture belongs to, found by likeness to a smaller version of it.

PBC's pictures carry no split; BloodMNIST's carry one and are the same pictures, cut and made small.
"""

import numpy as np

THUMB_PX = 28
# Correlation of pixels at 28 px, colour included. One picture made small by two filters, even a
# pixel off: .97 and more. Distinct cells of the real archive: below .96, but for near copies.
SAME = 0.97
BLOCK = 512  # pictures compared with all of a class at a time


def match_splits(
    thumbs: np.ndarray, references: dict[str, np.ndarray]
) -> tuple[list[str | None], np.ndarray]:
    """The split whose pictures hold the most alike one, None where nothing is alike enough.

    thumbs: (n, 28, 28, 3) uint8, of one class. references: split → (m, 28, 28, 3) uint8, of that
    class too; of equally alike ones the first split's counts.
    Returns a split for each, and the likeness (n,) float32, -1 to 1.
    """
    splits = list(references)
    of = np.repeat(np.arange(len(splits)), [len(references[split]) for split in splits])
    known = _standardised(np.concatenate(list(references.values())))
    found: list[str | None] = []
    likeness = np.zeros(len(thumbs), np.float32)
    for start in range(0, len(thumbs), BLOCK):
        alike = _standardised(thumbs[start : start + BLOCK]) @ known.T
        best = alike.argmax(axis=1)
        highest = alike[np.arange(len(best)), best]
        likeness[start : start + len(best)] = highest
        found += [
            splits[of[number]] if value >= SAME else None
            for number, value in zip(best, highest, strict=True)
        ]
    return found, likeness


def _standardised(thumbs: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) → (n, h·w·3) float32 with mean 0 and length 1; a flat picture becomes 0."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-3, length, np.inf)
