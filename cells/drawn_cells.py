"""Cells drawn by hand, eight kinds of them, for the demo and the tests.

What differs between kinds is what differs in blood: size, the nucleus' shape, granules, colour
(cells/cell_kinds.py). Stain, light, size, place and neighbours vary within a kind, so that the
kinds can be learnt, but not by one number.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, overload

import cv2
import numpy as np

from cells.cell_kinds import KINDS, Kind
from cells.errors import CompetitionError

FINE = 2  # outlines and granules are drawn at this multiple of the size, then reduced
CREAM, BLUISH = (253, 228, 204), (212, 207, 222)  # background of the two common stains
RED_CELL = (214, 178, 170)


@overload
def draw_cells(
    labels: np.ndarray, px: int, generator: np.random.Generator, return_masks: Literal[False] = ...
) -> np.ndarray: ...
@overload
def draw_cells(
    labels: np.ndarray, px: int, generator: np.random.Generator, return_masks: Literal[True]
) -> tuple[np.ndarray, np.ndarray]: ...
def draw_cells(
    labels: np.ndarray, px: int, generator: np.random.Generator, return_masks: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Draw one cell for each label.

    labels: (n,) integers 0-7, indices into KINDS.
    Returns (n, px, px, 3) uint8, 0-255; with `return_masks` also (n, px, px) bool, the cell's area.
    Raises CompetitionError for a label without a kind.
    """
    kinds = tuple(KINDS.values())
    if len(labels) and not 0 <= int(np.min(labels)) <= int(np.max(labels)) < len(kinds):
        raise CompetitionError(
            f"classes: expected at most {len(kinds)}, the kinds of cell that can be drawn, "
            f"got {int(np.max(labels)) + 1}. Use real images for this competition."
        )
    images = np.empty((len(labels), px, px, 3), np.uint8)
    masks = np.empty((len(labels), px, px), bool)
    seeds = generator.integers(2**63, size=len(labels))

    def work(position: int) -> None:
        own = np.random.default_rng(int(seeds[position]))
        images[position], masks[position] = _draw_cell(kinds[int(labels[position])], px, own)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(work, range(len(labels))))
    return (images, masks) if return_masks else images


def _draw_cell(
    kind: Kind, px: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One image (px, px, 3) uint8 of a kind, and the cell's area (px, px) bool."""
    radius = generator.uniform(*kind.radius) * px
    centre = px * (0.5 + generator.normal(0, 0.035, 2).clip(-0.1, 0.1))
    turn = generator.uniform(0, 2 * np.pi)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def area(polygons: list[np.ndarray]) -> np.ndarray:
        """Union of polygons in units of the cell's radius: (px, px) float32, 0-1."""
        mask = np.zeros((FINE * px, FINE * px), np.uint8)
        for polygon in polygons:
            points = np.rint((polygon @ spin * radius + centre) * FINE * 16).astype(np.int32)
            cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, shift=4)
        return _reduced(mask)

    def dots(count: int, radii: tuple[float, float]) -> np.ndarray:
        radii_px = (radii[0] * radius, radii[1] * radius)
        return _dots(px, count, radii_px, radius, centre, generator)

    body = area([kind.body(generator)])
    nucleus = area(kind.nucleus(generator)) * body
    within = body if kind.granules_cover_nucleus else body - nucleus
    light = generator.normal(0, 7, 3) * kind.variety + generator.normal(0, 7)

    planes = _background(px, generator)
    _paint(planes, body, np.add(kind.cytoplasm, light), _grain(px, 6, 0.05, generator))
    if kind.vacuoles:
        holes = dots(generator.poisson(kind.vacuoles), (0.05, 0.1))
        _paint(planes, holes * (body - nucleus), np.add(kind.cytoplasm, 45))
    chromatin = _grain(px, 2.5, kind.chromatin, generator) + _grain(px, 8, 0.08, generator)
    _paint(planes, nucleus, np.add(kind.nucleus_colour, 0.6 * light), chromatin)
    if kind.granules:
        count = generator.poisson(kind.granules * generator.uniform(0.6, 1.3))
        granules = 0.85 * dots(count, kind.granule_size)
        _paint(planes, granules * within, np.add(kind.granule_colour, light))
    return _photograph(cv2.merge(planes), generator), body > 0.5


