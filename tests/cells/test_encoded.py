from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cells.competition import Competition
from cells.encoded import decode, decode_all
from cells.errors import ArchiveError
from cells.fitting import Fit

RED, WHITE, GREY = (255, 0, 0), (255, 255, 255), (100, 100, 100)
TWO = Competition(name="two", title="", classes=("a", "b"), image_px=16)


def encoded(pixels, kind="PNG", mode=None, **options):
    picture = Image.fromarray(np.asarray(pixels, np.uint8)) if mode is None else pixels
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def stripes(height=16, width=24):
    """Left half red, right half white."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[:, : width // 2] = RED
    return pixels


def fault(data):
    with pytest.raises(ValueError, match=r".") as caught:
        decode(data)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind):
    got = decode(encoded(stripes(), kind))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, stripes())


def test_jpeg():
    got = decode(encoded(stripes(), "JPEG", quality=95, subsampling=0))
    assert np.abs(got.astype(int) - stripes()).max() < 12


def test_exif_says_which_way_is_up():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn a quarter to the right
    got = decode(encoded(stripes(), "JPEG", exif=exif, quality=95, subsampling=0))
    assert got.shape == (24, 16, 3)
    assert np.abs(got[0].astype(int) - RED).max() < 12
    assert np.abs(got[-1].astype(int) - WHITE).max() < 12


def test_grey_becomes_three_equal_channels():
    got = decode(encoded(np.full((8, 8), 100)))
    assert (got == GREY).all()
    assert got.shape == (8, 8, 3)


def test_sixteen_bits_of_png_are_full_range():
    grey = Image.fromarray(np.full((8, 8), 100 * 257, np.uint16))
    assert (decode(encoded(grey, mode="as it is")) == GREY).all()


def test_a_palette_is_looked_up():
    assert (decode(encoded(Image.fromarray(stripes()).quantize(2), mode="P")) == stripes()).all()


def test_transparency_lies_over_white():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (*RED, 255)
    pixels[4:6] = (0, 0, 0, 0)
    pixels[6:] = (0, 0, 0, 51)
    got = decode(encoded(pixels))
    assert (got[:4] == RED).all()
    assert (got[4:6] == WHITE).all()
    assert (got[6:] == 204).all()


def test_a_transparent_palette_lies_over_white():
    picture = Image.fromarray(stripes()).quantize(2)
    red = picture.getpixel((0, 0))
    got = decode(encoded(picture, mode="P", transparency=red))
    assert (got == WHITE).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32])
def test_tiff_of_unknown_range_is_refused(dtype):
    data = encoded(Image.fromarray(np.full((8, 8), 4000, dtype)), "TIFF", mode="as it is")
    assert fault(data) == f"{np.dtype(dtype).itemsize * 8} bits a channel, expected 8"


def test_several_pictures_in_one_file():
    first, second = Image.fromarray(stripes()), Image.fromarray(stripes())
    data = encoded(first, "TIFF", mode="RGB", save_all=True, append_images=[second])
    assert fault(data) == "2 pictures in one file"


def test_what_is_no_picture():
    assert fault(b"") == "empty"
    assert fault(b"hello") == "no JPEG, PNG, BMP or TIFF"
    assert fault(encoded(stripes(), "GIF")) == "no JPEG, PNG, BMP or TIFF"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_truncated(kind):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3)), kind)
    assert fault(data[: len(data) // 2]) == "truncated"


def test_damaged():
    data = bytearray(encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3))))
    data[len(data) // 2] ^= 255
    assert fault(bytes(data)).startswith("damaged: ")


def test_all_that_cannot_be_read_is_named_in_one_line():
    pictures = [encoded(stripes(16, 16))] * 3 + [b"", *[b"text"] * 5]
    names = [f"{number}.png" for number in range(9)]
    with pytest.raises(ArchiveError) as caught:
        decode_all("cells", names, pictures.__getitem__, Fit(TWO))
    assert str(caught.value) == (
        "cells: expected images, cannot use 3.png (empty), 4.png (no JPEG, PNG, BMP or TIFF), "
        "5.png (no JPEG, PNG, BMP or TIFF), 6.png (no JPEG, PNG, BMP or TIFF), 7.png (no JPEG, "
        "PNG, BMP or TIFF) and 1 more. Repair or remove them."
    )


def test_order_is_kept_and_sizes_are_counted(monkeypatch):
    monkeypatch.setattr("cells.encoded.CHUNK", 4)  # several rounds
    pictures = [encoded(np.full((16, 16, 3), number)) for number in range(10)]
    images, sizes = decode_all("cells", [""] * 10, pictures.__getitem__, Fit(TWO))
    assert images[:, 0, 0, 0].tolist() == list(range(10))
    assert sizes == {(16, 16): 10}
