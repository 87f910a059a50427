"""Pictures of animals, food, things and instruments' screens: more that are no cells.

Cleaning was measured with them once, so its limits may be chosen on them from then on: all are
among the development pictures of cells/joke_pictures.py. The last five, in
cells/joke_borrowed.py, are made of the archive's own cells.
"""

import cv2
import numpy as np

from cells.brushes import (
    Draw,
    at,
    clouds,
    fill,
    flat,
    grid,
    laid,
    mixed,
    perspective,
    photographed,
    some_colour,
    spline,
    turned,
    two_shades,
    warped,
)
from cells.joke_borrowed import (
    brick_wall,
    kaleidoscope,
    maze,
    sheet_music,
    sorted_pixels,
)


def cat(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cat's face from the front, striped, in a room."""
    px = cells.shape[1]
    picture = mixed(clouds(px, generator, 2.2), np.array(some_colour(generator, 0, 130)),
                    np.array(some_colour(generator, 90, 256)))  # fmt: skip
    furs = ((205, 130, 60), (120, 115, 110), (60, 55, 55), (215, 205, 190), (130, 95, 65))
    fur = np.array(furs[generator.integers(len(furs))])
    x, y = generator.uniform(0.42, 0.58), generator.uniform(0.53, 0.62)
    wide, tall = generator.uniform(0.29, 0.36), generator.uniform(0.24, 0.3)
    mask = np.zeros((px, px), np.uint8)
    cv2.ellipse(mask, at(px, x, y), at(px, wide, tall), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for side in (-1, 1):
        ear = [
            (x + side * wide * a, y - tall * b) for a, b in ((0.98, 0.2), (0.95, 1.7), (0.2, 0.9))
        ]
        fill(mask, ear, 255)
    stripes = np.sin(np.arange(px)[None] * 44 / px + 5 * clouds(px, generator)) > 0.5
    shade = 0.75 + 0.5 * clouds(px, generator, 1.1) - 0.3 * stripes * generator.uniform(0, 1)
    picture = laid(picture, mask, fur * shade[..., None])
    eyes = ((190, 200, 60), (90, 170, 90), (230, 160, 40), (110, 170, 220))
    eye = eyes[generator.integers(len(eyes))]
    for side in (-1, 1):
        inner = [
            (x + side * wide * a, y - tall * b) for a, b in ((0.8, 0.7), (0.87, 1.35), (0.5, 0.9))
        ]
        fill(picture, inner, (225, 160, 150))
        middle = at(px, x + side * 0.42 * wide, y - 0.18 * tall)
        cv2.ellipse(picture, middle, at(px, 0.065, 0.055), 0, 0, 360, eye, -1, cv2.LINE_AA)
        cv2.ellipse(picture, middle, at(px, 0.02, 0.05), 0, 0, 360, (5, 5, 5), -1, cv2.LINE_AA)
        for tilt in (-0.06, 0.0, 0.06):
            start, end = at(px, x + side * 0.1, y + 0.12), at(px, x + side * 0.4, y + 0.1 + tilt)
            cv2.line(picture, start, end, (245, 245, 240), 1, cv2.LINE_AA)
        cv2.ellipse(picture, at(px, x + side * 0.045, y + 0.13), at(px, 0.045, 0.04), 0, 0, 180,
                    (40, 25, 25), 1, cv2.LINE_AA)  # fmt: skip
    fill(picture, [(x - 0.045, y + 0.06), (x + 0.045, y + 0.06), (x, y + 0.12)], (220, 110, 115))
    return photographed(picture, generator)


def hamburger(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A hamburger on a table, its layers in random order under the bun."""
    px = cells.shape[1]
    picture = flat(cells, some_colour(generator, 40, 240))
    table = round(generator.uniform(0.68, 0.8) * px)
    grain = mixed(clouds(px, generator, 1.2), np.array((70, 40, 20)), np.array((170, 120, 70)))
    picture[table:] = grain[table:]
    x, y, half = generator.uniform(0.44, 0.56), generator.uniform(0.4, 0.48), 0.36
    bun = (int(generator.integers(190, 226)), 140, 60)
    cv2.ellipse(picture, at(px, x, y), at(px, half, generator.uniform(0.2, 0.3)), 0, 180, 360,
                bun, -1, cv2.LINE_AA)  # fmt: skip
    for seed in generator.uniform((-0.22, 0.05), (0.22, 0.16), (14, 2)):
        cv2.ellipse(
            picture, at(px, x + seed[0], y - seed[1]), (2, 1), 0, 0, 360, (250, 235, 190), -1
        )
    layers = ((95, 50, 30), (110, 175, 55), (250, 190, 40), (205, 50, 40), (95, 50, 30))
    for colour in generator.permutation(layers).tolist():
        thick = generator.uniform(0.045, 0.08)
        along = np.linspace(x - half - 0.02, x + half + 0.02, 13)
        lower = y + thick + generator.uniform(0, 0.035, 13)
        upper = [(along[-1], y), (along[0], y)]
        fill(picture, [*zip(along, lower, strict=True), *upper], colour)
        y += thick
    fill(picture, [(x - half, y), (x + half, y), (x + half - 0.05, y + 0.13),
                    (x - half + 0.05, y + 0.13)], bun)  # fmt: skip
    return photographed(picture, generator)


def car(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A car from the side on a road before a hedge."""
    px = cells.shape[1]
    picture = flat(cells, some_colour(generator, 150, 256))
    hedge = mixed(clouds(px, generator, 1.0), np.array((15, 45, 15)), np.array((110, 150, 70)))
    top, road = round(generator.uniform(0.2, 0.45) * px), round(0.66 * px)
    picture[top:road] = hedge[top:road]
    asphalt = int(generator.integers(70, 140))
    picture[road:] = asphalt + generator.integers(-12, 13, (px - road, px, 1))
    picture[round(0.9 * px) : round(0.92 * px)] = 235
    paint = some_colour(generator)
    x, roof = generator.uniform(0.08, 0.14), generator.uniform(0.34, 0.42)
    nose = generator.uniform(0.5, 0.56)
    outline = [(0, 0.72), (0, 0.56), (0.14, 0.53), (0.26, roof), (0.52, roof), (0.64, nose),
               (0.8, nose + 0.04), (0.82, 0.72)]  # fmt: skip
    glass = [(0.19, 0.53), (0.28, roof + 0.03), (0.5, roof + 0.03), (0.6, 0.53)]
    if generator.random() < 0.5:
        outline, glass = ([(0.82 - a, b) for a, b in shape] for shape in (outline, glass))
    cv2.ellipse(picture, at(px, x + 0.41, 0.8), at(px, 0.42, 0.05), 0, 0, 360, (30, 30, 35), -1)
    fill(picture, [(x + a, b) for a, b in outline], paint)
    fill(picture, [(x + a, b) for a, b in glass], (40, 55, 75))
    cv2.line(picture, at(px, x + 0.4, roof), at(px, x + 0.4, 0.7), [v // 2 for v in paint], 1)
    for wheel in (0.18, 0.64):
        cv2.circle(
            picture, at(px, x + wheel, 0.74), round(0.09 * px), (15, 15, 15), -1, cv2.LINE_AA
        )
        cv2.circle(picture, at(px, x + wheel, 0.74), round(0.045 * px), (185, 185, 190), -1)
    return photographed(picture, generator)


def playing_card(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A playing card askew on cloth, two to ten of a suit."""
    px = cells.shape[1]
    size, club = 4 * px, generator.random() < 0.5
    ink = (20, 20, 25) if club else (200, 20, 30)
    card = np.full((size, size, 3), 255, np.uint8)
    rank = int(generator.integers(2, 11))
    for x, y in _pips(rank):
        if club:
            for a, b in ((-0.04, 0.01), (0.04, 0.01), (0, -0.05)):
                cv2.circle(card, at(size, x + a, y + b), round(0.045 * size), ink, -1)
            fill(card, [(x, y), (x - 0.03, y + 0.09), (x + 0.03, y + 0.09)], ink)
        else:
            fill(card, [(x, y - 0.09), (x + 0.07, y), (x, y + 0.09), (x - 0.07, y)], ink)
    cv2.putText(card, str(rank), at(size, 0.03, 0.14), cv2.FONT_HERSHEY_DUPLEX, size / 200, ink, 5)
    angle, wide = generator.uniform(-0.5, 0.5), generator.uniform(0.27, 0.32)
    corners = turned(np.array([(-1, -1.4), (1, -1.4), (1, 1.4), (-1, 1.4)]) * wide, angle)
    corners = (corners + generator.uniform(0.45, 0.55, 2)) * px
    card, mask = warped(cv2.GaussianBlur(card, (0, 0), 2.0), perspective(size, corners), px)
    cloth = mixed(clouds(px, generator, 0.6), *two_shades(generator, 0, 140, 40))
    return photographed(laid(cloth, mask, card), generator)


def chest_x_ray(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An X-ray of a chest: lungs, ribs, spine, heart."""
    px = cells.shape[1]
    y, x = (axis * generator.uniform(0.85, 1.25) for axis in grid(px))
    x = x - generator.uniform(-0.15, 0.15)
    body = 150 / (1 + np.exp((np.abs(x) - 0.86 + 0.25 * (y < -0.7)) * 25))
    low, high = generator.uniform(0.5, 0.75), generator.uniform(0.2, 0.27)
    for side in (-1, 1):
        reach = np.hypot((x - side * 0.43) / (high + 0.12 * y), (y + 0.02) / low)
        body -= generator.uniform(85, 110) / (1 + np.exp(np.clip((reach - 1) * 14, -50, 50)))
    spacing, phase = generator.uniform(20, 26), generator.uniform(0, 6)
    ribs = np.sin(y * spacing - 7 * (np.abs(x) - 0.4) ** 2 * 3 - np.abs(x) * 6 + phase)
    body += 38 * np.clip(ribs * 1.6, 0, 1) * (np.abs(x) < 0.78) * (y > -0.75) * (y < 0.7)
    body += 70 * np.exp(-((x / 0.09) ** 2)) * (0.85 + 0.15 * np.sin(y * 30))
    heart = -0.18 if generator.random() < 0.2 else 0.18
    body += 80 / (1 + np.exp((np.hypot((x - heart) / 0.3, (y - 0.25) / 0.34) - 1) * 9))
    body += 55 * np.exp(-(((y + 0.72 - 0.25 * np.abs(x)) / 0.05) ** 2)) * (np.abs(x) < 0.75)
    grey = body * generator.uniform(0.7, 1.3) + generator.normal(8, 4, (px, px))
    picture = np.clip(grey, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    cv2.putText(picture, "L", at(px, 0.88, 0.12), cv2.FONT_HERSHEY_SIMPLEX, px / 250, (240,) * 3, 1)
    return picture


def farmland(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Fields from a satellite, furrowed, some of them round, with tracks between."""
    px = cells.shape[1]
    picture, (y, x) = flat(cells, (150, 125, 90)), grid(px)
    greens = np.array([(60, 95, 45), (120, 140, 70), (175, 150, 100), (95, 70, 50), (45, 70, 50)])
    cuts = [np.cumsum([0, *generator.uniform(0.15, 0.4, 7)]) for _ in range(2)]
    for top, bottom in zip(cuts[0], cuts[0][1:], strict=False):
        for left, right in zip(cuts[1], cuts[1][1:], strict=False):
            mask = np.zeros((px, px), np.uint8)
            if generator.random() < 0.35:
                middle, reach = (
                    ((left + right) / 2, (top + bottom) / 2),
                    min(right - left, bottom - top),
                )
                cv2.circle(mask, at(px, *middle), round(0.48 * reach * px), 255, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(
                    mask, at(px, left, top), at(px, right - 0.015, bottom - 0.015), 255, -1
                )
            angle = generator.choice([0, np.pi / 2, 0.3])
            furrows = np.sin((x * np.cos(angle) + y * np.sin(angle)) * generator.uniform(50, 120))
            shade = 0.85 + 0.09 * furrows + 0.3 * clouds(px, generator, 1.2)
            picture = laid(picture, mask, greens[generator.integers(5)] * shade[..., None])
    turned = cv2.getRotationMatrix2D((px / 2, px / 2), generator.uniform(-40, 40), 1.5)
    picture = cv2.warpAffine(picture, turned, (px, px), borderMode=cv2.BORDER_REFLECT)
    road = spline(generator.uniform(0, 1, (3, 2)).tolist(), closed=False) * px
    cv2.polylines(picture, [road.astype(np.int32)], False, (215, 205, 185), 1, cv2.LINE_AA)
    return photographed(picture, generator)


def spectrogram(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Speech as a spectrogram in a colour map: harmonics that glide, pauses, a noisy ground."""
    px = cells.shape[1]
    height, time = np.linspace(1, 0, px)[:, None], np.linspace(0, 1, px)[None]
    pitch = 0.05 + 0.05 * np.interp(time[0], np.linspace(0, 1, 6), generator.uniform(0, 1, 6))
    voiced = np.interp(time[0], np.linspace(0, 1, 12), generator.uniform(-0.6, 1, 12)).clip(0, 1)
    comb = np.exp(-(((height / pitch + 0.5) % 1 - 0.5) ** 2) / 0.03)
    formants = sum(np.exp(-(((height - f) / 0.09) ** 2)) for f in generator.uniform(0.05, 0.8, 3))
    hiss = (generator.random((1, px)) < 0.04) * generator.uniform(0.2, 0.6)
    power = comb * voiced * (0.25 + formants) * (1.1 - height) + hiss * (0.3 + height)
    power = power + generator.exponential(0.06, (px, px))
    maps = (cv2.COLORMAP_MAGMA, cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_JET, cv2.COLORMAP_INFERNO)
    level = (np.clip(power, 0, 1) ** 0.7 * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(level, maps[generator.integers(4)])
    return np.ascontiguousarray(coloured[..., ::-1])


def fish(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A banded fish from the side in lit water over sand."""
    px = cells.shape[1]
    y, x = grid(px)
    light = np.clip(0.6 - 0.5 * y + 0.25 * (clouds(px, generator, 1.8) - 0.5), 0, 1)
    picture = mixed(light, np.array((0, 35, 70)), np.array((60, 170, 200)))
    sand = mixed(clouds(px, generator, 0.8), np.array((120, 105, 75)), np.array((210, 195, 150)))
    floor = np.where(y > generator.uniform(0.6, 0.85) + 0.06 * np.sin(4 * x), 255, 0)
    picture = laid(picture, floor, sand)
    paint, band = np.array(some_colour(generator, 120)), np.array(some_colour(generator, 0, 256))
    long, tall = generator.uniform(0.48, 0.62), generator.uniform(0.22, 0.38)
    turn = -1 if generator.random() < 0.5 else 1
    cx, cy = generator.uniform(-0.12, 0.12), generator.uniform(-0.25, 0.2)

    def put(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [((turn * a * long + cx + 1) / 2, (b * tall + cy + 1) / 2) for a, b in points]

    dark = tuple((paint * 0.7).astype(int).tolist())
    fill(picture, put([(-0.8, 0), (-1.4, -0.9), (-1.2, 0), (-1.4, 0.9)]), dark)
    fill(picture, put([(-0.5, -0.7), (-0.3, -1.5), (0.4, -0.9)]), dark)
    fill(picture, put([(-0.3, 0.8), (-0.35, 1.35), (0.2, 0.9)]), dark)
    mask = np.zeros((px, px), np.uint8)
    body = spline(put([(1, 0.05), (0.5, -0.8), (-0.2, -0.95), (-0.9, -0.2), (-0.9, 0.2),
                       (-0.2, 0.95), (0.5, 0.8)]))  # fmt: skip
    fill(mask, body, 255)
    along = turn * (x - cx) / long
    bands = np.clip(3 * np.sin(along * generator.uniform(5, 12) + generator.uniform(0, 6)), 0, 1)
    scales = 0.1 * np.sin(x * 60) * np.sin(y * 60)
    shade = 0.95 - 0.35 * (y - cy) / tall + scales
    picture = laid(picture, mask, mixed(bands, paint, band) * shade[..., None])
    ((a, b),) = put([(0.68, -0.2)])
    cv2.circle(picture, at(px, a, b), round(0.045 * px), (250, 245, 220), -1, cv2.LINE_AA)
    cv2.circle(picture, at(px, a, b), round(0.022 * px), (5, 5, 5), -1, cv2.LINE_AA)
    return photographed(picture, generator)


def _pips(rank: int) -> list[tuple[float, float]]:
    rows = {2: 2, 3: 3, 4: 2, 5: 2, 6: 3, 7: 3, 8: 3, 9: 4, 10: 4}[rank]
    heights = np.linspace(0.2, 0.8, rows).tolist()
    if rank < 4:
        return [(0.5, y) for y in heights]
    sides = [(x, y) for y in heights for x in (0.3, 0.7)]
    return sides + [(0.5, y) for y in (0.5, 0.35)[: rank - len(sides)]]


SCENES: dict[str, Draw] = {
    "cat": cat,
    "hamburger": hamburger,
    "car": car,
    "playing card": playing_card,
    "chest x-ray": chest_x_ray,
    "farmland": farmland,
    "spectrogram": spectrogram,
    "fish": fish,
    "brick wall": brick_wall,
    "maze": maze,
    "sheet music": sheet_music,
    "kaleidoscope": kaleidoscope,
    "sorted pixels": sorted_pixels,
}
