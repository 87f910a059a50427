"""How unlike every cell of the archive a picture is: colour, layout and texture, robustly.

Nothing is known of what strangers look like. Each picture becomes a few numbers (how unusual its
layout is, its colours, its texture at three scales), and a mixture of normal distributions is
fitted to those of the archive, since cells come in several kinds and stains. All is learnt twice,
the second time without the rows that looked strange. A small network then judges the form
(cells/cell_network.py): what has a cell's colours and detail, but not its shape.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from sklearn.mixture import GaussianMixture

from cells.cell_network import spoiltness
from cells.layout import Layout, fit_layout, robust_sd, thumbnails
from cells.texture import GRAIN, NAMES, SCALES, texture

STRANGE = 3.0  # robust sd; rows beyond are not learnt from
MOST = 12.0  # robust sd that one number can bring: no single oddity makes a cell a stranger
KINDS = 10  # normal distributions in a mixture
MIXTURES = 5  # fitted from different starts: a rare kind of cell may get its own in but one of them
LEAST_VARIANCE = 0.3  # of each distribution, in robust sd squared
MAIN_AXES = 32  # of the layout: what differs most between cells
LAYOUT, MAIN_LAYOUT = "where in detail it is dark and light", "where it is dark and light"
TINT, COLOUR, SHAPE = "its brightness and tint", "colours that are rare here", "its shape"
COLOUR_PX = 48
LIGHTS, HUES = 16, 24  # bins of lightness, and of each of the two colour axes
RARE = 0.004  # a colour is rare when fewer than this share of the trusted pictures have it

FORM = 1.5  # what a robust sd of the network's logit counts for
TAIL_FROM = 7.0  # sd; TAIL of an archive's cells lie beyond it, half as many beyond each sd more:
TAIL = 0.002  # on 11,951 real cells 23, 10, 6, 3, 2 and 0 lay beyond 7, 8, 9, 10, 11 and 12
TIMES_MORE = 8  # pictures beyond a limit are no cells where there are so many times more
LEAST_LIMIT = 5.5  # sd; the tail is not known to look so below


@dataclass(frozen=True)
class Strangeness:
    """What makes each row strange.

    score: (n,) float32, sd from the nearest kind of ordinary row; larger is stranger.
    ordinary: (n,) bool, the rows that the next round may learn from.
    parts: (n, f) float32, robust sd of each number by itself. names: (f,) what they are, in words
        that any biologist understands.
    layout: how cells lie, and points: (n, d) float32, where each row lies in it.
    """

    score: np.ndarray
    ordinary: np.ndarray
    parts: np.ndarray
    names: tuple[str, ...]
    layout: Layout
    points: np.ndarray

    def strangest(self, row: int) -> str:
        """How far a row lies from any kind of cell, and the number that brings most, in words."""
        number = int(self.parts[row].argmax())
        return f"{self.score[row]:.1f} sd from any kind of cell here, most by {self.names[number]}"


def strangeness(
    images: np.ndarray, trusted: np.ndarray, report: Callable[[str], None] = lambda line: None
) -> Strangeness:
    """Score every row by how unlike the others it is.

    images: (n, px, px, 3) uint8. trusted: (n,) bool, rows that may be learnt from at all.
    """
    rng = np.random.default_rng(0)  # the same archive always gets the same scores
    thumbs = thumbnails(images)
    report("learning what cells look like")
    first = _describe(images, thumbs, trusted, SCALES[1:], rng)
    report("learning it again, finer, without what looked strange")
    return _describe(images, thumbs, first.ordinary, SCALES, rng)


def with_form(found: Strangeness, images: np.ndarray, trusted: np.ndarray) -> Strangeness:
    """The same with the network's opinion in it.

    images: (n, px, px, 3) uint8. trusted: (n,) bool, rows that may be learnt from at all.
    """
    learn = found.ordinary & trusted
    form = FORM * robust_z(spoiltness(images, learn), learn)
    return replace(
        found,
        score=np.hypot(found.score, np.maximum(form, 0)),
        parts=np.column_stack([found.parts, form]),
        names=(*found.names, SHAPE),
    )


def limit(score: np.ndarray) -> float:
    """The score from which pictures are no cells: there are too many of them to be odd cells.

    score: (n,). Every archive has some odd cells, so that one picture alone must lie farther out
    than each of a dozen. Of what lies beyond the limit one in TIMES_MORE is expected to be a cell.
    """
    far = np.sort(score[score >= LEAST_LIMIT])[::-1]
    enough = np.arange(1, len(far) + 1) >= TIMES_MORE * _expected(far, len(score))
    if enough.any():
        return float(far[enough][-1])
    return TAIL_FROM + max(0.0, float(np.log2(TIMES_MORE * TAIL * len(score))))


def _expected(score: np.ndarray, rows: int) -> np.ndarray:
    """How many of as many cells lie beyond each score."""
    return rows * TAIL * 2 ** (TAIL_FROM - score)


def _describe(
    images: np.ndarray,
    thumbs: np.ndarray,
    trusted: np.ndarray,
    scales: tuple[tuple[int, int], ...],
    rng: np.random.Generator,
) -> Strangeness:
    """One round: learn from the trusted rows, score all."""
    layout = fit_layout(thumbs, trusted)
    points = layout.points(thumbs)
    main = points[:, -MAIN_AXES:]  # eigh's order: the widest directions last
    columns = [
        np.log((points**2).sum(axis=1)),
        np.log((main**2).sum(axis=1)),
        unusual_tint(images, trusted),
    ]
    calm = trusted & (robust_z(np.stack(columns, axis=1), trusted) < STRANGE).all(axis=1)
    rare = np.log1p(np.maximum(robust_z(rare_colours(images, calm), calm), 0))  # mostly none at all
    names = [LAYOUT, MAIN_LAYOUT, TINT, COLOUR]
    for reduced, step in scales:
        columns.extend(texture(images, calm, reduced, step, rng).T)
        names.extend(name.format(grain=GRAIN[reduced]) for name in NAMES)
    parts = robust_z(np.stack(columns, axis=1), calm)
    parts = np.insert(parts, 3, rare, axis=1)
    oddity = np.linalg.norm(np.clip(parts, 0, MOST), axis=1)
    ordinary = trusted & (robust_z(oddity, calm) < STRANGE)
    score = _from_nearest_kind(np.clip(parts, -MOST, MOST), ordinary)
    return Strangeness(score, ordinary, parts, tuple(names), layout, points)


def _from_nearest_kind(parts: np.ndarray, ordinary: np.ndarray) -> np.ndarray:
    """Mahalanobis distance of each row (n, f) from the nearest of all distributions: (n,)."""
    kinds = min(KINDS, max(1, int(ordinary.sum()) // (4 * parts.shape[1])))
    nearest = np.full(len(parts), np.inf)
    for seed in range(MIXTURES if kinds > 1 else 1):
        mixture = GaussianMixture(kinds, reg_covar=LEAST_VARIANCE, random_state=seed)
        mixture.fit(parts[ordinary])
        for mean, precision in zip(mixture.means_, mixture.precisions_, strict=True):
            off = parts - mean
            nearest = np.minimum(nearest, ((off @ precision) * off).sum(axis=1))
    return np.sqrt(nearest).astype(np.float32)


def robust_z(values: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """(n,) or (n, f) → how many upper robust sd above the trusted rows' median, float32.

    The sd is the larger of those that the 84th and the 97.7th percentile tell, so that a long tail
    counts for what it is.
    """
    middle, one, two = np.quantile(values[trusted], [0.5, 0.8413, 0.9772], axis=0)
    sd = np.maximum(one - middle, (two - middle) / 2)
    return ((values - middle) / np.maximum(sd, 1e-6)).astype(np.float32)


def unusual_tint(images: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Log of how far a picture's dark, middling or light colours lie from the others': (n,).

    The largest, in robust sd, over three percentiles of each of Lab's channels.
    """
    tints = np.empty((len(images), 9), np.float32)
    for row, image in enumerate(images):
        small = cv2.resize(image, (COLOUR_PX, COLOUR_PX), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        tints[row] = np.percentile(lab, (10, 50, 90), axis=0).ravel()
    off = np.abs(tints - np.median(tints[trusted], axis=0))
    return np.log((off / (robust_sd(tints[trusted]) + 1)).max(axis=1) + 0.1)


def rare_colours(images: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Log of the share of each picture's area in colours that hardly any trusted one has: (n,)."""
    bins = np.stack([_colour_bins(image) for image in images])
    has = np.zeros(LIGHTS * HUES**2)
    for row in np.flatnonzero(trusted):
        has[np.unique(bins[row])] += 1
    rare = has < RARE * trusted.sum()
    return np.log(rare[bins].mean(axis=1) + 0.01)


def _colour_bins(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 → (COLOUR_PX²,) the bin of each pixel's colour in Lab."""
    small = cv2.resize(image, (COLOUR_PX, COLOUR_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.int32)
    light = lab[:, 0] * LIGHTS // 256
    hues = np.clip((lab[:, 1:] - 64) * HUES // 128, 0, HUES - 1)
    return (light * HUES + hues[:, 0]) * HUES + hues[:, 1]
