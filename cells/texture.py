"""What a picture is made of: small patches, compared with a vocabulary of the archive's own.

The vocabulary is learnt by k-means on patches of the archive (Coates, Lee and Ng 2011), at three
scales. Patches that resemble no word are no part of a cell; familiar patches in unfamiliar numbers,
or in unfamiliar places, make no cell either.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans

from cells.layout import robust_sd

SIDE = 6  # of a patch
WORDS = 192
SAMPLE = 60_000  # patches the vocabulary is learnt from
AXES = 40  # principal axes of a patch that are looked at
NOISE = 3.0  # grey levels
BLOCK = 64  # images at a time
RING_ENDS = (0.45, 0.85)  # distances from the centre, 1 at the middle of a side
RINGS = len(RING_ENDS) + 1
LEAST_SPREAD = 0.05  # of the mean variance of a word's count

SCALES = ((1, 5), (2, 3), (4, 2))  # the image reduced by, and the step between two patches
LEAST_PX = 4 * SIDE

GRAIN = {1: "fine", 2: "medium", 4: "coarse"}  # what the patches of a reduced image show
NAMES = (  # of the six numbers, for a reader who asks by what a cell is odd
    "{grain} texture unlike cells here",
    "some {grain} texture very unlike cells here",
    "its strangest parts, {grain} texture",
    "parts without {grain} texture",
    "its mixture of {grain} textures",
    "where its {grain} textures lie",
)


@dataclass(frozen=True)
class Vocabulary:
    """mean: (d,). axes: (d, AXES), whitening. words: (WORDS, AXES). All float32, d = 3·SIDE²."""

    mean: np.ndarray
    axes: np.ndarray
    words: np.ndarray


def texture(
    images: np.ndarray, trusted: np.ndarray, reduced: int, step: int, rng: np.random.Generator
) -> np.ndarray:
    """Six numbers an image, at one scale; the larger, the less like a cell.

    images: (n, px, px, 3) uint8. trusted: (n,) bool, rows the vocabulary is learnt from.
    Returns (n, 6) float32, in the order of NAMES.
    """
    px = max(LEAST_PX, images.shape[1] // reduced)
    vocabulary = _learn(images, px, step, np.flatnonzero(trusted), rng)
    numbers = np.empty((len(images), len(NAMES)), np.float32)
    counts = np.empty((len(images), RINGS, WORDS), np.float32)
    for start in range(0, len(images), BLOCK):
        patches = _patches(images[start : start + BLOCK], px, step)
        distance, word = _nearest(vocabulary, patches)
        here = slice(start, start + len(patches))
        logs = np.log1p(distance)
        numbers[here, 0] = logs.mean(axis=1)
        numbers[here, 1] = np.log(distance.mean(axis=1) + 1e-6)
        numbers[here, 2] = np.quantile(logs, 0.95, axis=1)
        numbers[here, 3] = -np.quantile(logs, 0.1, axis=1)
        ring = _rings(patches.shape[1])
        for row, words in zip(range(start, len(images)), word, strict=False):
            flat = np.bincount(ring * WORDS + words, minlength=RINGS * WORDS)
            counts[row] = flat.reshape(RINGS, WORDS)
    numbers[:, 4] = _unusual(np.sqrt(counts.sum(axis=1)), trusted)
    numbers[:, 5] = _unusual(np.sqrt(counts).reshape(len(images), -1), trusted)
    return numbers


def _rings(patches: int) -> np.ndarray:
    """In which of RINGS rings about the centre each patch lies: (patches,) int64, 0 the inmost."""
    side = round(patches**0.5)
    line = np.abs(np.linspace(-1, 1, side))
    distance = np.hypot(line[:, None], line).ravel()
    return np.searchsorted(RING_ENDS, distance)


def _patches(images: np.ndarray, px: int, step: int) -> np.ndarray:
    """(n, h, w, 3) uint8 → (n, patches, 3·SIDE²) float32 of the images reduced to `px`."""
    out = []
    for image in images:
        if len(image) != px:
            image = cv2.resize(image, (px, px), interpolation=cv2.INTER_AREA)
        windows = sliding_window_view(image, (SIDE, SIDE), axis=(0, 1))[::step, ::step]
        out.append(windows.reshape(-1, 3 * SIDE**2))
    return np.stack(out).astype(np.float32)


def _learn(
    images: np.ndarray, px: int, step: int, rows: np.ndarray, rng: np.random.Generator
) -> Vocabulary:
    """Whiten patches of `rows`, then find the words among them."""
    chosen = rng.choice(rows, min(len(rows), 2000), replace=False)
    sample = []
    for start in range(0, len(chosen), BLOCK):
        patches = _patches(images[chosen[start : start + BLOCK]], px, step)
        each = min(patches.shape[1], max(1, SAMPLE // len(chosen)))
        picked = rng.integers(patches.shape[1], size=(len(patches), each))
        sample.append(
            np.take_along_axis(patches, picked[..., None], axis=1).reshape(-1, 3 * SIDE**2)
        )
    patches = np.concatenate(sample)
    mean = patches.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov((patches - mean).T).astype(np.float64))
    axes = (axes / np.sqrt(np.maximum(variance, 0) + NOISE**2))[:, -AXES:].astype(np.float32)
    seed = int(rng.integers(2**31))
    means = MiniBatchKMeans(WORDS, batch_size=4096, n_init=1, max_iter=15, random_state=seed)
    words = means.fit((patches - mean) @ axes).cluster_centers_.astype(np.float32)
    return Vocabulary(mean, axes, words)


def _nearest(vocabulary: Vocabulary, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance to the nearest word and its number: (n, patches) float32 and int64."""
    points = (patches.reshape(-1, patches.shape[2]) - vocabulary.mean) @ vocabulary.axes
    words = vocabulary.words
    squares = (words**2).sum(axis=1) - 2 * points @ words.T
    word = squares.argmin(axis=1)
    distance = squares[np.arange(len(word)), word] + (points**2).sum(axis=1)
    return np.maximum(distance, 0).reshape(len(patches), -1), word.reshape(len(patches), -1)


def _unusual(counts: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """How far each row's counts of words (n, WORDS) lie from the trusted rows': (n,) float32."""
    learn = counts[trusted]
    mean = learn.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov((learn - mean).T))
    spread = np.sqrt(robust_sd((learn - mean) @ axes) ** 2 + LEAST_SPREAD * variance.mean())
    return np.log(((((counts - mean) @ axes) / spread) ** 2).sum(axis=1) + 1e-6)
