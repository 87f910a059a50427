"""What pictures that are no cells are drawn with: colours, coordinates, clouds, curves."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(some cells (n, px, px, 3) uint8, generator) → one picture (px, px, 3) uint8."""

LETTERS = "ABCDEFGHKLMNPRSTUVWXYZ0123456789"


def some_colour(generator: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, ...]:
    """Three values from `low` to below `high`."""
    return tuple(generator.integers(low, high, 3).tolist())


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


def spline(points: list[tuple[float, float]], closed: bool = True) -> np.ndarray:
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
    cv2.fillPoly(picture, [shape], colour, cv2.LINE_AA)  # type: ignore[arg-type]


def laid(picture: np.ndarray, mask: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """`paint` over the picture where the mask is, 0-255."""
    share = mask[..., None] / 255
    return np.clip(picture * (1 - share) + paint * share, 0, 255).astype(np.uint8)


def photographed(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Lit from one side, slightly out of focus, with a sensor's noise."""
    y, x = grid(len(picture))
    angle = generator.uniform(0, 2 * np.pi)
    light = 0.95 + generator.uniform(0, 0.25) * (x * np.cos(angle) + y * np.sin(angle))
    soft = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.5, 0.9)) * light[..., None]
    noise = generator.normal(0, generator.uniform(1, 5), picture.shape)
    return np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8)
