"""The eight kinds of blood cell as shapes and numbers, for drawing them.

Shapes are polygons (k, 2) in units of the cell's radius, the cell's centre at (0, 0).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

Colour = tuple[int, int, int]
Range = tuple[float, float]
POINTS = 40


@dataclass(frozen=True)
class Kind:
    """What tells a kind of cell from the others.

    real_count: cells of this kind in the real archive (BloodMNIST's training part).
    radius: of the cell, in units of the picture's size.
    chromatin: how spotted the nucleus is, sd of its brightness.
    granules: mean number; granule_size: radius in units of the cell's. vacuoles: mean number.
    variety: how much colour and light differ from cell to cell, 1 is usual.
    """

    real_count: int
    radius: Range
    body: Callable[[np.random.Generator], np.ndarray]
    nucleus: Callable[[np.random.Generator], list[np.ndarray]]
    cytoplasm: Colour
    nucleus_colour: Colour
    chromatin: float = 0.12
    granules: int = 0
    granule_size: Range = (0.02, 0.035)
    granule_colour: Colour = (120, 70, 140)
    granules_cover_nucleus: bool = False
    vacuoles: int = 0
    variety: float = 1.0


def blob(
    generator: np.random.Generator,
    centre: tuple[float, float] = (0.0, 0.0),
    radii: tuple[float, float] = (1.0, 1.0),
    wobble: float = 0.03,
    waves: tuple[int, ...] = (2, 3, 4, 5),
    dent: float = 0.0,
) -> np.ndarray:
    """A wobbly ellipse, perhaps dented on one side (at angle 0)."""
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    radius = np.ones(POINTS)
    for wave in waves:
        radius += generator.normal(0, wobble) * np.cos(wave * angles + generator.uniform(0, 6.28))
    from_dent = np.minimum(angles, 2 * np.pi - angles)
    radius -= dent * np.exp(-((from_dent / 0.55) ** 2))
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
    return outline * radii + centre


def round_body(wobble: float, generator: np.random.Generator) -> np.ndarray:
    """A round or slightly oval cell."""
    stretch = generator.uniform(0.9, 1.08)
    return blob(generator, radii=(stretch, 1 / stretch), wobble=wobble)


def spiky_body(generator: np.random.Generator) -> np.ndarray:
    """A platelet's ragged outline."""
    return blob(
        generator, radii=(1.0, generator.uniform(0.75, 1)), wobble=0.06, waves=(2, 5, 8, 11)
    )


def off_centre(reach: float, generator: np.random.Generator) -> tuple[float, float]:
    """A point up to `reach` from the cell's centre."""
    x, y = generator.uniform(-reach, reach, 2) * 0.7
    return float(x), float(y)


def round_nucleus(size: Range, reach: float, generator: np.random.Generator) -> list[np.ndarray]:
    """One smooth round nucleus."""
    radius = generator.uniform(*size)
    stretch = generator.uniform(0.93, 1.07)
    radii = (radius * stretch, radius / stretch)
    return [blob(generator, off_centre(reach, generator), radii, 0.015)]


def kidney_nucleus(size: Range, dent: Range, generator: np.random.Generator) -> list[np.ndarray]:
    """One large oval nucleus, dented like a kidney or folded."""
    radius = generator.uniform(*size)
    radii = (radius * generator.uniform(0.8, 0.95), radius)
    place = off_centre(0.2, generator)
    return [blob(generator, place, radii, 0.04, dent=generator.uniform(*dent))]


def lobed_nucleus(
    lobes: tuple[int, int], size: Range, spread: float, generator: np.random.Generator
) -> list[np.ndarray]:
    """Lobes along an arc, linked by bridges; `lobes`: fewest and most."""
    count = int(generator.integers(lobes[0], lobes[1] + 1))
    step = generator.uniform(0.75, 1.0) * spread / max(count - 1, 1)
    angles = np.arange(count) * step + generator.normal(0, 0.12, count)
    distance = generator.uniform(0.4, 0.52)
    centres = np.stack([np.cos(angles), np.sin(angles)], axis=1) * distance
    shapes = [
        blob(generator, (x, y), tuple(generator.uniform(*size, 2)), 0.05)
        for x, y in centres.tolist()
    ]
    width = generator.uniform(0.06, 0.16)
    return shapes + [_bridge(a, b, width) for a, b in pairwise(centres)]


def band_nucleus(generator: np.random.Generator) -> list[np.ndarray]:
    """A bent band, thick or thin: the young neutrophil's."""
    half = generator.uniform(1.2, 2.1)
    angles = np.linspace(-half, half, POINTS // 2)
    thickness = generator.uniform(0.15, 0.22) * (
        1 + 0.15 * np.cos(generator.uniform(2, 5) * angles)
    )
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    middle = generator.uniform(0.42, 0.5)
    outer, inner = arc * (middle + thickness[:, None]), arc * (middle - thickness[:, None])
    return [np.concatenate([outer, inner[::-1]])]


def neutrophil_nucleus(generator: np.random.Generator) -> list[np.ndarray]:
    """Three to five linked lobes, or a band."""
    if generator.random() < 0.25:
        return band_nucleus(generator)
    return lobed_nucleus((3, 5), (0.2, 0.29), 4.2, generator)


def no_nucleus(generator: np.random.Generator) -> list[np.ndarray]:
    """A platelet has none, only a darker middle."""
    radius = generator.uniform(0.35, 0.6)
    return [blob(generator, (0.0, 0.0), (radius, radius), 0.1)]


def _bridge(start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """A straight band between two points."""
    along = end - start
    across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-9) * width
    return np.stack([start + across, end + across, end - across, start - across])


KINDS: dict[str, Kind] = {
    "basophil": Kind(
        real_count=852,
        radius=(0.29, 0.39),
        body=partial(round_body, 0.035),
        nucleus=partial(lobed_nucleus, (2, 3), (0.4, 0.55), 2.5),
        cytoplasm=(176, 140, 190),
        nucleus_colour=(96, 54, 138),
        granules=260,
        granule_size=(0.035, 0.065),
        granule_colour=(52, 26, 96),
        granules_cover_nucleus=True,
    ),
    "eosinophil": Kind(
        real_count=2181,
        radius=(0.28, 0.37),
        body=partial(round_body, 0.025),
        nucleus=partial(lobed_nucleus, (2, 3), (0.3, 0.4), 2.4),
        cytoplasm=(222, 165, 165),
        nucleus_colour=(68, 36, 118),
        granules=420,
        granule_size=(0.03, 0.055),
        granule_colour=(196, 104, 108),
    ),
    "erythroblast": Kind(
        real_count=1085,
        radius=(0.19, 0.29),
        body=partial(round_body, 0.035),
        nucleus=partial(round_nucleus, (0.48, 0.68), 0.35),
        cytoplasm=(170, 155, 188),
        nucleus_colour=(50, 28, 94),
        chromatin=0.16,
        variety=1.6,
    ),
    "immature granulocyte": Kind(
        real_count=2026,
        radius=(0.3, 0.42),
        body=partial(round_body, 0.03),
        nucleus=partial(kidney_nucleus, (0.64, 0.84), (0.0, 0.3)),
        cytoplasm=(204, 172, 200),
        nucleus_colour=(88, 42, 130),
        chromatin=0.16,
        granules=190,
        granule_size=(0.012, 0.028),
        granule_colour=(112, 58, 134),
        granules_cover_nucleus=True,
    ),
    "lymphocyte": Kind(
        real_count=849,
        radius=(0.2, 0.3),
        body=partial(round_body, 0.04),
        nucleus=partial(round_nucleus, (0.78, 0.94), 0.14),
        cytoplasm=(140, 128, 182),
        nucleus_colour=(76, 38, 120),
        chromatin=0.17,
        variety=1.3,
    ),
    "monocyte": Kind(
        real_count=993,
        radius=(0.34, 0.46),
        body=partial(round_body, 0.065),
        nucleus=partial(kidney_nucleus, (0.58, 0.76), (0.25, 0.65)),
        cytoplasm=(176, 166, 196),
        nucleus_colour=(104, 58, 142),
        chromatin=0.17,
        granules=60,
        granule_size=(0.01, 0.02),
        granule_colour=(140, 110, 165),
        vacuoles=6,
    ),
    "neutrophil": Kind(
        real_count=2330,
        radius=(0.27, 0.37),
        body=partial(round_body, 0.025),
        nucleus=neutrophil_nucleus,
        cytoplasm=(226, 194, 198),
        nucleus_colour=(70, 36, 118),
        chromatin=0.14,
        granules=180,
        granule_size=(0.01, 0.024),
        granule_colour=(186, 142, 168),
    ),
    "platelet": Kind(
        real_count=1643,
        radius=(0.08, 0.17),
        body=spiky_body,
        nucleus=no_nucleus,
        cytoplasm=(184, 158, 194),
        nucleus_colour=(156, 108, 164),
        granules=40,
        granule_size=(0.06, 0.12),
        granule_colour=(112, 58, 128),
        granules_cover_nucleus=True,
        variety=1.4,
    ),
}
