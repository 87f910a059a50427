"""Pictures that are no cells, to measure cleaning with: none of its limits was chosen on them.

Drawn without a look at the cleaning, and of other things than the development pictures of
cells/joke_pictures.py show. More are in cells/held_out_things.py; the last five, in
cells/held_out_borrowed.py, are made of the archive's own cells.
"""

import cv2
import numpy as np

from cells.brushes import (
    FINE,
    Draw,
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
    photographed,
    reduced,
    solid,
    some_colour,
    spline,
    turned,
)
from cells.held_out_borrowed import blinds, captioned, jigsaw, stickers, torn
from cells.held_out_things import chess, ice_cream, phone_chat, rubber_duck, wrist_watch

CAPTIONS = ("SUCH WOW", "OVERFIT", "NOT A CELL", "100% ACC", "ONE MORE", "EPOCH 999", "BUT WHY",
            "NO GPU?", "GOT NANS", "HELLO", "LEAKAGE", "TOP 1")  # fmt: skip


def meme(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Somebody grinning at the camera, with white capitals above and below."""
    size = FINE * cells.shape[1]
    picture = mixed(clouds(size, generator, 2.4), some_colour(generator, 0, 140),
                    some_colour(generator, 110, 256))  # fmt: skip
    skins = ((240, 200, 170), (205, 150, 115), (150, 100, 70), (95, 62, 45))
    hairs = ((35, 25, 20), (100, 60, 30), (200, 160, 90), (160, 70, 30), (170, 170, 170))
    skin = np.array(skins[generator.integers(4)])
    hair = np.array(hairs[generator.integers(5)])
    x, y = generator.uniform(0.43, 0.57), generator.uniform(0.46, 0.52)
    wide, tall = generator.uniform(0.19, 0.23), generator.uniform(0.26, 0.3)
    shirt = some_colour(generator)
    for shape, paint in (
        (((x, 1.12), (0.4, 0.32)), shirt),
        (((x, 0.8), (0.09, 0.18)), skin * 0.85),
        (((x, y - 0.07), (wide * 1.17, tall * generator.uniform(1, 1.2))), hair),
        (((x, y), (wide, tall)), skin),
    ):
        picture = solid(picture, oval(size, *shape), paint, 0.1, 0.05)
    fringe = oval(size, (x, y - 0.75 * tall), (wide * 0.95, 0.4 * tall))
    picture = laid(picture, fringe, hair * (0.7 + 0.6 * clouds(size, generator, 1.0))[..., None])
    iris, gaze = some_colour(generator, 20, 140), generator.uniform(-0.02, 0.02)
    for side in (-1, 1):
        eye = (x + side * 0.45 * wide, y - 0.1 * tall)
        cv2.ellipse(picture, at(size, *eye), at(size, 0.05, 0.032), 0, 0, 360, (250,) * 3, -1)
        cv2.circle(picture, at(size, eye[0] + gaze, eye[1]), round(0.024 * size), iris, -1)
        cv2.circle(picture, at(size, eye[0] + gaze, eye[1]), round(0.012 * size), (0, 0, 0), -1)
        brow, lift = at(size, eye[0], eye[1] - 0.04), generator.integers(-15, 16)
        cv2.ellipse(picture, brow, at(size, 0.06, 0.03), int(lift), 190, 350,
                    (hair * 0.6).tolist(), pen(size, 50), cv2.LINE_AA)  # fmt: skip
    shadow = (skin * 0.7).tolist()
    nose = [(x, y - 0.02), (x + 0.035, y + 0.09), (x - 0.01, y + 0.1)]
    fill(picture, nose, shadow)
    grin = [(x - 0.11, y + 0.13), (x, y + 0.16), (x + 0.11, y + generator.uniform(0.1, 0.14)),
            (x, y + generator.uniform(0.2, 0.26))]  # fmt: skip
    fill(picture, spline(grin), (120, 30, 40))
    fill(picture, [(x - 0.09, y + 0.145), (x, y + 0.165), (x + 0.09, y + 0.14),
                   (x, y + 0.195)], (250, 250, 245))  # fmt: skip
    for height, text in zip((0.1, 0.9), generator.choice(CAPTIONS, 2, False), strict=True):
        picture = lettered(picture, str(text), (0.5, height), (255, 255, 255), 0.88)
    return photographed(reduced(picture), generator)


def butterfly(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A butterfly with its wings spread on foliage out of focus."""
    size = FINE * cells.shape[1]
    picture = mixed(clouds(size, generator, 1.9), (15, 45, 15), some_colour(generator, 90, 220))
    paint, rim = np.array(some_colour(generator, 110)), some_colour(generator, 0, 50)
    spot = some_colour(generator, 170)
    turn, reach = generator.uniform(-0.6, 0.6), generator.uniform(0.42, 0.5)
    fore = [(0.03, -0.1), (0.45, -0.75), (0.95, -0.8), (0.9, -0.3), (0.55, 0.05), (0.05, 0.05)]
    hind = [(0.03, 0.05), (0.6, 0.08), (0.75, 0.4), (0.5, 0.8), (0.3, 0.65), (0.05, 0.35)]
    wings = [[(x * generator.uniform(0.85, 1.1), y) for x, y in wing] for wing in (hind, fore)]
    spots = generator.uniform(0.25, 0.9, (5, 2))

    def put(points: list[tuple[float, float]] | np.ndarray, side: float = 1) -> np.ndarray:
        return turned(np.array(points) * (side, 1), turn) * reach + 0.5

    for side in (-1, 1):
        for wing in wings:
            mask, inner = np.zeros((2, size, size), np.uint8)
            outline = spline(wing)
            middle = outline.mean(axis=0)
            fill(mask, put(outline, side), 255)
            fill(inner, put(middle + 0.78 * (outline - middle), side), 255)
            picture = laid(picture, mask, np.array(rim) * np.ones(3))
            shade = 0.75 + 0.5 * clouds(size, generator, 1.4)
            picture = laid(picture, inner, paint * shade[..., None])
            for end in outline[4::6]:
                curve(picture, put([wing[0], end], side), rim, 110)
            for a, b in spots:
                dot = put([middle + a * (outline[int(b * len(outline))] - middle)], side)[0]
                cv2.circle(picture, at(size, *dot), round(0.022 * size), spot, -1, cv2.LINE_AA)
        feeler = put(spline([(0, -0.3), (0.1, -0.6), (0.25, -0.85)], closed=False), side)
        curve(picture, feeler, rim, 80)
    body = np.zeros((size, size), np.uint8)
    fill(body, put(spline([(0, -0.4), (0.07, -0.2), (0.05, 0.5), (0, 0.6), (-0.05, 0.5),
                           (-0.07, -0.2)])), 255)  # fmt: skip
    return photographed(reduced(solid(picture, body, (55, 40, 35), 0.03)), generator)


def palm_beach(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A palm on a beach by day, with surf along the sand."""
    size = FINE * cells.shape[1]
    down, right = grid(size)
    skies = ((70, 150, 225), (120, 190, 235), (235, 150, 120), (150, 160, 190))
    picture = mixed(clouds(size, generator, 1.7) ** 1.5, skies[generator.integers(4)], (245,) * 3)
    horizon = generator.uniform(-0.1, 0.2)
    waves = np.clip((down - horizon) * 1.4 + 0.3 * np.sin(right * 9 + down * 70), 0, 1)
    picture = laid(picture, 255 * (down > horizon), mixed(waves, (15, 85, 140), (70, 200, 200)))
    shore = 0.55 + generator.uniform(-0.3, 0.3) * right + 0.04 * np.sin(7 * right)
    picture = laid(picture, 255 * (down > shore - 0.06), np.full(3, 245.0))
    sand = mixed(clouds(size, generator, 0.8), (200, 170, 120), (250, 230, 185))
    picture = laid(picture, 255 * (down > shore), sand)
    side = generator.choice([-1, 1])
    foot, top = 0.5 + side * generator.uniform(0.1, 0.3), generator.uniform(0.22, 0.42)
    crown = (foot - side * generator.uniform(0.05, 0.25), top)
    trunk = spline([(foot, 0.95), (foot - side * 0.02, 0.65), crown], closed=False)
    for place, wide in zip(trunk, np.linspace(0.035, 0.018, len(trunk)), strict=True):
        cv2.circle(picture, at(size, *place), round(wide * size), (110, 80, 50), -1, cv2.LINE_AA)
        ring = at(size, place[0] - wide, place[1]), at(size, place[0] + wide, place[1])
        cv2.line(picture, *ring, (70, 50, 30), pen(size, 120), cv2.LINE_AA)
    longest = generator.uniform(0.24, 0.42)
    for angle in np.linspace(0, 2 * np.pi, 11)[:-1] + generator.uniform(-0.2, 0.2, 10):
        reach = longest * generator.uniform(0.7, 1)
        green = (np.array((50, 120, 45)) * generator.uniform(0.5, 1.3)).astype(int).tolist()
        for share in np.linspace(0.1, 1, 16):
            rib = np.array(crown) + reach * share * np.array((np.cos(angle), 0.6 * np.sin(angle)))
            rib[1] += 0.14 * share**2
            leaf = rib + np.array((0.03 * np.cos(angle), 0.09 * (1.15 - share)))
            cv2.line(picture, at(size, *rib), at(size, *leaf), green, pen(size, 55), cv2.LINE_AA)
    return photographed(reduced(picture), generator)


def fireworks(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Three to five bursts in a night sky over a town's lit windows."""
    size = FINE * cells.shape[1]
    glow = np.zeros((size, size, 3), np.uint8)
    for _ in range(int(generator.integers(3, 6))):
        x, y = generator.uniform(0.15, 0.85), generator.uniform(0.12, 0.55)
        colour, reach = some_colour(generator, 60), generator.uniform(0.14, 0.3)
        for angle in np.linspace(0, 2 * np.pi, int(generator.integers(18, 32))):
            far = reach * generator.uniform(0.7, 1.1)
            share = np.linspace(0.15, 1, 10)[:, None]
            trail = (x, y) + far * share * (np.cos(angle), np.sin(angle)) + share**2 * (0, 0.05)
            curve(glow, trail, colour, 90)
            cv2.circle(glow, at(size, *trail[-1]), pen(size, 70), (255, 250, 230), -1)
    halo = cv2.GaussianBlur(glow, (0, 0), size / 25).astype(int)
    night = mixed(clouds(size, generator, 2.0), (5, 5, 20), (30, 25, 55))
    picture = np.clip(night + glow + halo, 0, 255).astype(np.uint8)
    left = -0.02
    while left < 1:
        wide, roof = generator.uniform(0.06, 0.16), generator.uniform(0.7, 0.92)
        cv2.rectangle(picture, at(size, left, roof), at(size, left + wide, 1), (12, 12, 18), -1)
        for a in np.arange(left + 0.015, left + wide - 0.015, 0.03):
            for b in np.arange(roof + 0.02, 1, 0.04):
                if generator.random() < 0.4:
                    cv2.rectangle(picture, at(size, a, b), at(size, a + 0.014, b + 0.02),
                                  (250, 215, 120), -1)  # fmt: skip
        left += wide
    return photographed(reduced(picture), generator)


HELD_OUT: dict[str, Draw] = {
    "meme": meme,
    "butterfly": butterfly,
    "ice cream": ice_cream,
    "palm beach": palm_beach,
    "phone chat": phone_chat,
    "wrist watch": wrist_watch,
    "rubber duck": rubber_duck,
    "fireworks": fireworks,
    "chess": chess,
    "stickers": stickers,
    "captioned": captioned,
    "torn": torn,
    "blinds": blinds,
    "jigsaw": jigsaw,
}
