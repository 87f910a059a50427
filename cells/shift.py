"""The one *shifted* copy of every image: a heavy corruption, the same for all members and epochs.

The hidden test set is corrupted, so clean accuracy says almost nothing about the platform's; this
copy stands in for it. Families and severities are named, so a table can be split by them.

Every row has its own generator, from (seed, row): chunks, threads and order change nothing.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cells.corruptions import FAMILIES, apply

VERSION = 1  # raise it when any family changes: it is part of the dataset's fingerprint
SECOND_RATE = 0.6  # how often a second, milder family follows (never upon severity 1)
CHUNK = 64


def shift_images(
    images: np.ndarray, rows: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corrupt each of `rows` once.

    images: (all rows, px, px, 3) uint8. rows: (n,) row numbers; the blend family takes its
    second cell from them as well, so that no image leaks into another part or fold.
    Returns shifted (n, px, px, 3) uint8; family (n,) uint8, an index into FAMILIES; severity (n,)
    uint8, 1-5.
    """
    shifted = np.empty((len(rows), *images.shape[1:]), np.uint8)
    family = np.empty(len(rows), np.uint8)
    severity = np.empty(len(rows), np.uint8)
    pool = np.sort(rows)

    def work(start: int) -> None:
        for position in range(start, min(start + CHUNK, len(rows))):
            row = int(rows[position])
            generator = np.random.default_rng((seed, row))
            other = images[pool[generator.integers(len(pool))]]
            shifted[position], family[position], severity[position] = corrupt(
                images[row], other, generator
            )

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(work, range(0, len(rows), CHUNK)))
    return shifted, family, severity


def corrupt(
    image: np.ndarray, other: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, int, int]:
    """Draw a family and a severity, perhaps a second milder one, and apply them.

    image, other: (px, px, 3) uint8. Returns the corrupted image, the (main) family's index into
    FAMILIES, and its severity.
    """
    names = tuple(FAMILIES)
    main, second = (int(n) for n in generator.choice(len(names), 2, replace=False))
    severity = int(generator.integers(1, 6))
    out = apply(names[main], image, severity, generator, other)
    if severity > 1 and generator.random() < SECOND_RATE:
        milder = int(generator.integers(1, severity))
        out = apply(names[second], out, milder, generator, other)
    return out, main, severity
