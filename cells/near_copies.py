"""Near copies: one picture re-encoded, noisy, brighter or darker, turned or mirrored.

Two small thumbnails stand for each picture as a perceptual hash; what they bring together is
verified on pixels.

A cell turns up two or three times by accident. A picture that turns up five times is a joke, unless
most of the archive is repeated so: then it was enlarged by its makers, and only what comes four
times as often as the ordinary picture is one.
"""

import cv2
import numpy as np

from cells.layout import thumbnails, unit

TIMES = 5  # copies that make a joke; real cells reach 3
TIMES_ORDINARY = 4  # and this many times as often as the archive's ordinary picture
BLOCK = 256  # thumbnails compared with all others at a time: 12 MB for 12,000 images

THUMB_PX = 12
THUMB_LIKENESS = 0.95  # correlation of thumbnails: cheap, lets through everything worth a look
NEAR_LIKENESS = 0.96  # correlation of pixels: distinct cells reach .92, one cell seen twice .985

HASH_PX = 24  # noise of sd 30 is sd 8 on such a thumbnail
ALIKE = 0.9  # correlation of thumbnails, less what all pictures share
ALIKE_OUTLINES = (
    0.85  # correlation of outlines: distinct cells reach .8, copies hardly sink below .9
)
OUTLINES = (0.02, 0.06)  # finer and coarser than these is left out, in units of the picture's side


def repeated(images: np.ndarray, pairs: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Which pictures have so many copies, near and exact, that they are jokes: (n,) bool.

    images: (n, px, px, 3) uint8, distinct pictures. pairs: (m, 2) positions in them known to be
    near copies. times: (n,) how often each occurs, byte by byte. More pairs come from thumbnails,
    verified on pixels; re-encoding, noise, more or less light and contrast leave them alike.
    """
    if not len(images):
        return np.zeros(0, bool)
    links = np.concatenate([pairs, hash_pairs(images)])
    links = np.unique(np.sort(links, axis=1), axis=0)
    copies = times.copy()
    np.add.at(copies, links[:, 0], times[links[:, 1]])
    np.add.at(copies, links[:, 1], times[links[:, 0]])
    many = copies >= max(TIMES, TIMES_ORDINARY * np.median(copies))
    many &= copies > times  # exact copies alone are not judged here
    joined = links[many[links].any(axis=1)]
    joke = many.copy()
    joke[joined.ravel()] = True  # a copy of a copy, though it has fewer itself
    return joke


def hash_pairs(images: np.ndarray) -> np.ndarray:
    """Pairs of upright near copies: (pairs, 2) positions, first < second."""
    if not len(images):
        return np.empty((0, 2), np.int64)
    thumbs = thumbnails(images, HASH_PX)
    marks = unit(_level(thumbs - thumbs.mean(axis=0)))
    found = []
    for start in range(0, len(marks), BLOCK):
        likeness = marks[start : start + BLOCK] @ marks[start:].T
        alike = np.flatnonzero(likeness.ravel() >= ALIKE)
        left, right = np.divmod(alike, likeness.shape[1])
        ahead = left < right
        found.append(np.stack([left[ahead], right[ahead]], axis=1) + start)
    pairs = np.concatenate(found)
    seen = {row: outlines(images[row]) for row in np.unique(pairs).tolist()}
    close = [float(seen[i] @ seen[j]) >= ALIKE_OUTLINES for i, j in pairs.tolist()]
    return pairs[np.array(close, bool)]


def outlines(image: np.ndarray) -> np.ndarray:
    """What is neither noise nor mere light and shade: (px, px, 3) uint8 → (3·px²,), of length 1."""
    pixels = image.astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(pixels, (0, 0), share * len(image)) for share in OUTLINES)
    return unit(_level((fine - coarse)[None]))[0]


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


def _level(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) float32 → (n, h·w·3), each channel less its own mean."""
    flat = pictures.reshape(len(pictures), -1, 3)
    return (flat - flat.mean(axis=1, keepdims=True)).reshape(len(pictures), -1)


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
