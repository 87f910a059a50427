"""Held-out pictures of things as shops and owners photograph them.

All are among those of cells/held_out_pictures.py.
"""

import cv2
import numpy as np

from cells.brushes import (
    FINE,
    at,
    clouds,
    curve,
    fill,
    grid,
    laid,
    lettered,
    mixed,
    oval,
    pen,
    perspective,
    photographed,
    reduced,
    solid,
    some_colour,
    spline,
    turned,
    two_shades,
    warped,
)

PIECES = {
    "pawn": [(0.3, 0), (0.26, 0.12), (0.12, 0.3), (0.1, 0.45), (0.2, 0.52), (0.22, 0.68),
             (0.1, 0.8)],
    "rook": [(0.32, 0), (0.28, 0.15), (0.19, 0.35), (0.18, 0.8), (0.28, 0.84), (0.28, 1.1),
             (0.13, 1.1), (0.13, 1.0)],
    "bishop": [(0.32, 0), (0.28, 0.14), (0.12, 0.4), (0.1, 0.75), (0.22, 0.85), (0.21, 1.05),
               (0.06, 1.3)],
    "queen": [(0.34, 0), (0.3, 0.15), (0.14, 0.45), (0.12, 0.95), (0.3, 1.4), (0.16, 1.25),
              (0.08, 1.48)],
}  # fmt: skip
"""Half a piece's outline, from its foot up: (from its axis, height), shares of its square."""


