"""Pictures made of the archive's own cells: spoilt ones, and drawings in their colours.

Nothing garish gives these away. All are among the development pictures of cells/joke_pictures.py.
"""

import cv2
import numpy as np

from cells.brushes import LETTERS, cell_colours, flat, grid, mixed, one_of


def negative(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell's negative."""
    return 255 - one_of(cells, generator)


def rolled(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell's picture that begins in its middle: the cell lies in the corners."""
    px = cells.shape[1]
    shift = generator.integers(px // 3, 2 * px // 3 + 1, 2)
    return np.roll(one_of(cells, generator), shift, axis=(0, 1))


def scrambled(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell cut into square tiles that lie in another order."""
    cell, tiles = one_of(cells, generator), int(generator.choice([4, 6, 8]))
    side = cell.shape[0] // tiles
    cut = cell[: tiles * side, : tiles * side].reshape(tiles, side, tiles, side, 3)
    loose = cut.transpose(0, 2, 1, 3, 4).reshape(tiles**2, side, side, 3)
    moved = generator.permutation(loose).reshape(tiles, tiles, side, side, 3)
    whole = moved.transpose(0, 2, 1, 3, 4).reshape(tiles * side, tiles * side, 3)
    return cv2.resize(whole, cells.shape[1:3], interpolation=cv2.INTER_NEAREST)


def swapped_channels(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell whose red, green and blue stand in another order."""
    orders = ((1, 0, 2), (2, 0, 1), (1, 2, 0))
    return np.ascontiguousarray(one_of(cells, generator)[..., orders[generator.integers(3)]])


def cell_checkerboard(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A checkerboard of two of a cell's colours."""
    px, fields = cells.shape[1], int(generator.integers(4, 13))
    y, x = np.indices((px, px)) * fields // px
    dark, light = cell_colours(cells, generator, 2).astype(np.float32)
    return mixed(((x + y) % 2).astype(np.float32), dark, light)


def cell_words(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Letters in the nucleus' colour on the background's."""
    px = cells.shape[1]
    dark, light = cell_colours(cells, generator, 2)
    picture, ink = flat(cells, tuple(light.tolist())), tuple(map(int, dark))
    for line in range(3):
        text = "".join(generator.choice(list(LETTERS), 4))
        place = (round(0.08 * px), round((0.32 + 0.27 * line) * px))
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, px / 95, ink, 2, cv2.LINE_AA)
    return picture


def knitting(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell seen through a wave of stitches in two of its colours."""
    px = cells.shape[1]
    y, x = np.indices((px, px)).astype(np.float32)
    stitch = generator.uniform(5, 11)
    wave = np.sin(2 * np.pi * (y + stitch / 2 * np.abs((x / stitch) % 1 - 0.5)) / stitch)
    dark, light = cell_colours(cells, generator, 2).astype(np.float32)
    return mixed(wave / 2 + 0.5, dark, light)


def cell_rings(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rings of a cell's colours about a centre somewhere."""
    y, x = grid(cells.shape[1])
    centre = generator.uniform(-0.7, 0.7, 2)
    rings = (np.hypot(y - centre[0], x - centre[1]) * generator.uniform(4, 9)).astype(int)
    return cell_colours(cells, generator, 4)[rings % 4]


def cell_scribble(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A pen's loops in the nucleus' colour over the background's."""
    px = cells.shape[1]
    colours = cell_colours(cells, generator, 4)
    picture = flat(cells, tuple(colours[3].tolist()))
    steps = np.cumsum(generator.normal(0, 1, (160, 2)), axis=0)
    smooth = cv2.GaussianBlur(steps.astype(np.float32), (1, 0), sigmaX=0.1, sigmaY=3)
    low, high = smooth.min(axis=0), smooth.max(axis=0)
    points = ((smooth - low) / (high - low) * 0.84 + 0.08) * px
    cv2.polylines(picture, [points.astype(np.int32)], False, colours[0].tolist(), 2, cv2.LINE_AA)
    return picture
