"""Pictures that are no cells, drawn by hand, to plant in an archive: does cleaning find them?

DEVELOPMENT is what cleaning's limits were chosen on, so what it finds of these promises little;
cells/held_out_pictures.py has the family to measure with. Nine are made of the archive's own cells,
in cells/spoilt_cells.py; the scenes of cells/joke_scenes.py were once held out themselves.
"""

import cv2
import numpy as np

from cells.brushes import LETTERS, Draw, clouds, flat, grid, mixed, some_colour
from cells.joke_scenes import SCENES
from cells.spoilt_cells import (
    cell_checkerboard,
    cell_rings,
    cell_scribble,
    cell_words,
    knitting,
    negative,
    rolled,
    scrambled,
    swapped_channels,
)


def smiley(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A face of discs on a plain ground."""
    px = cells.shape[1]
    picture = flat(cells, some_colour(generator, 0, 200))
    middle = (px // 2, px // 2)
    cv2.circle(picture, middle, round(0.42 * px), some_colour(generator, 150), -1, cv2.LINE_AA)
    for x in (0.36, 0.64):
        place, size = (round(x * px), round(0.4 * px)), round(generator.uniform(0.05, 0.1) * px)
        cv2.circle(picture, place, size, (20, 20, 20), -1, cv2.LINE_AA)
    mouth = (round(0.24 * px), round(generator.uniform(0.05, 0.2) * px))
    cv2.ellipse(picture, (px // 2, round(0.6 * px)), mouth, 0, 0, 180, (150, 20, 40), 3)
    return picture


def words(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Lines of letters, dark on light or light on dark."""
    px = cells.shape[1]
    ground, ink = some_colour(generator, 180), some_colour(generator, 0, 80)
    if generator.random() < 0.4:
        ground, ink = ink, ground
    picture = flat(cells, ground)
    for line in range(4):
        text = "".join(generator.choice(list(LETTERS), 6))
        place = (round(0.05 * px), round((0.24 + 0.22 * line) * px))
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, px / 130, ink, 2, cv2.LINE_AA)
    return picture


