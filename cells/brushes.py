"""What pictures that are no cells are drawn with: colours, coordinates, clouds, curves, light."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(some cells (n, px, px, 3) uint8, generator) → one picture (px, px, 3) uint8."""

FINE = 3
"""Scenes may be drawn this many times larger and then reduced: their edges are soft."""

LETTERS = "ABCDEFGHKLMNPRSTUVWXYZ0123456789"


def some_colour(generator: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, ...]:
    """Three values from `low` to below `high`."""
    return tuple(generator.integers(low, high, 3).tolist())


def two_shades(
    generator: np.random.Generator, low: int, high: int, apart: int
) -> tuple[np.ndarray, np.ndarray]:
    """A colour of three values from `low` to below `high`, and the same lighter by `apart`."""
    dark = np.array(some_colour(generator, low, high))
    return dark, dark + apart


def flat(cells: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """A picture of one colour, of the cells' size: (px, px, 3) uint8."""
    picture = np.empty(cells.shape[1:], np.uint8)
    picture[:] = colour
    return picture


def one_of(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One of the cells: (px, px, 3) uint8."""
    return cells[generator.integers(len(cells))]


def cell_colours(cells: np.ndarray, generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) uint8 colours of one cell's picture, dark to light."""
    pixels = cv2.GaussianBlur(one_of(cells, generator), (0, 0), 1.5).reshape(-1, 3)
    ordered = pixels[np.argsort(pixels.sum(axis=1))]
    places = (np.linspace(0.04, 0.9, count) * (len(ordered) - 1)).astype(int)
    return ordered[places]


def grid(px: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates y and x of a picture's pixels, -1 to 1: two arrays (px, px) float32."""
    line = np.linspace(-1, 1, px, dtype=np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    return y, x


def clouds(px: int, generator: np.random.Generator, roughness: float = 1.5) -> np.ndarray:
    """Noise with a spectrum of 1/f^roughness, as of clouds: (px, px) float32, 0-1."""
    frequency = np.hypot(np.fft.fftfreq(px)[:, None], np.fft.rfftfreq(px)[None])
    frequency[0, 0] = np.inf
    waves = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
    field = np.fft.irfft2(waves / frequency**roughness, (px, px))
    return ((field - field.min()) / (np.ptp(field) + 1e-9)).astype(np.float32)


def mixed(share: np.ndarray, first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Two colours (3,) mixed by `share` (px, px), 0-1: (px, px, 3) uint8."""
    share = share[..., None]
    colours = np.asarray(first) * (1 - share) + np.asarray(second) * share
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def spline(points: ArrayLike, closed: bool = True) -> np.ndarray:
    """A smooth curve (Catmull and Rom's) through points (x, y): (points * 8, 2) float64.

    An open curve is the closed one without its way back: (points * 8 - 7, 2).
    """
    knots = np.array(points, float)
    before, after, second = (np.roll(knots, turn, axis=0) for turn in (1, -1, -2))
    if not closed:
        before[0], after[-1], second[-2:] = knots[0], knots[-1], knots[-1]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    curve = knots + t / 2 * (
        after - before
        + t * (2 * before - 5 * knots + 4 * after - second)
        + t**2 * (3 * knots - before - 3 * after + second)
    )  # fmt: skip
    smooth = curve.transpose(1, 0, 2).reshape(-1, 2)
    return smooth if closed else smooth[:-7]


def at(px: int, x: float, y: float) -> tuple[int, int]:
    """The pixel at shares `x` and `y` of a picture's width and height."""
    return round(float(x) * px), round(float(y) * px)


def fill(picture: np.ndarray, points: np.ndarray | list, colour: int | tuple | list) -> None:
    """Fill the polygon of `points` (x, y), shares of the picture's side, in place."""
    shape = np.rint(np.asarray(points, float) * len(picture)).astype(np.int32)
    # cv2's stub knows a colour only as floats
    cv2.fillPoly(picture, [shape], colour, cv2.LINE_AA)  # type: ignore[arg-type]


def oval(px: int, middle: ArrayLike, half: ArrayLike) -> np.ndarray:
    """An oval's mask (px, px) uint8, 0-255; its middle and half axes (x, y) in shares of `px`."""
    mask = np.zeros((px, px), np.uint8)
    place, axes = at(px, *np.asarray(middle)), at(px, *np.asarray(half))
    cv2.ellipse(mask, place, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    return mask


def curve(picture: np.ndarray, points: ArrayLike, colour: tuple, part: int) -> None:
    """Draw a line through `points` (x, y), shares of the picture's side, in place; part: `pen`."""
    line = np.rint(np.asarray(points, float) * len(picture)).astype(np.int32)
    cv2.polylines(picture, [line], False, colour, pen(len(picture), part), cv2.LINE_AA)


def lettered(
    picture: np.ndarray, text: str, middle: tuple[float, float], ink: tuple[int, ...], wide: float
) -> np.ndarray:
    """Letters with a black rim over the picture, around `middle` (x, y) in shares of its side.

    They are `wide` of its side, or narrower: no taller than a sixth of it.
    """
    size, stroke, font = len(picture), pen(len(picture), 45), cv2.FONT_HERSHEY_SIMPLEX
    (across, tall), _ = cv2.getTextSize(text, font, 1, stroke)
    scale = min(wide * size / across, size / 6 / tall)
    left = round(middle[0] * size - across * scale / 2)
    foot = round(middle[1] * size + tall * scale / 2)
    mask = np.zeros((size, size), np.uint8)
    cv2.putText(mask, text, (left, foot), font, scale, 255, stroke, cv2.LINE_AA)
    rim = cv2.dilate(mask, np.ones((stroke, stroke), np.uint8))
    return laid(laid(picture, rim, np.zeros(3)), mask, np.array(ink))


def pen(px: int, part: int) -> int:
    """A line's thickness: one `part`-th of the picture's side, at least a pixel."""
    return max(1, px // part)


def turned(points: ArrayLike, angle: float) -> np.ndarray:
    """Points (n, 2) turned around (0, 0) by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


def perspective(size: int, corners: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) that lays a square sheet of side `size` with its corners at `corners`.

    corners: (4, 2), from the upper left clockwise, in pixels.
    """
    square = np.array([(0, 0), (size, 0), (size, size), (0, size)], np.float32)
    return cv2.getPerspectiveTransform(square, corners.astype(np.float32))


def warped(sheet: np.ndarray, warp: np.ndarray, px: int) -> tuple[np.ndarray, np.ndarray]:
    """A sheet laid by a matrix: (px, px, 3) uint8, and the mask of where it lies, 0-255."""
    mask = cv2.warpPerspective(np.full(sheet.shape[:2], 255, np.uint8), warp, (px, px))
    return cv2.warpPerspective(sheet, warp, (px, px)), mask


def laid(picture: np.ndarray, mask: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """`paint` over the picture where the mask is, 0-255."""
    share = mask[..., None] / 255
    return np.clip(picture * (1 - share) + paint * share, 0, 255).astype(np.uint8)


def solid(
    picture: np.ndarray,
    mask: np.ndarray,
    paint: ArrayLike,
    edge: float,
    gloss: float = 0.3,
) -> np.ndarray:
    """The mask's shape over the picture as a rounded body, lit from the upper left.

    mask: (px, px) uint8, 0-255. paint: a colour or (px, px, 3). edge: how far in from its outline
    the body curves, a share of the picture's side. gloss: how bright its highlight is, 0-1.
    """
    reach = edge * len(picture)
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    depth = np.minimum(inside, reach)
    height = cv2.GaussianBlur(np.sqrt(depth * (2 * reach - depth)), (0, 0), reach / 4)
    down, right = np.gradient(height)
    lit = (0.65 + 0.48 * right + 0.58 * down) / np.sqrt(1 + right**2 + down**2)
    shine = gloss * 255 * np.clip(lit, 0, 1) ** 12
    shade = 0.4 + 0.8 * np.clip(lit, 0, 1)
    return laid(picture, mask, np.asarray(paint) * shade[..., None] + shine[..., None])


def reduced(picture: np.ndarray) -> np.ndarray:
    """A picture drawn FINE times larger, at the archive's size."""
    px = len(picture) // FINE
    return cv2.resize(picture, (px, px), interpolation=cv2.INTER_AREA)


def photographed(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Lit from one side, slightly out of focus, with a sensor's noise."""
    y, x = grid(len(picture))
    angle = generator.uniform(0, 2 * np.pi)
    light = 0.95 + generator.uniform(0, 0.25) * (x * np.cos(angle) + y * np.sin(angle))
    soft = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.5, 0.9)) * light[..., None]
    noise = generator.normal(0, generator.uniform(1, 5), picture.shape)
    return np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8)
