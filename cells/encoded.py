"""Encoded pictures, JPEG, PNG, BMP or TIFF, as RGB pixels; what cannot be read is said why."""

import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cells.errors import ArchiveError
from cells.fitting import Fit

FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
CHUNK = 512  # pictures decoded together: whole views never lie in memory all at once
MOST_NAMED = 5
BITS_PER_SAMPLE = 258  # a tag of TIFF
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError)


def decode(data: bytes) -> np.ndarray:
    """Pixels (h, w, 3) uint8, 0-255, upright as EXIF says.

    Grey and palette become RGB, transparency lies over white. PNG's 16 bits are full range and
    become 8; TIFF's are not, they are refused.
    Raises ValueError, a few words for a list of files, when the picture cannot be used.
    """
    if not data:
        raise ValueError("empty")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            _check(picture)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            return np.asarray(_as_rgb(upright))
    except UnidentifiedImageError:
        raise ValueError(f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    except Image.DecompressionBombError:
        raise ValueError("too many pixels") from None
    except _UnusableError as fault:
        raise ValueError(str(fault)) from None
    except BROKEN as error:
        what = "truncated" if "truncated" in str(error) else f"damaged: {error}"
        raise ValueError(what) from None


class _UnusableError(Exception):
    """A sound picture that must not be guessed at."""


def _check(picture: Image.Image) -> None:
    """Raise _UnusableError for several pictures in one file and for pixels of unknown range."""
    if picture.format == "TIFF":
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise _UnusableError(f"{frames} pictures in one file")
        # a TiffImageFile, as its format says
        bits = picture.tag_v2.get(BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        if max(bits) > 8:
            raise _UnusableError(f"{max(bits)} bits a channel, expected 8")


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        over = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(over, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def decode_all(
    source: str, names: Sequence[str], read: Callable[[int], bytes], fit: Fit
) -> tuple[np.ndarray, Counter[tuple[int, int]]]:
    """Decode and fit pictures 0, 1, … of `names`; read(i) gives the bytes of the i-th.

    source: what they come from, for messages.
    Returns images (n, px, px, 3) uint8 and how many came in which (height, width).
    Raises ArchiveError that names the files which cannot be read, all in one line.
    """
    px = fit.competition.image_px
    images = np.empty((len(names), px, px, 3), np.uint8)
    sizes: Counter[tuple[int, int]] = Counter()
    faults: list[str] = []

    def work(number: int) -> tuple[int, int] | str:
        try:
            image = decode(read(number))
        except ValueError as fault:
            return f"{names[number]} ({fault})"
        images[number] = fit(names[number], image)
        return image.shape[0], image.shape[1]

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF data in a sound picture
        for start in range(0, len(names), CHUNK):
            for result in pool.map(work, range(start, min(start + CHUNK, len(names)))):
                if isinstance(result, str):
                    faults.append(result)
                else:
                    sizes[result] += 1
    if faults:
        shown = ", ".join(faults[:MOST_NAMED])
        more = f" and {len(faults) - MOST_NAMED:,} more" if len(faults) > MOST_NAMED else ""
        raise ArchiveError(
            f"{source}: expected images, cannot use {shown}{more}. Repair or remove them."
        )
    return images, sizes