def ice_cream(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cone with two or three scoops, held up before a street or a sky."""
    size = FINE * cells.shape[1]
    picture = mixed(clouds(size, generator, 2.2), some_colour(generator, 30, 200),
                    some_colour(generator, 130, 256))  # fmt: skip
    x, y, half = generator.uniform(0.45, 0.55), generator.uniform(0.52, 0.58), 0.19
    mask, (down, right) = np.zeros((size, size), np.uint8), grid(size)
    fill(mask, [(x - half, y), (x + half, y), (x + 0.02, 0.98), (x - 0.02, 0.98)], 255)
    lattice = (np.abs(np.sin(34 * right + 18 * down)) < 0.25) | (
        np.abs(np.sin(34 * right - 18 * down)) < 0.25
    )
    picture = solid(picture, mask, mixed(lattice * 1.0, (225, 165, 90), (150, 95, 40)), 0.12, 0.1)
    flavours = ((250, 235, 200), (110, 65, 40), (245, 150, 175), (150, 215, 160), (250, 210, 90),
                (120, 90, 170), (240, 120, 60))  # fmt: skip
    order = generator.permutation(len(flavours))
    scoops = int(generator.integers(2, 4))
    for number in range(scoops):
        middle = (x + generator.uniform(-0.03, 0.03), y - 0.04 - 0.17 * number)
        scoop = oval(size, middle, (half * (1.08 - 0.12 * number), 0.15))
        for drip in generator.uniform(-0.8, 0.8, 5):
            foot = (middle[0] + drip * half * 0.9, middle[1] + 0.1)
            scoop |= oval(size, foot, (0.045, generator.uniform(0.04, 0.08)))
        rough = 0.8 + 0.4 * clouds(size, generator, 0.9)
        colour = np.array(flavours[order[number]])
        picture = solid(picture, scoop, colour * rough[..., None], 0.11, 0.15)
    for a, b in generator.uniform((-0.12, -0.1), (0.12, 0.03), (16, 2)):
        start = (x + a, y - 0.04 - 0.17 * (scoops - 1) + b)
        tilt = generator.uniform(-0.02, 0.02, 2)
        cv2.line(picture, at(size, *start), at(size, *(start + tilt)), some_colour(generator),
                 pen(size, 50), cv2.LINE_AA)  # fmt: skip
    return photographed(reduced(picture), generator)


def phone_chat(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A telephone askew on a table, a chat on its screen."""
    size = FINE * cells.shape[1]
    planks = mixed(clouds(size, generator, 1.1), *two_shades(generator, 20, 150, 60))
    screen = np.full((size, size, 3), (235, 232, 225), np.uint8)
    bar, mine = some_colour(generator, 20, 170), some_colour(generator, 120, 230)
    cv2.rectangle(screen, (0, 0), at(size, 1, 0.13), bar, -1)
    cv2.circle(screen, at(size, 0.13, 0.065), round(0.045 * size), some_colour(generator), -1)
    name = str(generator.choice(["Anna", "Ben", "Cleo", "Dora"]))
    screen = lettered(screen, name, (0.5, 0.065), (255, 255, 255), 0.3)
    y = 0.17
    while y < 0.85:
        tall, wide = generator.choice([0.1, 0.17]), generator.uniform(0.35, 0.7)
        left, colour = (0.05, (255,) * 3) if generator.random() < 0.5 else (0.95 - wide, mine)
        cv2.rectangle(screen, at(size, left, y), at(size, left + wide, y + tall), colour, -1)
        for line in np.arange(y + 0.05, y + tall, 0.07):
            end = at(size, left + wide * generator.uniform(0.6, 0.9), line)
            cv2.line(screen, at(size, left + 0.04, line), end, (60, 60, 60), pen(size, 45))
        y += tall + 0.04
    cv2.rectangle(screen, at(size, 0.04, 0.91), at(size, 0.96, 0.98), (255,) * 3, -1)
    cv2.rectangle(screen, (0, 0), (size - 1, size - 1), (15, 15, 20), pen(size, 20))
    angle, wide = generator.uniform(-0.6, 0.6), generator.uniform(0.25, 0.29)
    corners = turned(np.array([(-1, -1.65), (1, -1.65), (1, 1.65), (-1, 1.65)]) * wide, angle)
    corners = (corners + generator.uniform(0.46, 0.54, 2)) * size
    screen, mask = warped(screen, perspective(size, corners), size)
    shadow = cv2.GaussianBlur(np.roll(mask, size // 40, (0, 1)), (0, 0), size / 50)
    table = laid(planks, shadow * 0.6, np.zeros(3))
    return photographed(reduced(laid(table, mask, screen)), generator)


def wrist_watch(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A watch as a shop shows it: strap, case, dial with marks and hands, on a pale ground."""
    size = FINE * cells.shape[1]
    down, _ = grid(size)
    ground = np.array(some_colour(generator, 205))
    picture = mixed((down + 1) / 2, ground, ground * 0.8)
    middle, reach = generator.uniform(0.47, 0.53, 2), generator.uniform(0.29, 0.34)
    strap = np.zeros((size, size), np.uint8)
    a, b = 0.62 * reach, 0.5 * reach
    x, y = middle
    fill(strap, [(x - b, -0.1), (x + b, -0.1), (x + a, y), (x + b, 1.1), (x - b, 1.1), (x - a, y)],
         255)  # fmt: skip
    shadow = cv2.GaussianBlur(strap | oval(size, middle, (reach, reach)), (0, 0), size / 30)
    picture = laid(picture, np.roll(shadow, size // 25, (0, 1)) * 0.5, np.zeros(3))
    leather = np.array(some_colour(generator, 20, 150)) * np.ones((size, size, 1))
    leather[np.abs(np.sin(down * 30)) < 0.12] *= 0.5
    picture = solid(picture, strap, leather, 0.05, 0.1)
    metals = ((190, 190, 200), (215, 175, 90), (70, 70, 75), (225, 160, 130))
    metal = metals[generator.integers(4)]
    picture = solid(picture, oval(size, (x + reach, y), (0.05, 0.04)), metal, 0.03)
    picture = solid(picture, oval(size, middle, (reach, reach)), metal, 0.04, 0.6)
    dark = generator.random() < 0.5
    dial = some_colour(generator, 0, 90) if dark else some_colour(generator, 225)
    ink = (240, 240, 235) if dark else (20, 20, 25)
    cv2.circle(picture, at(size, x, y), round(0.82 * reach * size), dial, -1, cv2.LINE_AA)

    def stroke(hour: float, start: float, end: float, part: int, colour: tuple) -> None:
        way = reach * np.array((np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)))
        curve(picture, [middle + share * way for share in (start, end)], colour, part)

    for hour in range(12):
        stroke(hour, 0.62, 0.76, 70 if hour % 3 else 40, ink)
    time = generator.uniform(0, 12)
    stroke(time, -0.08, 0.4, 32, ink)
    stroke(time * 12 % 12, -0.1, 0.62, 45, ink)
    stroke(generator.uniform(0, 12), -0.15, 0.7, 110, (210, 40, 30))
    return photographed(reduced(picture), generator)


def rubber_duck(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A bath duck on rippled water before tiles."""
    size = FINE * cells.shape[1]
    down, right = grid(size)
    wall, tiles = some_colour(generator, 150), generator.uniform(9, 15)
    joints = np.minimum(np.abs(np.sin(tiles * down)), np.abs(np.sin(tiles * right))) < 0.08
    picture = mixed(joints * 1.0, wall, np.array(wall) * 0.65)
    ripples = 0.5 + 0.3 * np.sin(45 * down + 6 * clouds(size, generator, 1.8) + 4 * right)
    level = generator.uniform(0.1, 0.35)
    picture = laid(picture, 255 * (down > level), mixed(ripples, (30, 110, 160), (150, 215, 230)))
    paints = ((250, 205, 30), (250, 205, 30), (240, 120, 150), (90, 180, 230), (140, 200, 80))
    paint = paints[generator.integers(len(paints))]
    turn, x, y = generator.choice([-1, 1]), generator.uniform(0.47, 0.53), level / 2 + 0.56

    def put(points: list[tuple[float, float]]) -> np.ndarray:
        return np.array([(x + turn * a, y + b) for a, b in points])

    body, wing, beak = np.zeros((3, size, size), np.uint8)
    fill(body, spline(put([(0.34, -0.06), (0.28, 0.12), (-0.05, 0.17), (-0.3, 0.1), (-0.42, -0.16),
                           (-0.22, -0.08), (0.05, -0.12)])), 255)  # fmt: skip
    ((hx, hy),) = put([(0.17, -0.27)])
    fill(beak, spline(put([(0.28, -0.3), (0.45, -0.26), (0.44, -0.2), (0.28, -0.18)])), 255)
    fill(wing, spline(put([(0.1, -0.03), (-0.05, 0.09), (-0.27, -0.05), (-0.05, -0.08)])), 255)
    picture = solid(picture, beak, (235, 110, 20), 0.04)
    picture = solid(picture, body, paint, 0.13, 0.4)
    picture = solid(picture, oval(size, (hx, hy), (0.18, 0.17)), paint, 0.14, 0.4)
    picture = solid(picture, wing, np.array(paint) * 0.92, 0.05)
    ((ex, ey),) = put([(0.23, -0.32)])
    cv2.circle(picture, at(size, ex, ey), round(0.04 * size), (255,) * 3, -1, cv2.LINE_AA)
    cv2.circle(picture, at(size, ex, ey), round(0.024 * size), (5, 5, 5), -1, cv2.LINE_AA)
    return photographed(reduced(picture), generator)


def chess(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Chessmen of both sides on a board seen from a player's seat."""
    size = FINE * cells.shape[1]
    picture = mixed(clouds(size, generator, 2.3), *two_shades(generator, 20, 150, 60))
    side, rows = int(generator.integers(4, 6)), 5
    dark, light = some_colour(generator, 40, 120), some_colour(generator, 190, 250)
    board = np.indices((rows, side)).sum(axis=0) % 2
    board = mixed(board.astype(np.float32), dark, light)
    board = cv2.resize(board, (size, size), interpolation=cv2.INTER_NEAREST)
    back, lean = generator.uniform(0.3, 0.4), generator.uniform(-0.1, 0.1)
    corners = np.array([(0.2 + lean, back), (0.8 + lean, back), (1.15, 1.02), (-0.15, 1.02)])
    warp = perspective(size, corners * size)
    board, mask = warped(board, warp, size)
    picture = laid(picture, mask, board)
    places = np.sort(generator.choice(rows * side, int(generator.integers(6, 10)), replace=False))
    for place in places:
        row, column = divmod(int(place), side)
        spot = np.array([[[(column + 0.5) / side, (row + 0.6) / rows]]]) * size
        x, y = cv2.perspectiveTransform(spot, warp)[0, 0] / size
        wide = (0.6 + 0.7 * (y - back) / (1 - back)) / side
        half = np.array(list(PIECES.values())[generator.integers(len(PIECES))])
        outline = np.concatenate([half, half[::-1] * (-1, 1)]) * wide * (1, -1) + (x, y)
        shadow = oval(size, (x + 0.3 * wide, y), (0.4 * wide, 0.1 * wide))
        picture = laid(picture, shadow * 0.5, np.zeros(3))
        man = np.zeros((size, size), np.uint8)
        fill(man, outline, 255)
        paint = (235, 215, 175) if generator.random() < 0.5 else (60, 40, 35)
        picture = solid(picture, man, paint, 0.2 * wide, 0.5)
    return photographed(reduced(picture), generator)
