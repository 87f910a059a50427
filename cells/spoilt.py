"""Cells spoilt beyond recognition: what a network that is to know cells learns them from.

Ten ways, none of them after a particular joke. All take their colours from the archive's own cells,
so that nothing but form and order tells a spoilt picture from a cell.
"""

from collections.abc import Callable

import cv2
import numpy as np

Spoil = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(a cell (px, px, 3) uint8, all cells (n, px, px, 3), generator) → (px, px, 3), 0-255."""

NOISY = 0.15  # share of the spoilt pictures with noise on top
NOISE = (2.0, 12.0)  # its sd, in grey levels


def spoil(cells: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` pictures made of cells, of each way as many.

    cells: (n, px, px, 3) uint8. Returns (count, px, px, 3) uint8.
    """
    made = np.empty((count, *cells.shape[1:]), np.uint8)
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        picture = way(cells[generator.integers(len(cells))], cells, generator).astype(np.float32)
        if generator.random() < NOISY:
            picture += generator.normal(0, generator.uniform(*NOISE), picture.shape)
        made[number] = np.clip(np.rint(picture), 0, 255)
    return made


def clouds(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Clouds, waves, rings, rays or fields in the cell's colours, with hard or soft edges."""
    heights = _heights(len(cell), generator)
    count = int(generator.integers(2, 7))
    colours = _colours(cell, count, generator).astype(np.float32)
    if generator.random() < 0.5:
        colours = generator.permutation(colours)
    if generator.random() < 0.5:
        return colours[np.minimum((heights * count).astype(int), count - 1)]
    place = heights * (count - 1)
    below = np.minimum(place.astype(int), count - 2)
    share = (place - below)[..., None]
    return colours[below] * (1 - share) + colours[below + 1] * share


def phases(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The cell's waves, each as strong as it was, shifted at random."""
    noise = np.fft.fft2(generator.normal(size=cell.shape[:2]))
    turn = noise / np.maximum(np.abs(noise), 1e-9)
    turn[0, 0] = 1  # the mean stays
    return np.fft.ifft2(np.fft.fft2(cell, axes=(0, 1)) * turn[..., None], axes=(0, 1)).real


def tiles(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Cut into square tiles that lie in another order, some of them turned."""
    px, count = len(cell), int(generator.integers(2, 9))
    side = px // count
    whole = cv2.resize(cell, (side * count, side * count))
    cut = whole.reshape(count, side, count, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    cut = generator.permutation(cut)
    if generator.random() < 0.5:
        cut = np.stack([np.rot90(tile, int(generator.integers(4))) for tile in cut])
    laid = cut.reshape(count, count, side, side, 3).swapaxes(1, 2)
    return cv2.resize(laid.reshape(side * count, side * count, 3), (px, px))


def figures(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Polygons, lines, ellipses and rectangles on a plain ground, on clouds, or over the cell."""
    colours = _colours(cell, int(generator.integers(2, 6)), generator)[::-1]
    if generator.random() < 0.4:
        colours = generator.permutation(colours)
    ground = generator.random()
    if ground < 0.25:
        picture = np.clip(clouds(cell, cells, generator), 0, 255).astype(np.uint8)
    else:
        picture = np.broadcast_to(colours[0], cell.shape) if ground > 0.45 else cell
    picture = np.ascontiguousarray(picture).copy()
    kind = int(generator.integers(len(FIGURES) + 2))  # all of one kind, or of several
    for _ in range(int(generator.choice([1, 2, 3, 5, 8, 16]))):
        draw = FIGURES[kind if kind < len(FIGURES) else int(generator.integers(len(FIGURES)))]
        draw(picture, colours[generator.integers(1, len(colours))].tolist(), generator)
    if generator.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.4, 1.2))
    return picture


def patchwork(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """With pieces of other cells, or of other places, on it."""
    picture, px = cell.copy(), len(cell)
    for _ in range(int(generator.choice([1, 1, 2, 4]))):
        other = cells[generator.integers(len(cells))]
        height, width = (generator.uniform(0.3, 0.75, 2) * px).astype(int).tolist()
        top, to_top = generator.integers(0, px - height + 1, 2).tolist()
        left, to_left = generator.integers(0, px - width + 1, 2).tolist()
        piece = other[top : top + height, left : left + width]
        picture[to_top : to_top + height, to_left : to_left + width] = piece
    return picture


def warped(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Crumpled, unrolled about its centre, rolled up, or beginning in its middle."""
    px, way = len(cell), generator.random()
    if way < 0.5:
        y, x = np.indices((px, px)).astype(np.float32)
        smooth = generator.uniform(1.5, 5)
        noise = generator.normal(size=(2, px, px)).astype(np.float32)
        shift = np.stack([cv2.GaussianBlur(each, (0, 0), smooth) for each in noise])
        shift *= generator.uniform(0.05, 0.125) * px / shift.std()
        border = cv2.BORDER_REFLECT
        return cv2.remap(cell, x + shift[0], y + shift[1], cv2.INTER_LINEAR, borderMode=border)
    centre = (px / 2, px / 2)
    if way < 0.63:
        flags = cv2.WARP_INVERSE_MAP + cv2.WARP_FILL_OUTLIERS
        return cv2.warpPolar(cell, (px, px), centre, 0.7 * px, flags)
    if way < 0.75:
        flags = cv2.INTER_LINEAR + cv2.WARP_FILL_OUTLIERS
        unrolled = cv2.warpPolar(cell, (px, px), centre, 0.6 * px, flags)
        return np.rot90(unrolled, int(generator.integers(4)))
    return np.roll(cell, generator.integers(px // 3, 2 * px // 3 + 1, 2), axis=(0, 1))


def tones(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """In other colours: channels swapped, negative, solarized, in few levels, or grey."""
    way = int(generator.integers(5))
    if way == 0:
        orders = ((1, 0, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0))
        return cell[..., orders[generator.integers(5)]]
    if way == 1:
        return 255 - cell
    if way == 2:
        return 1.5 * np.where(cell > 128, 255 - cell, cell)
    if way == 3:
        levels = int(generator.integers(2, 4))
        return cell.astype(int) * levels // 256 * (255 / (levels - 1))
    return np.repeat(cell.mean(axis=2, keepdims=True), 3, axis=2) * generator.uniform(0.5, 1.3)


def sizes(cell: np.ndarray, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Many small ones side by side, or a small part of one, enlarged."""
    px = len(cell)
    if generator.random() < 0.5:
        count = int(generator.integers(2, 5))
        side = px // count + 1
        small = cv2.resize(cell, (side, side), interpolation=cv2.INTER_AREA)
        return np.tile(small, (count, count, 1))[:px, :px]
    side = int(px * generator.uniform(0.12, 0.25))
    top, left = generator.integers(0, px - side + 1, 2).tolist()
    how = cv2.INTER_NEAREST if generator.random() < 0.5 else cv2.INTER_LINEAR
    part = np.ascontiguousarray(cell[top : top + side, left : left + side])
    return cv2.resize(part, (px, px), interpolation=how)


WAYS: tuple[Spoil, ...] = (
    clouds, phases, tiles, figures, patchwork, clouds, figures, warped, tones, figures, sizes,
)  # fmt: skip


def _colours(cell: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """(count, 3) uint8 colours of a cell, dark to light."""
    pixels = cv2.GaussianBlur(cell, (0, 0), 1.0).reshape(-1, 3)
    ordered = pixels[np.argsort(pixels.sum(axis=1), kind="stable")]
    even = generator.random() < 0.5
    places = np.linspace(0.02, 0.98, count) if even else np.sort(generator.uniform(0, 1, count))
    return ordered[(places * (len(ordered) - 1)).astype(int)]


def _heights(px: int, generator: np.random.Generator) -> np.ndarray:
    """Some field of heights: (px, px), 0-1."""
    line = np.linspace(-1, 1, px)
    y, x = np.meshgrid(line, line, indexing="ij")
    stretch = generator.choice([1, 1, 3], 2)
    frequency = np.hypot(np.fft.fftfreq(px)[:, None] * stretch[0], np.fft.rfftfreq(px) * stretch[1])
    frequency[0, 0] = np.inf
    waves = generator.normal(size=(2, *frequency.shape))
    noise = np.fft.irfft2((waves[0] + 1j * waves[1]) / frequency ** generator.uniform(0.8, 2.5))
    noise = noise[:px, :px] / noise.std()
    angle, (top, left) = generator.uniform(0, np.pi), generator.uniform(-0.9, 0.9, 2)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    radius, bearing = np.hypot(y - top, x - left), np.arctan2(y - top, x - left)
    often = generator.uniform(2, 14)
    field: np.ndarray = (
        noise,
        2 * noise,
        2 * along,
        np.sin(often * along),
        np.sin(often * along) * np.sin(often * across),
        np.sin(often * radius),
        np.sin(round(often) * bearing + generator.uniform(0, 9) * radius),
        often * np.maximum(np.abs(along), np.abs(across)),
    )[generator.integers(8)]
    field = field + generator.choice([0, 0, 0.15, 0.5]) * noise
    if generator.random() < 0.6:  # as much of each height
        return np.argsort(np.argsort(field, axis=None, kind="stable")).reshape(px, px) / px**2
    return (field - field.min()) / (np.ptp(field) + 1e-9)


def _polygon(picture: np.ndarray, colour: list[int], generator: np.random.Generator) -> None:
    corners = generator.uniform(-0.1, 1.1, (int(generator.integers(3, 7)), 2)) * len(picture)
    cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)


def _line(picture: np.ndarray, colour: list[int], generator: np.random.Generator) -> None:
    px = len(picture)
    points = generator.uniform(-0.1, 1.1, (int(generator.integers(2, 12)), 2)) * px
    if generator.random() < 0.5:  # a walk
        steps = generator.normal(0, 0.08 * px, (40, 2))
        points = generator.uniform(0.1, 0.9, 2) * px + np.cumsum(steps, axis=0)
    closed, width = bool(generator.random() < 0.5), int(generator.choice([1, 1, 2, 3, 5]))
    cv2.polylines(picture, [points.astype(np.int32)], closed, colour, width, cv2.LINE_AA)


def _ellipse(picture: np.ndarray, colour: list[int], generator: np.random.Generator) -> None:
    px = len(picture)
    centre = (generator.uniform(-0.1, 1.1, 2) * px).astype(int).tolist()
    axes = (generator.uniform(0.03, 0.5, 2) * px).astype(int).tolist()
    angle, end = generator.uniform(0, 180), float(generator.choice([200, 360, 360]))
    width = int(generator.choice([-1, -1, -1, 1, 2, 5]))
    cv2.ellipse(picture, centre, axes, angle, 0, end, colour, width, cv2.LINE_AA)


def _rectangle(picture: np.ndarray, colour: list[int], generator: np.random.Generator) -> None:
    corners = (generator.uniform(-0.1, 1.1, (2, 2)) * len(picture)).astype(int).tolist()
    width = int(generator.choice([-1, -1, -1, 1, 2, 5]))
    cv2.rectangle(picture, corners[0], corners[1], colour, width)


FIGURES = (_polygon, _line, _ellipse, _rectangle)
