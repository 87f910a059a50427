"""Pictures that come again and again, though no two copies are byte-identical.

A cell turns up two or three times by accident. A picture that turns up five times is a joke, unless
most of the archive is repeated so: then it was enlarged by its makers, and only what comes four
times as often as the ordinary picture is one.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cells.layout import Layout, thumbnails

TIMES = 5  # near copies that make a joke; real cells reach 3
TIMES_ORDINARY = 4  # and this many times as often as the archive's ordinary picture
HASH_PX = 24  # noise of sd 30 is sd 8 on such a thumbnail
ALIKE = 0.93  # correlation of thumbnails, less what all pictures share: distinct cells reach .92
ALIKE_PIXELS = 0.9  # the same of the pixels, of both pictures smoothed
BLOCK = 512

SAME_WAY = 0.7  # cosine of two layouts' points: cells reach .68, half-and-half blends start at .7
SAME_WAY_AS_JOKE = 0.6  # enough for a row that looks strange itself
PART_OF_JOKE = 0.7  # cosine with the best part cut from a joke
PARTS = tuple(np.linspace(0.5, 0.95, 10))  # sides of parts, as shares of the picture's
PLACES = 7  # of a part, in each direction
MOST_JOKES = 24  # distinct jokes whose parts are looked for


def repeated(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which pictures have so many near copies that they are jokes: (n,) bool.

    images: (n, px, px, 3) uint8, distinct pictures. pairs: (m, 2) positions in them known to be
    near copies. More come from thumbnails less the archive's typical one, verified on pixels;
    re-encoding, noise, more or less light and contrast leave them alike.
    """
    links = np.concatenate([pairs, hash_pairs(images)])
    links = np.unique(np.sort(links, axis=1), axis=0)
    copies = 1 + np.bincount(links.ravel(), minlength=len(images))
    many = copies >= max(TIMES, TIMES_ORDINARY * np.median(copies)) if len(copies) else copies > 0
    joined = links[many[links].any(axis=1)]
    joke = many.copy()
    joke[joined.ravel()] = True  # a copy of a copy, though it has fewer itself
    return joke


def hash_pairs(images: np.ndarray) -> np.ndarray:
    """Pairs of upright near copies: (pairs, 2) positions, first < second."""
    thumbs = thumbnails(images, HASH_PX)
    typical = np.median(thumbs[:: max(1, len(thumbs) // 2000)], axis=0) if len(thumbs) else 0
    marks = _unit(_level(thumbs - typical))
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(marks), BLOCK):
        likeness = marks[start : start + BLOCK] @ marks[start:].T
        alike = np.flatnonzero(likeness.ravel() >= ALIKE)
        left, right = np.divmod(alike, likeness.shape[1])
        ahead = left < right
        pairs = np.stack([left[ahead], right[ahead]], axis=1) + start
        found.append(_verified(images, pairs))
    return np.concatenate(found)


def _verified(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The pairs whose pixels agree too, fine noise smoothed away."""
    rows = np.unique(pairs)
    if not len(rows):
        return pairs
    smooth = {}
    for row in rows.tolist():
        soft = cv2.GaussianBlur(images[row], (0, 0), 0.015 * images.shape[1] + 0.5)
        smooth[row] = _unit(_level(soft[None].astype(np.float32)))[0]
    close = [float(smooth[i] @ smooth[j]) >= ALIKE_PIXELS for i, j in pairs.tolist()]
    return pairs[np.array(close, bool)]


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
    marks = _unit(points)
    same = _same_way(marks)
    joke = joke | (same >= TIMES - 1)
    like = np.full(len(marks), -1)
    likeness = np.zeros(len(marks), np.float32)
    part = np.zeros(len(marks), bool)
    if not joke.any():
        return Repeats(joke, like, likeness, part)
    for _ in range(3):  # a copy of a copy
        known = np.flatnonzero(joke)
        nearest, cosine = _nearest(marks, known)
        more = (cosine >= SAME_WAY) | (strange & (cosine >= SAME_WAY_AS_JOKE))
        joke = joke | more
        if joke.sum() == len(known):
            break
    like, likeness = np.where(joke, known[nearest], -1), np.where(joke, cosine, 0)
    for row in _examples(marks, joke, points):
        pieces = _unit(layout.points(thumbnails(_parts(images[row]))))
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


def _nearest(marks: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the `known` rows the one most like each row, itself excluded: position, cosine."""
    nearest = np.empty(len(marks), np.int64)
    best = np.empty(len(marks), np.float32)
    for start in range(0, len(marks), BLOCK):
        cosine = marks[start : start + BLOCK] @ marks[known].T
        rows = np.arange(start, start + len(cosine))
        cosine[rows[:, None] == known] = -1
        nearest[rows] = cosine.argmax(axis=1)
        best[rows] = cosine.max(axis=1)
    return nearest, best


def _examples(marks: np.ndarray, joke: np.ndarray, points: np.ndarray) -> list[int]:
    """One row of each distinct joke: the one that lies farthest out, least blended and least dim."""
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


def _level(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) float32 → (n, h·w·3), each channel less its own mean."""
    flat = pictures.reshape(len(pictures), -1, 3)
    return (flat - flat.mean(axis=1, keepdims=True)).reshape(len(pictures), -1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Each row (n, d) of length 1; a row of next to nothing becomes 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-3, length, np.inf)
