"""Jokes hidden better: blended half-and-half over cells, or only a part of one.

Both are looked for where cells make a round cloud (cells/layout.py): there two pictures point the
same way when they share what no cell has.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cells.layout import Layout, thumbnails, unit
from cells.near_copies import TIMES

BLOCK = 512  # rows compared with all others at a time

SAME_WAY = 0.7  # cosine of two pictures' points: cells but rarely, half-and-half blends from there
WITNESSES = 3  # copies of a joke that an ordinary-looking row must resemble: one may lie over it
SAME_WAY_AS_JOKE = 0.6  # enough for a row that looks strange itself
PART_OF_JOKE = 0.7  # cosine with the best part cut from a joke
PARTS = tuple(np.linspace(0.5, 0.95, 10))  # sides of parts, as shares of the picture's
PLACES = 7  # of a part, in each direction
MOST_JOKES = 24  # distinct jokes whose parts are looked for


@dataclass(frozen=True)
class Repeats:
    """joke: (n,) bool. like: (n,) int64, the joke's row it resembles most, -1 where none.

    likeness: (n,) float32, the cosine with it. part: (n,) bool, whether only with a part of it.
    """

    joke: np.ndarray
    like: np.ndarray
    likeness: np.ndarray
    part: np.ndarray


def find_repeats(
    images: np.ndarray, layout: Layout, points: np.ndarray, joke: np.ndarray, strange: np.ndarray
) -> Repeats:
    """More copies: blended over cells, and parts.

    images: (n, px, px, 3) uint8. points: (n, d) float32, of `layout`. joke: (n,) bool, known ones.
    strange: (n,) bool, rows unlike a cell: for them a smaller likeness is enough.
    """
    marks = unit(points)
    same = _same_way(marks)
    joke = joke | (same >= TIMES - 1)
    like = np.full(len(marks), -1)
    likeness = np.zeros(len(marks), np.float32)
    part = np.zeros(len(marks), bool)
    if not joke.any():
        return Repeats(joke, like, likeness, part)
    for _ in range(3):  # a copy of a copy
        known = np.flatnonzero(joke)
        nearest, cosine, third = _nearest(marks, known)
        more = (third >= SAME_WAY) | (strange & (cosine >= SAME_WAY_AS_JOKE))
        joke = joke | more
        if joke.sum() == len(known):
            break
    like, likeness = np.where(joke, known[nearest], -1), np.where(joke, cosine, 0)
    for row in _examples(marks, joke, points):
        pieces = unit(layout.points(thumbnails(_parts(images[row]))))
        cosine = (marks @ pieces.T).max(axis=1)
        better = strange & ~joke & (cosine >= PART_OF_JOKE) & (cosine > likeness)
        like[better], likeness[better], part[better] = row, cosine[better], True
    return Repeats(joke | part, like, likeness.astype(np.float32), part)


def _same_way(marks: np.ndarray) -> np.ndarray:
    """How many other rows point the same way as each: (n,)."""
    counts = np.empty(len(marks), np.int64)
    for start in range(0, len(marks), BLOCK):
        cosine = marks[start : start + BLOCK] @ marks.T
        counts[start : start + BLOCK] = (cosine >= SAME_WAY).sum(axis=1) - 1
    return counts


def _nearest(marks: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the `known` rows the one most like each row, itself excluded.

    Returns its position in `known` (n,), the cosine with it, and that with the last of the
    WITNESSES most like the row (-1 where there are fewer).
    """
    nearest = np.empty(len(marks), np.int64)
    best, last = np.empty((2, len(marks)), np.float32)
    for start in range(0, len(marks), BLOCK):
        cosine = marks[start : start + BLOCK] @ marks[known].T
        rows = np.arange(start, start + len(cosine))
        cosine[rows[:, None] == known] = -1
        nearest[rows] = cosine.argmax(axis=1)
        best[rows] = cosine.max(axis=1)
        enough = len(known) >= WITNESSES
        last[rows] = np.partition(cosine, -WITNESSES, axis=1)[:, -WITNESSES] if enough else -1
    return nearest, best, last


def _examples(marks: np.ndarray, joke: np.ndarray, points: np.ndarray) -> list[int]:
    """A row of each distinct joke: the one farthest out, neither blended nor dim."""
    rows = np.flatnonzero(joke)
    left = rows[np.argsort(-np.linalg.norm(points[rows], axis=1), kind="stable")]
    chosen: list[int] = []
    while len(left) and len(chosen) < MOST_JOKES:
        chosen.append(int(left[0]))
        left = left[marks[left] @ marks[left[0]] < SAME_WAY]
    return chosen


def _parts(image: np.ndarray) -> np.ndarray:
    """Squares cut from a picture, enlarged: (sizes · PLACES², px, px, 3) uint8."""
    px = len(image)
    out = []
    for share in PARTS:
        side = round(share * px)
        places = np.unique(np.linspace(0, px - side, PLACES).astype(int))
        out += [
            cv2.resize(image[top : top + side, left : left + side], (px, px))
            for top in places
            for left in places
        ]
    return np.stack(out)