def stripes(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Straight stripes of two colours at some angle."""
    y, x = grid(cells.shape[1])
    angle = generator.uniform(0, np.pi)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * generator.uniform(8, 30))
    first, second = np.array(some_colour(generator)), np.array(some_colour(generator))
    return mixed((wave > 0).astype(np.float32), first, second)


def bar_chart(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Bars on white between two axes."""
    px = cells.shape[1]
    picture, ink = flat(cells, (255, 255, 255)), some_colour(generator, 0, 200)
    for left in np.linspace(0.16, 0.84, int(generator.integers(4, 8))):
        top = round(px * generator.uniform(0.15, 0.8))
        cv2.rectangle(
            picture, (round(left * px), top), (round((left + 0.08) * px), round(0.9 * px)), ink, -1
        )
    cv2.line(picture, (round(0.1 * px), round(0.05 * px)), (round(0.1 * px), round(0.9 * px)), 0)
    cv2.line(picture, (round(0.1 * px), round(0.9 * px)), (px - 2, round(0.9 * px)), 0)
    return picture


def sunset(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A smooth sky over a dark sea, with a sun."""
    px = cells.shape[1]
    y, _ = grid(px)
    sky = mixed((y + 1) / 2, np.array(some_colour(generator, 0, 130)), np.array((250, 160, 60)))
    x, height = generator.uniform(0.2, 0.8) * px, generator.uniform(0.3, 0.6) * px
    cv2.circle(sky, (round(x), round(height)), round(0.1 * px), (255, 240, 180), -1, cv2.LINE_AA)
    sea = round(generator.uniform(0.6, 0.75) * px)
    sky[sea:] = sky[sea:] // 3 + np.array((5, 20, 50), np.uint8)
    return cv2.GaussianBlur(sky, (0, 0), 0.8)


def window(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A screenshot: title bar, lines of small text, a button."""
    px = cells.shape[1]
    picture = flat(cells, some_colour(generator, 200))
    picture[: round(0.14 * px)] = some_colour(generator, 0, 140)
    for line in range(7):
        y = round((0.22 + 0.085 * line) * px)
        end = round(px * generator.uniform(0.4, 0.95))
        picture[y : y + max(1, px // 40), round(0.06 * px) : end] = 90
    cv2.rectangle(
        picture, (round(0.6 * px), round(0.84 * px)), (round(0.94 * px), round(0.95 * px)),
        some_colour(generator, 0, 200), -1,
    )  # fmt: skip
    return picture


def static(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Noise of an empty channel, grey."""
    side = int(generator.integers(24, 97))
    noise = generator.integers(0, 256, (side, side, 1), dtype=np.uint8).repeat(3, axis=2)
    return cv2.resize(noise, cells.shape[1:3], interpolation=cv2.INTER_NEAREST)


def house(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A house with a roof, a door and a tree on a lawn."""
    px = cells.shape[1]
    picture = flat(cells, some_colour(generator, 130))
    horizon = round(generator.uniform(0.62, 0.75) * px)
    picture[horizon:] = some_colour(generator, 30, 150)
    left, right = round(0.15 * px), round(generator.uniform(0.5, 0.65) * px)
    top, bottom = round(0.45 * px), round(0.85 * px)
    cv2.rectangle(picture, (left, top), (right, bottom), some_colour(generator, 60, 255), -1)
    roof = np.array([(left - 5, top), (right + 5, top), ((left + right) // 2, round(0.2 * px))])
    cv2.fillPoly(picture, [roof.astype(np.int32)], some_colour(generator, 0, 180), cv2.LINE_AA)
    door = (left + right) // 2
    cv2.rectangle(picture, (door, round(0.62 * px)), (door + px // 10, bottom), (60, 40, 20), -1)
    x = round(0.82 * px)
    cv2.rectangle(picture, (x - 2, round(0.5 * px)), (x + 2, bottom), (90, 60, 30), -1)
    cv2.circle(picture, (x, round(0.42 * px)), round(0.12 * px), (40, 120, 50), -1, cv2.LINE_AA)
    return picture


def julia_set(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A fractal, by how soon a point escapes."""
    y, x = grid(cells.shape[1])
    point = 1.5 * x + 1.5j * y
    seed = 0.7885 * np.exp(1j * generator.uniform(0, 2 * np.pi))
    escaped = np.zeros(point.shape, np.float32)
    for _ in range(30):
        inside = np.abs(point) < 2
        point = np.where(inside, point**2 + seed, point)
        escaped += inside
    hues = np.stack([escaped * 6 % 180, np.full_like(escaped, 200), escaped * 8 % 256], axis=-1)
    return cv2.cvtColor(hues.astype(np.uint8), cv2.COLOR_HSV2RGB)


def code_square(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A square code of black and white modules with three corner marks."""
    modules = int(generator.integers(17, 30))
    code = np.pad(generator.integers(0, 2, (modules, modules)), 2, constant_values=1)
    mark = np.pad(np.pad(np.zeros((3, 3), int), 1, constant_values=1), 1)
    for y, x in ((2, 2), (2, modules - 5), (modules - 5, 2)):
        code[y : y + 7, x : x + 7] = mark
    picture = (code * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    return cv2.resize(picture, cells.shape[1:3], interpolation=cv2.INTER_NEAREST)


def mountains(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A landscape that passes for a photograph: clouds, ridges behind ridges, haze."""
    px = cells.shape[1]
    sky = mixed(clouds(px, generator), np.array((90, 140, 200)), np.array((240, 240, 245)))
    rows = np.arange(px)[:, None]
    for distance in (0.45, 0.62, 0.8):
        ridge = np.cumsum(generator.normal(0, 1.6, px)) + distance * px
        rock = clouds(px, generator, 1.0)[..., None]
        shade = np.array((40, 60, 45)) + (0.85 - distance) * 180 * np.array((0.7, 0.9, 1.1))
        sky = np.where((rows > ridge)[..., None], shade * (0.6 + 0.6 * rock), sky)
    return np.clip(sky, 0, 255).astype(np.uint8)


def flag(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Three broad bands and a star."""
    px = cells.shape[1]
    bands = generator.integers(0, 256, (3, 1, 3), dtype=np.uint8)
    if generator.random() < 0.5:
        bands = bands.transpose(1, 0, 2)
    picture = cv2.resize(bands, (px, px), interpolation=cv2.INTER_NEAREST)
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, 0.08, 0.2)[:, None] * px
    star = px / 2 + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.rint(star).astype(np.int32)
    cv2.fillPoly(picture, [points], some_colour(generator), cv2.LINE_AA)
    return picture


def street_map(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Roads, a river and parks on pale ground."""
    px = cells.shape[1]
    picture = flat(cells, (238, 234, 224))
    for _ in range(4):
        corner = generator.uniform(0, 0.8, 2) * px
        end = corner + generator.uniform(0.1, 0.3, 2) * px
        cv2.rectangle(
            picture, corner.astype(int).tolist(), end.astype(int).tolist(), (190, 220, 170), -1
        )
    for colour, width in (((160, 195, 230), 9), ((250, 220, 120), 5), ((255, 255, 255), 3)):
        for _ in range(1 if width == 9 else 4):
            ends = generator.uniform(-0.1, 1.1, (3, 2)) * px
            cv2.polylines(picture, [ends.astype(np.int32)], False, colour, width, cv2.LINE_AA)
    return picture


def petals(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A flower before leaves out of focus."""
    px = cells.shape[1]
    leaves = mixed(clouds(px, generator, 2.0), np.array((20, 50, 15)), np.array((120, 180, 80)))
    y, x = grid(px)
    y, x = y - generator.uniform(-0.2, 0.2), x - generator.uniform(-0.2, 0.2)
    count = int(generator.integers(5, 10))
    edge = 0.45 + 0.25 * np.cos(count * (np.arctan2(y, x) + generator.uniform(0, 6)))
    inside = np.clip((edge - np.hypot(y, x)) * 12, 0, 1)
    flower = mixed(inside, np.zeros(3), np.array(some_colour(generator, 120)))
    picture = np.where(inside[..., None] > 0.05, flower, leaves)
    picture[np.hypot(y, x) < 0.14] = (230, 190, 40)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


DEVELOPMENT: dict[str, Draw] = {
    "smiley": smiley,
    "words": words,
    "stripes": stripes,
    "bar chart": bar_chart,
    "sunset": sunset,
    "window": window,
    "static": static,
    "house": house,
    "julia set": julia_set,
    "code square": code_square,
    "mountains": mountains,
    "flag": flag,
    "street map": street_map,
    "petals": petals,
    "negative": negative,
    "rolled": rolled,
    "scrambled": scrambled,
    "swapped channels": swapped_channels,
    "cell checkerboard": cell_checkerboard,
    "cell words": cell_words,
    "knitting": knitting,
    "cell rings": cell_rings,
    "cell scribble": cell_scribble,
    **SCENES,
}
