"""Which rows stay: exact copies, joke pictures, strangers, and near copies that belong together.

Nothing here knows where in an archive the jokes lie, what they show, or how many there are.
Copies are found by hashes of the bytes, near copies by thumbnails verified on pixels
(cells/near_copies.py); with `deep`, also jokes blended over cells or cropped (cells/repeats.py),
and single pictures unlike any cell (cells/outliers.py).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from cells.dataset import COPY, JOKE, KEPT, OUTLIER
from cells.near_copies import near_pairs, repeated
from cells.outliers import limit, strangeness, with_form
from cells.repeats import Repeats, find_repeats

VERSION = 4  # raise it when another rule lets other rows stay: it is part of the fingerprint
JOKE_TIMES = 36  # a cell turns up two or three times by accident, never more than three dozen times
ODD = 0.1  # doubt from which a kept row is called odd
LEAST_FOR_NETWORK = 1000  # pictures; a network that has seen few calls other cells spoilt
LEAST_DEEP = 100  # pictures from which it can be learnt what cells look like


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
    again = plain[repeated(images[first[plain]], near, times[plain])]
    verdict[again] = JOKE
    why |= dict.fromkeys(again.tolist(), "a picture that comes again and again, changed a little")
    doubt = (verdict != KEPT).astype(np.float32)
    if deep and (verdict == KEPT).sum() < LEAST_DEEP:
        report(f"too few pictures to learn what cells look like (fewer than {LEAST_DEEP})")
    elif deep:
        with threadpool_limits(1):  # sums in another order would fit other mixtures
            verdict, doubt, more = _look_deeper(images[first], verdict, joke, first, report)
        why |= more

    is_first = first[picture] == np.arange(len(images))
    dropped = np.where(is_first | (verdict[picture] != KEPT), verdict[picture], COPY)
    copied = dropped == COPY
    return Cleaning(
        dropped=dropped.astype(np.uint8),
        copy_of=np.where(is_first, -1, first[picture]),
        times=times[picture],
        group=_groups(picture, picture[pairs]),
        doubt=np.where(copied, 1, doubt[picture]).astype(np.float32),
        why=tuple(
            f"the very picture of row {first[number]}" if copy else why.get(number, "")
            for number, copy in zip(picture.tolist(), copied.tolist(), strict=True)
        ),
    )


def _look_deeper(
    pictures: np.ndarray,
    verdict: np.ndarray,
    exact: np.ndarray,
    first: np.ndarray,
    report: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Jokes blended over cells, parts of jokes, and pictures that are no cell.

    pictures: (pictures, px, px, 3) uint8, distinct. verdict: (pictures,) uint8, KEPT or JOKE.
    exact: (pictures,) bool, jokes by their exact copies. first: (pictures,) the archive's row.
    Returns the verdict with more in it, the doubt (pictures,), and the new reasons by number.
    """
    known = verdict == JOKE
    found = strangeness(pictures, ~known, report)
    report("looking for jokes blended over cells, and for parts of jokes")
    repeats = find_repeats(pictures, found.layout, found.points, known, exact)
    if len(pictures) >= LEAST_FOR_NETWORK:
        report("teaching a small network what cells look like")
        found = with_form(found, pictures, ~repeats.joke)
    no_cell = limit(found.score[~repeats.joke])
    alone = ~repeats.joke & (found.score >= no_cell)
    doubt = 1 - 0.5 ** ((found.score / no_cell) ** 4)  # .5 where a picture is dropped as no cell
    why = {
        number: _why_repeated(repeats, number, first)
        for number in np.flatnonzero(repeats.joke & ~known).tolist()
    }
    for number in np.flatnonzero((doubt > 0) & ~repeats.joke).tolist():
        odd = "an odd cell" if doubt[number] >= ODD else "a slightly odd cell"
        word = "no cell" if alone[number] else odd
        why[number] = f"{word}: {found.strangest(number)}"
    verdict = np.where(repeats.joke, JOKE, np.where(alone, OUTLIER, KEPT)).astype(np.uint8)
    return verdict, np.where(repeats.joke, 1, doubt).astype(np.float32), why


def _why_repeated(repeats: Repeats, number: int, first: np.ndarray) -> str:
    like, likeness = int(repeats.like[number]), float(repeats.likeness[number])
    if like < 0:
        return "a picture that comes again and again"
    what = "a part of" if repeats.part[number] else "the same in it as"
    return f"{what} the picture of row {first[like]} (likeness {likeness:.2f})"


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
