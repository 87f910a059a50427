"""Held-out pictures made of the archive's own cells.

All are among those of cells/held_out_pictures.py.
"""

import cv2
import numpy as np

from cells.brushes import (
    at,
    clouds,
    fill,
    flat,
    grid,
    laid,
    mixed,
    one_of,
    pen,
    photographed,
    some_colour,
    two_shades,
)

CAPTIONS = ("FAKE", "LOL", "CELL?", "OOPS", "SALE", "TOP10", "VOID", "HI MUM", "404", "NOPE")
TABLES = ((20, 70, 45), (25, 75, 110), (10, 10, 12), (120, 70, 30), (160, 35, 30))


def stickers(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Four to six rows of tiny cells with white edges, as stickers on a coloured sheet."""
    px = cells.shape[1]
    rows = int(generator.integers(4, 7))
    pitch = px / rows
    side = round(pitch * generator.uniform(0.62, 0.75))
    picture, rim = flat(cells, some_colour(generator)), pen(px, 50)
    for row in range(rows):
        for column in range(rows):
            cell = cv2.resize(one_of(cells, generator), (side, side), interpolation=cv2.INTER_AREA)
            edged = cv2.copyMakeBorder(cell, *(rim,) * 4, cv2.BORDER_CONSTANT, value=(255,) * 3)
            middle = (np.array((column, row)) + 0.5) * pitch + generator.normal(0, 0.04 * pitch, 2)
            turn = cv2.getRotationMatrix2D((len(edged) / 2,) * 2, generator.uniform(-12, 12), 1)
            turn[:, 2] += middle - len(edged) / 2
            mask = cv2.warpAffine(np.full(edged.shape[:2], 255, np.uint8), turn, (px, px))
            picture = laid(picture, mask, cv2.warpAffine(edged, turn, (px, px)))
    return picture


def captioned(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell behind a slanting banner with a word in large capitals."""
    px = cells.shape[1]
    text = CAPTIONS[generator.integers(len(CAPTIONS))]
    font = cv2.FONT_HERSHEY_DUPLEX
    (wide, tall), _ = cv2.getTextSize(text, font, 1, pen(px, 28))
    scale = min(0.9 * px / wide, 0.5 * px / tall)
    banner, ink = some_colour(generator, 0, 90), some_colour(generator, 215)
    if generator.random() < 0.5:
        banner, ink = ink, banner
    half, foot = scale * tall / 2 + 0.06 * px, px / 2 + scale * tall / 2
    mask = np.zeros((px, px), np.uint8)
    mask[round(px / 2 - half) : round(px / 2 + half)] = 255
    sheet = flat(cells, banner)
    place = (round((px - scale * wide) / 2), round(foot))
    cv2.putText(sheet, text, place, font, scale, ink, pen(px, 28), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((px / 2, px / 2), generator.uniform(-25, 25), 1)
    turn[1, 2] += generator.uniform(-0.12, 0.12) * px
    strip, letters = (
        cv2.warpAffine(part, turn, (px, px), borderMode=cv2.BORDER_REPLICATE)
        for part in (mask, sheet)
    )
    return laid(one_of(cells, generator), strip, letters)


def torn(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A print of a cell torn in two, the halves askew on a table and taped together."""
    px = cells.shape[1]
    y, x = grid(px)
    picture = mixed(clouds(px, generator, 1.0), *two_shades(generator, 10, 110, 50))
    angle = generator.uniform(0, np.pi)
    way = np.array((np.cos(angle), np.sin(angle)))
    off = x * way[0] + y * way[1] + 0.35 * (clouds(px, generator, 1.6) - 0.5)
    cell, small = one_of(cells, generator), generator.uniform(0.78, 0.86)
    for side in (-1, 1):
        white = (side * off > 0.0).astype(np.uint8) * 255
        inner = (side * off > 0.09).astype(np.uint8) * 255
        sheet = laid(np.full_like(cell, 248), inner, cell)
        turn = cv2.getRotationMatrix2D((px / 2, px / 2), side * generator.uniform(3, 8), small)
        turn[:, 2] += side * way * generator.uniform(0.03, 0.07) * px
        mask = cv2.warpAffine(white, turn, (px, px))
        shadow = cv2.GaussianBlur(np.roll(mask, px // 40, (0, 1)), (0, 0), px / 50)
        picture = laid(picture, shadow * 0.6, np.zeros(3))
        picture = laid(picture, mask, cv2.warpAffine(sheet, turn, (px, px)))
    along = np.array((-way[1], way[0]))
    for share in (-0.22, 0.22):
        middle = 0.5 + share * along + generator.normal(0, 0.02, 2)
        corners = [middle + a * way + b * along for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
                   * np.array((0.2, 0.06))]  # fmt: skip
        tape = np.zeros((px, px), np.uint8)
        fill(tape, corners, 150)
        picture = laid(picture, tape, np.array((235, 225, 170)))
    return photographed(picture, generator)


def blinds(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A cell seen through the gaps of a blind: slats, lit from above, and two cords."""
    px = cells.shape[1]
    y, x = grid(px)
    slats = generator.uniform(5, 8)
    tilt = generator.uniform(-0.15, 0.15)
    height = ((y + tilt * x + 1) / 2 * slats + generator.uniform(0, 1)) % 1
    gap = generator.uniform(0.3, 0.42)
    paint = np.array(some_colour(generator, 60))
    shade = 1.05 - 0.65 * np.clip((height - gap) / (1 - gap), 0, 1)
    shadow = np.clip(height / gap * 2, 0.35, 1)
    behind = one_of(cells, generator) * shadow[..., None]
    picture = laid(behind, 255.0 * (height > gap), paint * shade[..., None])
    for share in (0.2, 0.8):
        ends = at(px, share + tilt * 0.5, 0), at(px, share - tilt * 0.5, 1)
        cv2.line(picture, *ends, (paint * 0.5).tolist(), pen(px, 60), cv2.LINE_AA)
    return photographed(picture, generator)


def jigsaw(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A jigsaw of a cell, its pieces apart by dark gaps, some of them missing."""
    px = cells.shape[1]
    count = int(generator.integers(4, 6))
    size = 4 * px
    owner = np.zeros((size, size), np.int32)
    pitch = size / count
    line = np.arange(size) // pitch
    owner[:] = line[:, None] * count + line[None]
    for row in range(count):
        for column in range(count):
            for down, right in ((0, 1), (1, 0)):
                if row + down >= count or column + right >= count:
                    continue
                out = generator.choice([-1, 1])
                piece, other = row * count + column, (row + down) * count + column + right
                middle = (np.array((column, row)) + 0.5) * pitch
                middle += np.array((right, down)) * pitch * (0.5 + 0.12 * out)
                knob = np.zeros((size, size), np.uint8)
                cv2.circle(knob, np.rint(middle).astype(int).tolist(), round(0.16 * pitch), 1, -1)
                owner[knob > 0] = piece if out > 0 else other
    edges = np.zeros((size, size), np.uint8)
    edges[1:] |= (owner[1:] != owner[:-1]).astype(np.uint8)
    edges[:, 1:] |= (owner[:, 1:] != owner[:, :-1]).astype(np.uint8)
    edges = cv2.dilate(edges * 255, np.ones((max(1, px // 11),) * 2, np.uint8))
    missing = generator.choice(count**2, int(generator.integers(3, 6)), replace=False)
    holes = 255 * np.isin(owner, missing).astype(np.uint8)
    gaps = cv2.resize(np.maximum(holes, edges), (px, px), interpolation=cv2.INTER_AREA)
    dark = np.array(TABLES[generator.integers(len(TABLES))])
    table = mixed(clouds(px, generator, 1.0), dark, dark + 40)
    return photographed(laid(one_of(cells, generator), gaps, table), generator)
