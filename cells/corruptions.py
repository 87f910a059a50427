"""Families of corruption, by name: each takes one image to a worse one.

OpenCV and NumPy underneath, not the training policy's library: what a member learnt to undo is not
what it is measured with. The families in UNSEEN occur in no training policy at all.

A family takes one image (px, px, 3) uint8, a severity 1-5 and a generator, and returns another
such image; lengths are in pixels of a 96 px image and scale with the size.

Whoever changes a family raises VERSION in cells/shift.py: datasets made before are then stale.
"""

from collections.abc import Callable

import cv2
import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)
UNSEEN = ("elastic", "jpeg")

Family = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def apply(
    name: str,
    image: np.ndarray,
    severity: int,
    generator: np.random.Generator,
    other: np.ndarray | None = None,
) -> np.ndarray:
    """Apply one named family. `other` is the cell that `blend` lays over the image."""
    if name == "blend" and other is not None:
        return blend(image, severity, generator, other)
    return FAMILIES[name](image, severity, generator)


# Geometry: what leaves the picture is gone, what enters it is black.


def affine(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Turn, shift and shear, black outside."""
    px = len(image)
    strong = (15, 35, 60, 100, 180)[severity - 1]
    angle = np.deg2rad(_either_sign(generator) * generator.uniform(0.5, 1) * strong)
    shear = _either_sign(generator) * generator.uniform(0.5, 1) * 0.09 * severity
    offset = generator.uniform(-1, 1, 2) * 0.055 * severity * px
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]])
    return _warp(image, matrix, offset)


def zoom(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Shrink with a black border, or enlarge."""
    if generator.random() < 0.6:
        scale = (0.82, 0.7, 0.58, 0.46, 0.36)[severity - 1]
    else:
        scale = (1.2, 1.4, 1.6, 1.8, 2.0)[severity - 1]
    scales = scale * generator.uniform(0.92, 1.08, 2)
    return _warp(image, np.diag(scales), np.zeros(2))


def elastic(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Bend by a smooth random field of displacements."""
    px = len(image)
    reach = (1.2, 2.0, 3.0, 4.0, 5.2)[severity - 1] * px / 96
    coarse = generator.normal(0, reach, (6, 6, 2)).astype(np.float32)
    field = cv2.resize(coarse, (px, px), interpolation=cv2.INTER_CUBIC)
    xs, ys = np.meshgrid(np.arange(px, dtype=np.float32), np.arange(px, dtype=np.float32))
    return cv2.remap(
        image,
        xs + field[..., 0],
        ys + field[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


# Occlusion


def cutout(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Cover rectangles, black or of one random colour."""
    px = len(image)
    out = image.copy()
    colour = np.zeros(3) if generator.random() < 0.5 else generator.integers(0, 256, 3)
    count = int(generator.integers(2, 5))
    area = (0.08, 0.15, 0.23, 0.32, 0.42)[severity - 1] * px * px / count
    for _ in range(count):
        width = min(px, round(np.sqrt(area) * generator.uniform(0.7, 1.4)))
        height = min(px, round(area / max(width, 1)))
        left = int(generator.integers(0, px - width + 1))
        top = int(generator.integers(0, px - height + 1))
        out[top : top + height, left : left + width] = colour
    return out


def grid(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Cover a tilted grid of black squares."""
    px = len(image)
    period = generator.uniform(0.16, 0.36) * px
    covered = np.sqrt((0.12, 0.2, 0.28, 0.37, 0.46)[severity - 1])
    angle = generator.uniform(0, np.pi / 2)
    phase = generator.uniform(0, 1, 2)
    along = np.arange(px, dtype=np.float32)
    xs, ys = along[None, :], along[:, None]
    u = (xs * np.cos(angle) + ys * np.sin(angle)) / period + phase[0]
    v = (ys * np.cos(angle) - xs * np.sin(angle)) / period + phase[1]
    hole = (u % 1 < covered) & (v % 1 < covered)
    return np.where(hole[..., None], np.uint8(0), image)


def blend(
    image: np.ndarray,
    severity: int,
    generator: np.random.Generator,
    other: np.ndarray | None = None,
) -> np.ndarray:
    """Lay another cell over the image, weaker than it; its own mirror image if none is given."""
    weight = (0.12, 0.2, 0.27, 0.33, 0.39)[severity - 1]
    other = image[::-1, ::-1] if other is None else other
    return cv2.addWeighted(image, 1 - weight, np.ascontiguousarray(other), weight, 0)


# Focus and film


def gaussian_blur(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Out of focus."""
    sigma = (0.9, 1.5, 2.2, 3.0, 4.0)[severity - 1] * len(image) / 96
    return cv2.GaussianBlur(image, (0, 0), sigma * generator.uniform(0.9, 1.1))


def motion_blur(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Moved during exposure, in a random direction."""
    length = (5, 8, 12, 16, 21)[severity - 1] * len(image) / 96
    angle = generator.uniform(0, np.pi)
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = (np.rint((half + sign * along) * 16).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def gaussian_noise(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Sensor noise, independent for each pixel and channel."""
    sd = (14, 25, 38, 52, 68)[severity - 1]
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    return _to_pixels(image + sd * noise)


def salt_pepper(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Dead pixels, black or white."""
    rate = (0.03, 0.07, 0.12, 0.19, 0.28)[severity - 1]
    draw = generator.random(image.shape[:2], dtype=np.float32)[..., None]
    salted = np.where(draw < rate / 2, np.uint8(255), image)
    return np.where(draw > 1 - rate / 2, np.uint8(0), salted)


def jpeg(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Stored as a very small JPEG."""
    quality = (25, 15, 9, 6, 3)[severity - 1] + int(generator.integers(0, 2))
    _, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1].copy()


# Light and colour


def brightness(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Lighter or darker by one amount."""
    amount = (30, 55, 80, 105, 130)[severity - 1] * generator.uniform(0.85, 1.1)
    return _to_pixels(image + np.float32(amount * _either_sign(generator)))


def contrast(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Flatter, or harder, about the picture's mean."""
    if generator.random() < 0.5:
        factor = (0.65, 0.5, 0.37, 0.26, 0.17)[severity - 1]
    else:
        factor = (1.5, 2.0, 2.7, 3.6, 5.0)[severity - 1]
    middle = np.float32(image.mean())
    return _to_pixels((image - middle) * np.float32(factor) + middle)


def hue(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Turn the hue, and fade or strengthen the colours."""
    degrees = (15, 35, 65, 105, 160)[severity - 1] * generator.uniform(0.85, 1.1)
    stronger = generator.random() < 0.5
    factor = 1 + 0.22 * severity if stronger else 1 - 0.13 * severity
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (
        hsv[..., 0] + _either_sign(generator) * degrees / 2
    ) % 180  # OpenCV: 180 is a turn
    hsv[..., 1] *= factor
    hsv[..., 0] = np.minimum(np.rint(hsv[..., 0]), 179)
    return cv2.cvtColor(_to_pixels(hsv), cv2.COLOR_HSV2RGB)


def channels(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Shift each colour channel by its own amount; from severity 3 on, perhaps swap them."""
    amounts = (18, 34, 52, 72, 95)[severity - 1] * generator.uniform(0.5, 1.2, 3)
    signs = np.where(generator.random(3) < 0.5, -1, 1)
    order = generator.permutation(3) if severity >= 3 and generator.random() < 0.5 else np.arange(3)
    return _to_pixels(image[..., order] + (signs * amounts).astype(np.float32))


def greyscale(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Take the colour away; at high severity the light as well."""
    amount = (0.5, 0.75, 1.0, 1.0, 1.0)[severity - 1]
    dimmed = (1.0, 1.0, 1.0, 0.75, 0.55)[severity - 1]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return _to_pixels(dimmed * (amount * grey + (1 - amount) * image.astype(np.float32)))


def solarize(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Invert every value at or above a threshold."""
    threshold = (224, 192, 160, 112, 64)[severity - 1]
    return np.where(image >= threshold, 255 - image, image)


def posterize(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Leave a few levels of each channel."""
    levels = (6, 5, 4, 3, 2)[severity - 1]
    table = np.rint(np.rint(np.arange(256) / 255 * (levels - 1)) * 255 / (levels - 1))
    return table.astype(np.uint8)[image]


def fog(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Drifts of white haze."""
    px = len(image)
    density = (0.3, 0.42, 0.54, 0.65, 0.75)[severity - 1]
    haze = sum(
        weight
        * cv2.resize(
            generator.random((n, n), dtype=np.float32), (px, px), interpolation=cv2.INTER_CUBIC
        )
        for n, weight in ((3, 0.6), (7, 0.3), (15, 0.1))
    )
    cover = np.clip(density * (0.6 + 0.8 * haze), 0, 0.95)[..., None]
    return _to_pixels(image * (1 - cover) + 235 * cover)


def vignette(image: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Light from one side: dark away from a random point."""
    px = len(image)
    centre = generator.uniform(0.15, 0.85, 2) * px
    along = np.arange(px, dtype=np.float32)
    squared = (along[None, :] - centre[0]) ** 2 + (along[:, None] - centre[1]) ** 2
    reach = (0.95, 0.72, 0.56, 0.44, 0.35)[severity - 1] * px
    return _to_pixels(image * np.exp(-squared / (2 * reach**2))[..., None])


FAMILIES: dict[str, Family] = {
    "affine": affine,
    "zoom": zoom,
    "elastic": elastic,
    "cutout": cutout,
    "grid": grid,
    "blend": blend,
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "gaussian_noise": gaussian_noise,
    "salt_pepper": salt_pepper,
    "jpeg": jpeg,
    "brightness": brightness,
    "contrast": contrast,
    "hue": hue,
    "channels": channels,
    "greyscale": greyscale,
    "solarize": solarize,
    "posterize": posterize,
    "fog": fog,
    "vignette": vignette,
}


def _warp(image: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Apply a 2x2 matrix about the image's centre, then an offset in pixels; black outside."""
    px = len(image)
    middle = np.full(2, (px - 1) / 2)
    affine_matrix = np.column_stack([matrix, middle - matrix @ middle + offset])
    return cv2.warpAffine(image, affine_matrix, (px, px), flags=cv2.INTER_LINEAR)


def _either_sign(generator: np.random.Generator) -> float:
    return -1.0 if generator.random() < 0.5 else 1.0


def _to_pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
