"""The cell mask: what lies around the cell in the middle takes the colour of the ground.

Written in `keras.ops` alone, on a grid: the exporter takes it apart into the operations that the
uploaded runtime has, so that both compute the same.
"""

from typing import Any

import numpy as np
from keras import ops

GRID = 48  # the mask is found on a grid of this many squares a side, whatever the image's size
REACH = 18  # squares that the cell may reach beyond the middle, bends included
MIDDLE = (0.16, 0.22)  # radius, as a share of the image, within which the cell must lie in part


def cell_mask(images: Any) -> Any:
    """Isolate the cell in the middle: all around it takes the colour of the image's own ground.

    images: (n, px, px, 3) float32, 0-255. Returns the same shape and range. Each image is masked
    by itself, and turned or flipped it gets the same mask. One in which no cell is found (no stain
    in the middle, nearly all of the image, or something darker in the middle that is not in the
    mask) stays as it is.

    The ground's own colour and not black: a dark nucleus keeps its outline, a mask a little too
    large does not show, and a missed cell looks like the plain ground that networks know.
    """
    mask, ground = find_cell(images)
    return ground + mask * (images - ground)


def find_cell(images: Any) -> tuple[Any, Any]:
    """The cell in the middle of each image, and the colour of what lies behind the cells.

    images: (n, px, px, 3) float32, 0-255. Returns (n, px, px, 1), 0-1, and (n, 1, 1, 3), 0-255.

    Ground: the mean colour of the border's greenest fifth, since plasma absorbs no green. Stain:
    dyes absorb green and spare blue (azure) or red (eosin); haemoglobin spares neither, which
    tells a red cell from a white one. Near a nucleus whatever is not ground counts too, a pale
    cytoplasm for instance. What is left when thin bridges are cut, and is connected with the
    middle, is the cell, with its holes filled. Nothing jumps: thresholds are ramps, and connection
    is morphological reconstruction of grey values, so that no rounding error can decide.
    Source: Vincent 1993, doi:10.1109/83.217222 (reconstruction); the idea of separating stains by
    the light that they absorb from Ruifrok & Johnston 2001, here with weights chosen by eye.
    """
    px = images.shape[1]
    planes = _on_grid(images, px)
    ground = _ground(planes)
    absorbed = 1 - planes / ops.reshape(ops.maximum(ground, 1.0), (-1, 3, 1, 1))
    mask = _connected(_stained(absorbed))
    mask = 1 - _plausible(mask, absorbed) * (1 - mask)
    mask = ops.reshape(_both_ways(_enlarging(px), mask), (-1, px, px, 1))
    return mask, ops.reshape(ground, (-1, 1, 1, 3))


def _on_grid(images: Any, px: int) -> Any:
    """Mean colours of the grid's squares: (n, 3, GRID, GRID)."""
    means = _averaging(px, GRID)
    rows = ops.matmul(means, ops.reshape(images, (-1, px, px * 3)))
    rows = ops.transpose(ops.reshape(rows, (-1, GRID, px, 3)), (0, 3, 1, 2))
    return ops.reshape(ops.matmul(ops.reshape(rows, (-1, px)), means.T), (-1, 3, GRID, GRID))


