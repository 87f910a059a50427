"""A stack of pictures of one size, read block by block: values checked, made 0-255, fitted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cells.competition import Competition
from cells.errors import ArchiveError
from cells.fitting import Fit

BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Stack:
    """Pictures on disk. key: the array's name. file: of what, for messages.

    blocks(n): consecutive rows, at most n of them a block, from the first to the last.
    """

    key: str
    file: str
    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[int], Iterator[np.ndarray]]


def read_stack(stack: Stack, fit: Fit) -> tuple[np.ndarray, Counter[tuple[int, int]]]:
    """The pictures as (n, px, px, 3) uint8, 0-255, and how many came in which (height, width).

    Raises ArchiveError for another shape, dtype or range.
    """
    competition = fit.competition
    _check_shape(stack, fit)
    height, width = stack.shape[1:3]
    px, top = competition.image_px, competition.archive.pixel_max
    if stack.dtype.kind not in "uif":
        raise ArchiveError(
            f"{stack.key}: expected integers or floats, got dtype {stack.dtype} ({stack.file}). "
            "Save them as uint8."
        )
    images = np.empty((stack.shape[0], px, px, 3), np.uint8)
    rows = max(1, BLOCK_BYTES // (height * width * 3 * 8))
    start, highest = 0, -np.inf
    for block in stack.blocks(rows):
        if stack.dtype == np.uint8 and top == 255:
            highest = max(highest, float(block.max()))
        else:
            highest = max(highest, _check_range(stack, start, block, top))
            block = np.rint(block.astype(np.float64) * (255 / top)).astype(np.uint8)
        if (height, width) == (px, px):
            images[start : start + len(block)] = block
        else:
            for row, image in enumerate(block, start):
                images[row] = fit(stack.key, image)
        start += len(block)
    if top > 1 and highest <= 1:
        raise ArchiveError(
            f"{stack.key}: expected values 0 to {top:g}, got none above {highest:g} "
            f"({stack.file}). If scaled to 0-1, multiply by {top:g} or set pixel_max = 1 in the "
            "competition file."
        )
    return images, Counter({(height, width): len(images)})


def _check_shape(stack: Stack, fit: Fit) -> None:
    """Raise ArchiveError unless these are colour pictures that may become the competition's."""
    shape, competition = stack.shape, fit.competition
    px = competition.image_px
    colour = len(shape) == 4 and shape[3] == 3 and min(shape) > 0
    if colour and competition.archive.resize is not None:
        fit.check(f"{stack.key} of {stack.file}", shape[1], shape[2])
    elif not colour or shape[1:] != (px, px, 3):
        raise ArchiveError(
            f"{stack.key}: expected shape (n, {px}, {px}, 3) with n > 0, got {shape} "
            f"({stack.file}). {choose(competition)}"
        )


def choose(competition: Competition) -> str:
    """What to do when the archive is another competition's."""
    return f"The competition is {competition.name}; choose another with --competition."


def _check_range(stack: Stack, start: int, block: np.ndarray, top: float) -> float:
    """The highest value of rows from `start`. Raises ArchiveError unless all lie in 0..top."""
    bad = ~np.isfinite(block).all(axis=(1, 2, 3))
    if bad.any():
        position = int(np.argmax(bad))
        what = "NaN" if np.isnan(block[position]).any() else "infinity"
        raise ArchiveError(
            f"{stack.key}: expected finite numbers, got {what} in row {start + position} "
            f"({stack.file}). Repair or remove the row and export the archive again."
        )
    low, high = float(block.min()), float(block.max())
    if low < 0 or high > top:
        position = int(np.argmax(((block < 0) | (block > top)).any(axis=(1, 2, 3))))
        lowest, row_high = float(block[position].min()), float(block[position].max())
        raise ArchiveError(
            f"{stack.key}: expected values 0 to {top:g}, got "
            f"{lowest if lowest < 0 else row_high:g} in row {start + position} ({stack.file}). "
            "Set pixel_max in the competition file, or export the archive again."
        )
    return high