def _background(px: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Plasma and red cells, a little out of focus: three planes (px, px) float32."""
    stain = np.array(CREAM if generator.random() < 0.88 else BLUISH) + generator.normal(0, 4, 3)
    canvas = np.empty((px, px, 3), np.uint8)
    canvas[:] = np.clip(stain, 0, 255)
    for _ in range(int(generator.integers(3, 10))):
        angle, distance = generator.uniform(0, 2 * np.pi), generator.uniform(0.36, 0.72) * px
        x, y = (px / 2 + distance * np.array([np.cos(angle), np.sin(angle)])) * 16
        size = generator.uniform(0.13, 0.19) * px * 16 * generator.uniform(0.85, 1.1, 2)
        colour = np.clip(np.add(RED_CELL, generator.normal(0, 5, 3)), 0, 255)
        tilt = generator.uniform(0, 180)
        for share, pale in ((1.0, 0.0), (0.5, 0.35), (0.3, 0.7))[
            : 1 + 2 * (generator.random() < 0.7)
        ]:
            shade = colour * (1 - pale) + stain * pale
            cv2.ellipse(
                canvas,
                (round(x), round(y)),
                (round(size[0] * share), round(size[1] * share)),
                tilt, 0, 360, shade.tolist(), -1, cv2.LINE_AA, 4,
            )  # fmt: skip
    blurred = cv2.GaussianBlur(canvas, (0, 0), 0.012 * px)
    return list(cv2.split(blurred.astype(np.float32)))


def _paint(
    planes: list[np.ndarray], mask: np.ndarray, colour: np.ndarray, grain: np.ndarray | None = None
) -> None:
    """Lay a colour over the planes where `mask` (h, w) is 1, its brightness varied by `grain`."""
    light = 1.0 if grain is None else 1 + grain
    for plane, value in zip(planes, np.asarray(colour).tolist(), strict=True):
        plane += mask * (value * light - plane)  # plane by plane: ten times as fast as (h, w, 3)


def _grain(px: int, lump_px: float, amount: float, generator: np.random.Generator) -> np.ndarray:
    """Smooth noise (px, px) float32 with sd about `amount`, in lumps of `lump_px`."""
    coarse = generator.standard_normal((round(px / lump_px) + 2,) * 2, dtype=np.float32)
    return amount * 1.4 * cv2.resize(coarse, (px, px), interpolation=cv2.INTER_LINEAR)


def _dots(
    px: int,
    count: int,
    radii_px: tuple[float, float],
    cell_radius_px: float,
    centre: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Discs of radii between the two `radii_px`, scattered over a cell: (px, px) float32, 0-1."""
    mask = np.zeros((FINE * px, FINE * px), np.uint8)
    angles = generator.uniform(0, 2 * np.pi, count)
    distances = np.sqrt(generator.random(count)) * cell_radius_px * 1.05
    sixteenths = FINE * 16  # OpenCV takes coordinates in sixteenths of a pixel
    xs = np.rint((centre[0] + distances * np.cos(angles)) * sixteenths).astype(int).tolist()
    ys = np.rint((centre[1] + distances * np.sin(angles)) * sixteenths).astype(int).tolist()
    sizes = np.rint(generator.uniform(*radii_px, count) * sixteenths).astype(int).tolist()
    for x, y, size in zip(xs, ys, sizes, strict=True):
        cv2.circle(mask, (x, y), size, 255, -1, cv2.LINE_AA, 4)
    return _reduced(mask)


def _reduced(mask: np.ndarray) -> np.ndarray:
    """A mask (FINE·px, FINE·px) uint8 as (px, px) float32, 0-1."""
    px = len(mask) // FINE
    return cv2.resize(mask, (px, px), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _photograph(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Focus, exposure, white balance and sensor noise: (px, px, 3) uint8."""
    px = len(image)
    focus = generator.uniform(0.2, 0.9) * px / 96
    image = cv2.GaussianBlur(image, (0, 0), focus)
    gain = generator.normal(1, 0.035) * generator.normal(1, 0.012, 3)
    noise = generator.standard_normal(image.shape, dtype=np.float32) * generator.uniform(1, 4)
    return np.clip(np.rint(image * gain.astype(np.float32) + noise), 0, 255).astype(np.uint8)
