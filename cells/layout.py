"""Where a picture is dark, light and coloured: a point where cells make a round cloud.

A cell has no up or down, so mean and covariance are taken over all eight orientations. Divided by
the spread that cells have in each direction, what cells share and how they vary counts for little;
what no cell shows counts for much: two pictures with the same joke in them, even half hidden by
different cells, point the same way.
"""

from dataclasses import dataclass

import cv2
import numpy as np

PX = 16
NOISE = 6.0  # grey levels of a thumbnail's pixel that are never a difference: noise, compression
ROUNDS = 4
SPREAD = 0.34  # of the rows on each side of the median: one sd of a normal distribution


@dataclass(frozen=True)
class Layout:
    """mean: (PX, PX, 3) float32. axes: (d, d) float32, columns. spread: (d,) float32, d = 3·PX²."""

    mean: np.ndarray
    axes: np.ndarray
    spread: np.ndarray

    def points(self, thumbs: np.ndarray) -> np.ndarray:
        """(n, PX, PX, 3) float32 → (n, d) float32, of unit spread in each direction among cells."""
        flat = (thumbs - self.mean).reshape(len(thumbs), -1)
        return (flat @ self.axes) / self.spread


def thumbnails(images: np.ndarray, px: int = PX) -> np.ndarray:
    """(n, h, w, 3) uint8 → (n, px, px, 3) float32, 0-255, each pixel a mean over its area."""
    thumbs = np.empty((len(images), px, px, 3), np.float32)
    for number, image in enumerate(images):
        thumbs[number] = cv2.resize(image, (px, px), interpolation=cv2.INTER_AREA)
    return thumbs


def fit_layout(thumbs: np.ndarray, trusted: np.ndarray) -> Layout:
    """Learn how cells lie, from rows of which some may be something else.

    thumbs: (n, PX, PX, 3) float32. trusted: (n,) bool, rows to learn from.
    Spreads are quantiles, not variances, so that a few strange rows cannot widen the direction in
    which they lie; the strangest are left out of the next round.
    """
    learn = thumbs[trusted]
    calm = np.ones(len(learn), bool)
    for left_out in np.linspace(0.2, 0.02, ROUNDS):
        mean, covariance = _turned_moments(learn[calm])
        axes = np.linalg.eigh(covariance)[1].astype(np.float32)
        along = (learn - mean).reshape(len(learn), -1) @ axes
        spread = np.sqrt(robust_sd(along[calm]) ** 2 + NOISE**2).astype(np.float32)
        energy = ((along / spread) ** 2).sum(axis=1)
        calm = energy <= np.quantile(energy, 1 - left_out)
    return Layout(mean, axes, spread)


def robust_sd(values: np.ndarray) -> np.ndarray:
    """Half the width of the middle 68 %, down each column."""
    low, high = np.quantile(values, [0.5 - SPREAD, 0.5 + SPREAD], axis=0)
    return (high - low) / 2


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row (n, d) of length 1; a row of next to nothing becomes 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-3, length, np.inf)


def _turned_moments(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (PX, PX, 3) and covariance (d, d) over the eight orientations of each thumbnail."""
    turned = [np.rot90(thumbs, turns, axes=(1, 2)) for turns in range(4)]
    mean = np.mean([each.mean(axis=0) for each in turned], axis=0)
    mean = ((mean + mean[:, ::-1]) / 2).astype(np.float32)
    flat = (thumbs - mean).reshape(len(thumbs), -1)
    px = thumbs.shape[1]
    one = (flat.T @ flat / len(flat)).reshape(px, px, 3, px, px, 3).astype(np.float64)
    total = np.zeros_like(one)
    for turns in range(4):
        each = np.rot90(np.rot90(one, turns, axes=(0, 1)), turns, axes=(3, 4))
        total += each + each[:, ::-1, :, :, ::-1]
    return mean, (total / 8).reshape(3 * px**2, -1)
