"""Which rows stay: exact copies, joke pictures, strangers, and near copies that belong together.

Nothing here knows where in an archive the jokes lie, what they show, or how many there are.
Copies are found by hashes of the bytes, near copies by thumbnails verified on pixels; with `deep`,
jokes blended over cells or cropped by what is left of them (cells/repeats.py), and pictures that are
no cell at all by what they have in common with none (cells/outliers.py).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cells.dataset import COPY, JOKE, KEPT, OUTLIER
from cells.outliers import Strangeness, strangeness
from cells.repeats import Repeats, find_repeats, repeated

VERSION = 2  # raise it when another rule lets other rows stay: it is part of the fingerprint
JOKE_TIMES = 36  # a cell turns up two or three times by accident, never more than three dozen times
NO_CELL = 8.3  # sd from the nearest kind of cell: the strangest real cells reach 7.8
ODD = 4.5  # sd from which a likeness to a joke counts for more; one cell in thirty
DOUBTFUL = 0.1  # doubt from which a kept row gets a reason
BLOCK = 256  # thumbnails compared with all others at a time: 12 MB for 12,000 images
THUMB_PX = 12
THUMB_LIKENESS = 0.95  # correlation of thumbnails: cheap, lets through everything worth a look
NEAR_LIKENESS = 0.96  # correlation of pixels: distinct cells reach .92, one cell seen twice .985


@dataclass(frozen=True)
class Cleaning:
    """What cleaning found, a value for each of the archive's rows.

    dropped: (rows,) uint8, KEPT, COPY, JOKE or OUTLIER.
    copy_of: (rows,) int64, the first row with the very same picture; -1 for that row itself.
    times: (rows,) int64, how often the picture occurs, byte by byte.
    group: (rows,) int32, the same number for exact and near copies, numbered by first occurrence.
    doubt: (rows,) float32, 0-1, how sure it is that the row is no cell of its own: 1 for copies and
        jokes; of kept rows the larger, the stranger; 0 where nothing was looked for.
    why: (rows,) str, what was found, short and plain; "" where nothing was.
    """

    dropped: np.ndarray
    copy_of: np.ndarray
    times: np.ndarray
    group: np.ndarray
    doubt: np.ndarray
    why: tuple[str, ...]

    @property
    def kept(self) -> np.ndarray:
        """Rows that stay, ascending."""
        return np.flatnonzero(self.dropped == KEPT)


def clean(
    images: np.ndarray,
    labels: np.ndarray,
    deep: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Cleaning:
    """Find copies, jokes and, if `deep`, blended and cropped jokes and pictures that are no cell.

    images: (rows, px, px, 3) uint8. labels: (rows,) integers. report: gets a line a step.
    Of exact copies the first row stays. A picture under several labels, more than JOKE_TIMES times,
    or with several near copies, is a joke: all its rows go. Kept pictures that are nearly the same
    share a group.
    """
    picture, first, times = _pictures(images)
    joke = (times > JOKE_TIMES) | _under_several(picture, labels, len(first))
    verdict = np.where(joke, JOKE, KEPT).astype(np.uint8)
    why = _why_copied(joke, times)
    plain = np.flatnonzero(~joke)
    pairs = near_pairs(images, first[plain])
    near = np.searchsorted(first[plain], pairs)  # positions in `plain`: `first` ascends
    again = plain[repeated(images[first[plain]], near)]
    verdict[again] = JOKE
    why |= dict.fromkeys(again.tolist(), "a picture that comes again and again, changed a little")
    doubt = (verdict != KEPT).astype(np.float32)
    if deep and len(plain):
        _look_deeper(images[first], verdict, doubt, why, first, report)

    is_first = first[picture] == np.arange(len(images))
    dropped = np.where(is_first | (verdict[picture] != KEPT), verdict[picture], COPY)
    copied = dropped == COPY
    kept_pairs = picture[pairs][(verdict[picture[pairs]] == KEPT).all(axis=1)]
    return Cleaning(
        dropped=dropped.astype(np.uint8),
        copy_of=np.where(is_first, -1, first[picture]),
        times=times[picture],
        group=_groups(picture, kept_pairs),
        doubt=np.where(copied, 1, doubt[picture]).astype(np.float32),
        why=tuple(
            f"the very picture of row {first[number]}" if copy else why.get(number, "")
            for number, copy in zip(picture.tolist(), copied.tolist(), strict=True)
        ),
    )


def _look_deeper(
    pictures: np.ndarray,
    verdict: np.ndarray,
    doubt: np.ndarray,
    why: dict[int, str],
    first: np.ndarray,
    report: Callable[[str], None],
) -> None:
    """Add to the verdict on each distinct picture, to the doubt and to the reasons, in place.

    pictures: (pictures, px, px, 3) uint8. first: (pictures,) the archive's row of each.
    """
    found = strangeness(pictures, verdict == KEPT, report)
    report("looking for jokes blended over cells, and for parts of jokes")
    known = verdict == JOKE
    repeats = find_repeats(pictures, found.layout, found.points, known, found.score >= ODD)
    alone = (verdict == KEPT) & ~repeats.joke & (found.score >= NO_CELL)
    for number in np.flatnonzero(repeats.joke & ~known).tolist():
        why[number] = _why_repeated(repeats, number, first)
    doubt[:] = _doubts(found, verdict == KEPT)
    for number in np.flatnonzero((doubt >= DOUBTFUL) & (verdict == KEPT)).tolist():
        word = "no cell" if alone[number] else "an odd cell"
        why.setdefault(number, f"{word}: {found.strangest(number)}")
    verdict[repeats.joke] = JOKE
    doubt[verdict == JOKE] = 1
    verdict[alone] = OUTLIER


def _why_repeated(repeats: Repeats, number: int, first: np.ndarray) -> str:
    like, likeness = int(repeats.like[number]), float(repeats.likeness[number])
    if like < 0:
        return "a picture that comes again and again"
    what = "a part of" if repeats.part[number] else "the same in it as"
    return f"{what} the picture of row {first[like]} (likeness {likeness:.2f})"


def _doubts(found: Strangeness, asked: np.ndarray) -> np.ndarray:
    """Scores as 0-1: .5 where a picture is dropped as no cell. (pictures,) float32."""
    return np.where(asked, 1 - 0.5 ** ((found.score / NO_CELL) ** 4), 0).astype(np.float32)


def _why_copied(joke: np.ndarray, times: np.ndarray) -> dict[int, str]:
    """A reason for each picture that is a joke by its exact copies."""
    return {
        number: f"the very same picture {times[number]:,} times"
        + ("" if times[number] > JOKE_TIMES else ", under several labels")
        for number in np.flatnonzero(joke).tolist()
    }


def _under_several(picture: np.ndarray, labels: np.ndarray, pictures: int) -> np.ndarray:
    """Whether each picture stands under more than one label: (pictures,) bool."""
    lowest = np.full(pictures, np.iinfo(np.int64).max)
    highest = np.full(pictures, -1)
    np.minimum.at(lowest, picture, labels)
    np.maximum.at(highest, picture, labels)
    return lowest != highest


def near_pairs(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs of `rows` that show one picture turned, mirrored, re-encoded, brightened or dimmed.

    images: (all rows, px, px, 3) uint8. rows: (n,). Returns (pairs, 2) row numbers, first < second.
    Candidates come from small standardised thumbnails, in all eight orientations; a pair counts
    when its pixels, standardised over the whole picture, correlate by NEAR_LIKENESS or more.
    """
    thumbs = np.empty((len(rows), THUMB_PX, THUMB_PX), np.float32)
    for position, row in enumerate(rows):
        grey = cv2.cvtColor(images[row], cv2.COLOR_RGB2GRAY).astype(np.float32)
        thumbs[position] = cv2.resize(grey, thumbs.shape[1:], interpolation=cv2.INTER_AREA)
    plain = _standardised(thumbs)
    found = []
    for turns in range(4):
        for mirrored in (False, True):
            turned = _standardised(_oriented(thumbs, turns, mirrored))
            for start in range(0, len(rows), BLOCK):
                # Every pair is met as (i, turned j) and as (j, turned back i): half is enough.
                likeness = plain[start : start + BLOCK] @ turned[start:].T
                alike = np.flatnonzero(likeness.ravel() >= THUMB_LIKENESS)  # faster than in 2-D
                left, right = np.divmod(alike, likeness.shape[1])
                ahead = left < right
                for i, j in zip(start + left[ahead], start + right[ahead], strict=True):
                    other = _oriented(images[rows[j]][None], turns, mirrored)[0]
                    if _likeness(images[rows[i]], other) >= NEAR_LIKENESS:
                        found.append(sorted((int(rows[i]), int(rows[j]))))
    return np.unique(np.array(found, np.int64).reshape(-1, 2), axis=0)


