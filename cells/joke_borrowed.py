"""Pictures in the colours of the archive's own cells, or of cells spoilt.

All are among the scenes of cells/joke_scenes.py.
"""

import cv2
import numpy as np

from cells.brushes import at, cell_colours, clouds, flat, mixed, one_of


def brick_wall(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A wall of bricks in a cell's colours, the mortar in its lightest."""
    px = cells.shape[1]
    colours = cell_colours(cells, generator, 5)
    picture = flat(cells, tuple(colours[4].tolist()))
    tall = int(generator.integers(px // 12, px // 6))
    wide, start = round(tall * generator.uniform(1.8, 2.6)), generator.integers(0, tall, 2)
    for row in range(-1, px // tall + 1):
        for column in range(-2, px // wide + 2):
            left = int(column * wide + (row % 2) * wide // 2 + start[1])
            corner = (left, int(row * tall + start[0]))
            end = (left + wide - 3, corner[1] + tall - 3)
            cv2.rectangle(picture, corner, end, colours[generator.integers(3)].tolist(), -1)
    rough = picture * (0.85 + 0.3 * clouds(px, generator, 0.7))[..., None]
    return cv2.GaussianBlur(np.clip(rough, 0, 255).astype(np.uint8), (0, 0), 0.6)


def maze(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A maze with one way between any two places, its walls in the nucleus' colour."""
    rooms = int(generator.integers(7, 13))
    ways = np.zeros((2 * rooms + 1, 2 * rooms + 1), np.float32)
    trail = [(1, 1)]
    ways[1, 1] = 1
    while trail:
        y, x = trail[-1]
        for turn in generator.permutation(4):
            down, right = ((0, 1), (0, -1), (1, 0), (-1, 0))[turn]
            there = (y + 2 * down, x + 2 * right)
            if min(there) > 0 and max(there) < 2 * rooms and not ways[there]:
                ways[y + down, x + right] = ways[there] = 1
                trail.append(there)
                break
        else:
            trail.pop()
    dark, light = cell_colours(cells, generator, 2)
    whole = cv2.resize(ways, cells.shape[1:3], interpolation=cv2.INTER_NEAREST)
    return mixed(whole, dark, light)


def sheet_music(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Staves with notes, in the nucleus' colour on the background's."""
    px = cells.shape[1]
    dark, light = cell_colours(cells, generator, 2)
    ink, picture = dark.tolist(), flat(cells, tuple(light.tolist()))
    staves, gap = int(generator.integers(2, 4)), generator.uniform(0.034, 0.042)
    for stave in range(staves):
        top = (stave + 0.5) / staves - 2 * gap + generator.uniform(-0.02, 0.02)
        for line in range(5):
            y = round((top + line * gap) * px)
            cv2.line(picture, (2, y), (px - 3, y), ink, 1)
        for x in np.arange(0.08, 0.95, generator.uniform(0.1, 0.15)):
            y = top + gap * generator.integers(0, 9) / 2
            head = at(px, x, y)
            hollow = 1 if generator.random() < 0.3 else -1
            cv2.ellipse(picture, head, at(px, 0.03, 0.022), -20, 0, 360, ink, hollow, cv2.LINE_AA)
            up = 1 if y > top + 2 * gap else -1
            stem = (head[0] + up * round(0.028 * px), head[1])
            cv2.line(picture, stem, (stem[0], stem[1] - up * round(0.13 * px)), ink, 1)
    return picture


def kaleidoscope(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell's corner mirrored into a pattern of tiles."""
    px = cells.shape[1]
    tiles = int(generator.integers(3, 6))
    side = -(-px // (2 * tiles))
    cell = one_of(cells, generator)
    top, left = generator.integers(px // 6, px // 2, 2)
    part = cell[top : top + px // 3, left : left + px // 3]
    upper = np.triu(np.ones(part.shape[:2], bool), 1)[..., None]
    part = np.where(upper, part.transpose(1, 0, 2), part)
    part = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    half = np.concatenate([part, part[:, ::-1]], axis=1)
    tile = np.concatenate([half, half[::-1]])
    return np.ascontiguousarray(np.tile(tile, (tiles, tiles, 1))[:px, :px])


def sorted_pixels(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell whose columns, or rows, are sorted by brightness: in strips, up or down."""
    cell, strips = one_of(cells, generator), []
    lying = generator.random() < 0.5
    px = len(cell)
    cuts = np.sort(generator.choice(np.arange(px // 12, px - px // 12), 3, replace=False))
    for strip in np.split(cell.transpose(1, 0, 2) if lying else cell, cuts, axis=1):
        order = np.argsort(strip.sum(axis=2, dtype=int), axis=0, kind="stable")
        order = order[::-1] if generator.random() < 0.5 else order
        strips.append(np.take_along_axis(strip, order[..., None], axis=0))
    whole = np.concatenate(strips, axis=1)
    return np.ascontiguousarray(whole.transpose(1, 0, 2) if lying else whole)