def _ground(planes: Any) -> Any:
    """Colour of what lies behind the cells: (n, 3), from planes (n, 3, GRID, GRID)."""
    border = _border(_both_ways(_averaging(GRID, GRID // 2), planes))
    green = border[:, 1]
    fifth = ops.sort(green)[:, -(green.shape[1] // 5)]
    shares = _ramp(green - ops.reshape(fifth, (-1, 1)), -2.0, 2.0) + 1e-6
    total = ops.matmul(shares, np.ones((green.shape[1], 1), np.float32))
    colours = ops.matmul(border, ops.reshape(shares, (-1, green.shape[1], 1)))
    return ops.reshape(colours, (-1, 3)) / total


def _stained(absorbed: Any) -> Any:
    """How likely each square is the cell's: (n, GRID, GRID), 0-1.

    absorbed: (n, 3, GRID, GRID), the share of the ground's light that is missing in each channel.
    """
    red, green, blue = absorbed[:, 0], absorbed[:, 1], absorbed[:, 2]
    stain = green - 1.15 * ops.minimum(blue, red + 0.05)
    positive = ops.maximum(stain, 0.0)
    strength = _mean(positive**3, _middle()) / (_mean(positive**2, _middle()) + 1e-6)
    scale = _ramp(strength, 0.0, 0.4) * 0.7 + 0.3  # less where the whole image is pale
    stain = stain / scale
    nucleus = _ramp(stain, 0.22, 0.32)
    near = ops.minimum(3 * _both_ways(_gaussian(4.0), nucleus), 1.0)
    not_ground = _ramp(_contrast(absorbed) / scale, 0.06, 0.12)
    return _ramp(stain + 0.12 * near * not_ground, 0.05, 0.13)


def _plausible(mask: Any, absorbed: Any) -> Any:
    """1 for a mask that holds what is darkest in the middle, and not all of the image; (n, 1, 1).

    Colours may be so far from any stain that the mask takes the wrong things for the cell.
    """
    share = _mean(mask, np.ones((GRID, GRID)))
    weight = _contrast(absorbed) ** 4
    held = _mean(mask * weight, _middle()) / (_mean(weight, _middle()) + 1e-6)
    return _ramp(held, 0.5, 0.7) * _ramp(-share, -0.9, -0.8)


def _contrast(absorbed: Any) -> Any:
    """The largest difference from the ground in any channel: (n, GRID, GRID)."""
    red, green, blue = abs(absorbed[:, 0]), abs(absorbed[:, 1]), abs(absorbed[:, 2])
    return ops.maximum(ops.maximum(red, green), blue)


def _connected(likely: Any) -> Any:
    """What of (n, GRID, GRID) hangs together with the middle, holes filled, edges smooth; 0-1."""
    likely = ops.transpose(likely, (1, 2, 0))  # images last: three times as fast on a CPU
    opened = _grown(1 - _grown(1 - likely))
    cell = opened * _middle()[:, :, None]
    for _ in range(REACH):  # grows step by step, nowhere above `opened`
        cell = ops.minimum(_grown(cell), opened)
    filled = ops.transpose(_filled(cell), (2, 0, 1))
    return _ramp(_both_ways(_gaussian(0.8), filled), 0.4, 0.9)


def _grown(x: Any) -> Any:
    """The largest value of each square and its eight neighbours: (GRID, GRID, n), values >= 0."""
    x = ops.pad(x, ((1, 1), (1, 1), (0, 0)))
    x = ops.maximum(ops.maximum(x[2:, :], x[:-2, :]), x[1:-1, :])
    return ops.maximum(ops.maximum(x[:, 2:], x[:, :-2]), x[:, 1:-1])


def _filled(x: Any) -> Any:
    """Holes closed: each square as high as what encloses it above, below, left and right."""
    up, down, left, right = x, x, x, x
    step = 1
    while step < GRID:  # running maxima, over twice as many squares each time
        up = ops.maximum(up, ops.pad(up[step:, :], ((0, step), (0, 0), (0, 0))))
        down = ops.maximum(down, ops.pad(down[:-step, :], ((step, 0), (0, 0), (0, 0))))
        left = ops.maximum(left, ops.pad(left[:, step:], ((0, 0), (0, step), (0, 0))))
        right = ops.maximum(right, ops.pad(right[:, :-step], ((0, 0), (step, 0), (0, 0))))
        step *= 2
    return ops.minimum(ops.minimum(up, down), ops.minimum(left, right))


def _ramp(x: Any, low: float, high: float) -> Any:
    """0 up to `low`, 1 from `high`, linear between."""
    return ops.minimum(ops.maximum((x - low) / (high - low), 0.0), 1.0)


def _mean(x: Any, weights: np.ndarray) -> Any:
    """Weighted mean over the grid: (n, 1, 1)."""
    column = (weights / weights.sum()).reshape(-1, 1).astype(np.float32)
    return ops.reshape(ops.matmul(ops.reshape(x, (-1, GRID * GRID)), column), (-1, 1, 1))


def _both_ways(matrix: np.ndarray, x: Any) -> Any:
    """A linear filter (out, in) along rows and columns of (..., in, in): (..., out, out)."""
    return ops.matmul(ops.matmul(matrix, x), matrix.T)


def _averaging(px: int, squares: int) -> np.ndarray:
    """Means of `px` pixels over equal lengths: (squares, px)."""
    edges, pixels = np.linspace(0, px, squares + 1)[:, None], np.arange(px)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    overlap = np.maximum(overlap, 0)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def _enlarging(px: int) -> np.ndarray:
    """Bilinear interpolation of the grid's squares at `px` pixels: (px, GRID)."""
    places = np.clip((np.arange(px) + 0.5) * GRID / px - 0.5, 0, GRID - 1)
    return np.maximum(0, 1 - abs(places[:, None] - np.arange(GRID))).astype(np.float32)


def _gaussian(sd: float) -> np.ndarray:
    """Gaussian blur along the grid, sd in squares: (GRID, GRID)."""
    steps = np.arange(GRID)
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / sd) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _offsets() -> np.ndarray:
    """Distance of each row or column from the middle, in squares."""
    return abs(np.arange(GRID) - GRID / 2 + 0.5)


def _middle() -> np.ndarray:
    """1 in the middle of the grid, 0 outside a circle: (GRID, GRID)."""
    distance = np.hypot(_offsets()[:, None], _offsets()) / GRID
    return np.interp(-distance, (-MIDDLE[1], -MIDDLE[0]), (0.0, 1.0)).astype(np.float32)


def _border(planes: Any) -> Any:
    """Of (n, 3, rows, columns) the two rows and columns along each edge, as one: (n, 3, fields)."""
    sides = [planes[:, :, :2], planes[:, :, -2:], planes[:, :, 2:-2, :2], planes[:, :, 2:-2, -2:]]
    fields = [ops.reshape(side, (-1, 3, side.shape[2] * side.shape[3])) for side in sides]
    return ops.concatenate(fields, axis=2)