def _pictures(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the distinct pictures by first occurrence.

    Returns picture (rows,), first (pictures,) the first row of each, times (pictures,).
    """
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    picture = np.empty(len(images), np.int64)
    for row, image in enumerate(images):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        number = numbers.setdefault(digest, len(numbers))
        if number == len(first):
            first.append(row)
        picture[row] = number
    return picture, np.array(first, np.int64), np.bincount(picture, minlength=len(first))


def _groups(picture: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """A group number for each row; `linked` (pairs, 2) are pictures that belong together."""
    pictures = int(picture.max()) + 1 if len(picture) else 0
    ones = np.ones(len(linked), bool)
    graph = coo_array((ones, (linked[:, 0], linked[:, 1])), shape=(pictures, pictures))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse][picture].astype(np.int32)


def _standardised(thumbs: np.ndarray) -> np.ndarray:
    """(n, h, w) → (n, h·w) float32 with mean 0 and length 1; a flat picture becomes 0."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-3, length, np.inf)


def _likeness(left: np.ndarray, right: np.ndarray) -> float:
    """Correlation of two pictures' pixels, colour included, -1 to 1."""
    both = _standardised(np.stack([left, right]).reshape(2, -1, 3))
    return float(both[0] @ both[1])


def _oriented(images: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    """Turn (n, h, w, …) by quarter turns, then mirror left to right."""
    turned = np.rot90(images, turns, axes=(1, 2))
    return turned[:, :, ::-1] if mirrored else turned
