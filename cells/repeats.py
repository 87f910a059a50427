"""Jokes hidden better: blended half-and-half over cells, or only a part of one.

Two marks show what two pictures have in common that cells have not: their layout, where cells make
a round cloud (cells/layout.py), and their fine detail, in which no two cells agree. The detail that
several copies of a joke share is clean of noise and of the cells beneath, so that it shows where
two copies are not alike any more. A part is looked for by template matching and verified on its
outlines.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from cells.layout import Layout, thumbnails, unit
from cells.near_copies import ALIKE_OUTLINES, TIMES, outlines
from cells.outliers import robust_z

BLOCK = 512  # rows compared with all others at a time

SAME_LAYOUT = 0.7  # cosine: of two cells but rarely, of half-and-half blends from there on
SAME_DETAIL = 0.7  # of a cell and its third most alike at most .67, of blends from .75 on
WITNESSES = 3  # copies of a joke that a row must resemble: a cell may lie over one
COPY_SD = 9.0  # robust sd above the likeness that rows have to a joke's shared detail by chance:
# of 15 jokes' copies, noisy or blended, the least had 11.7, of 9,000 cells the most 6.0
DETAIL_PX = 48
COARSER_PX = 1.0  # sd of the smoothing that the detail is the rest of

PARTS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # sides of parts, as shares of the picture's
PLACES = 7  # of a part, in each direction
WORTH_MATCHING = 0.35  # cosine of a row's layout with that of a part
MATCH_PX = 48
FINER = tuple(np.linspace(0.45, 1.0, 34).tolist())  # sides tried in template matching
MOST_JOKES = 24  # distinct jokes whose parts are looked for
MOST_MATCHED = 400  # rows matched with one joke, the likeliest first


@dataclass(frozen=True)
class Repeats:
    """What repeats what.

    joke: (n,) bool. like: (n,) int64, the joke's row it resembles most, -1 where none.
    likeness: (n,) float32, -1 to 1. part: (n,) bool, whether only with a part of it.
    """

    joke: np.ndarray
    like: np.ndarray
    likeness: np.ndarray
    part: np.ndarray


def find_repeats(
    images: np.ndarray, layout: Layout, points: np.ndarray, joke: np.ndarray, sure: np.ndarray
) -> Repeats:
    """More copies of jokes, and more jokes.

    images: (n, px, px, 3) uint8. points: (n, d) float32, of `layout`. joke: (n,) bool, known ones.
    sure: (n,) bool, those of them that have no cell beneath.
    """
    like = np.full(len(images), -1)
    likeness = np.zeros(len(images), np.float32)
    marks, fine = unit(points), details(images)
    for each, limit in ((marks, SAME_LAYOUT), (fine, SAME_DETAIL)):
        joke = joke | (_same(each, limit) >= TIMES - 1)
        joke, nearest, cosine = _spread(each, joke, limit)
        better = joke & (cosine > likeness)
        like[better], likeness[better] = nearest[better], cosine[better]
    for row, cosine in _with_shared_detail(fine, joke, sure):
        more = ~joke & (robust_z(cosine, ~joke) >= COPY_SD)
        like[more], likeness[more] = row, cosine[more]
        joke = joke | more
    part = np.zeros(len(images), bool)
    for row in _examples(marks, joke, points):
        pieces = unit(layout.points(thumbnails(_parts(images[row]))))
        cosine = np.where(joke, -1, (marks @ pieces.T).max(axis=1))
        likely = np.argsort(-cosine, kind="stable")[:MOST_MATCHED]
        whole = outlines(images[row])
        for other in likely[cosine[likely] >= WORTH_MATCHING].tolist():
            if float(outlines(images[other]) @ whole) >= ALIKE_OUTLINES:
                continue  # no part: the cell beneath this blend
            match = part_likeness(images[other], images[row])
            if match >= max(ALIKE_OUTLINES, likeness[other]):
                like[other], likeness[other], part[other] = row, match, True
    return Repeats(joke | part, like, likeness, part)


def details(images: np.ndarray) -> np.ndarray:
    """What is left of each picture when its smooth copy is taken away: (n, DETAIL_PX²) float32."""
    out = np.empty((len(images), DETAIL_PX**2), np.float32)
    for row, image in enumerate(images):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (DETAIL_PX, DETAIL_PX), interpolation=cv2.INTER_AREA)
        small = small.astype(np.float32)
        out[row] = (small - cv2.GaussianBlur(small, (0, 0), COARSER_PX)).ravel()
    return unit(out)


def part_likeness(image: np.ndarray, whole: np.ndarray) -> float:
    """Correlation of a picture's outlines with those of the part of `whole` that fits it best."""
    px = len(whole)
    large = cv2.resize(whole, (MATCH_PX, MATCH_PX), interpolation=cv2.INTER_AREA)
    best, place = -1.0, (px, 0, 0)
    for share in FINER:
        side = round(share * MATCH_PX)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        fits = cv2.matchTemplate(large, small, cv2.TM_CCOEFF_NORMED)
        _, fit, _, (left, top) = cv2.minMaxLoc(fits)
        if fit > best:
            best, place = fit, (round(share * px), left * px // MATCH_PX, top * px // MATCH_PX)
    return _refined(image, whole, *place)


def _refined(image: np.ndarray, whole: np.ndarray, side: int, left: int, top: int) -> float:
    """The best correlation of outlines in the neighbourhood of a square of `whole`."""
    px, best, step = len(whole), -1.0, max(1, len(whole) // MATCH_PX)
    for other_side in range(max(8, side - step), min(px, side + step) + 1):
        near = slice(max(0, top - 2 * step), min(px, top + other_side + 2 * step))
        across = slice(max(0, left - 2 * step), min(px, left + other_side + 2 * step))
        around = whole[near, across]
        if min(around.shape[:2]) < other_side:
            continue
        small = cv2.resize(image, (other_side, other_side), interpolation=cv2.INTER_AREA)
        fits = cv2.matchTemplate(around, small, cv2.TM_CCOEFF_NORMED)
        x, y = cv2.minMaxLoc(fits)[3]
        piece = around[y : y + other_side, x : x + other_side]
        enlarged = cv2.resize(piece, image.shape[:2], interpolation=cv2.INTER_LINEAR)
        best = max(best, float(outlines(enlarged) @ outlines(image)))
    return best


def _same(marks: np.ndarray, limit: float) -> np.ndarray:
    """How many other rows have the same mark as each: (n,)."""
    counts = np.empty(len(marks), np.int64)
    for start in range(0, len(marks), BLOCK):
        cosine = marks[start : start + BLOCK] @ marks.T
        counts[start : start + BLOCK] = (cosine >= limit).sum(axis=1) - 1
    return counts


def _spread(
    marks: np.ndarray, joke: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jokes, and what resembles them: (n,) bool, the joke most like each row (n,), cosine (n,)."""
    while joke.any():
        known = np.flatnonzero(joke)
        nearest, cosine, last = _nearest(marks, known)
        joke = joke | (last >= limit)
        if joke.sum() == len(known):
            return joke, known[nearest], cosine
    return joke, np.full(len(marks), -1), np.full(len(marks), -1, np.float32)


def _with_shared_detail(
    marks: np.ndarray, joke: np.ndarray, sure: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """For each joke one of its rows, and every row's likeness (n,) to what all its copies share.

    Where none is `sure` it takes WITNESSES: a single one may have a cell over it.
    """
    rows = np.flatnonzero(joke)
    alike = marks[rows] @ marks[rows].T >= SAME_DETAIL
    np.fill_diagonal(alike, True)  # also where there is no detail at all
    copies = alike.sum(axis=1)
    left = np.ones(len(rows), bool)
    while left.any():
        taken = left & alike[np.where(left, copies, 0).argmax()]
        left &= ~taken
        copies -= alike[:, taken].sum(axis=1)
        same = rows[taken]
        if len(same) >= WITNESSES or sure[same].any():
            yield int(same[0]), marks @ unit(marks[same].mean(axis=0, keepdims=True))[0]


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
        left = left[marks[left] @ marks[left[0]] < SAME_LAYOUT]
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
