import cv2
import numpy as np
import pytest

from cells.contact_sheet import contact_sheet

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 100, 0], [0, 90, 200]], np.uint8)


def squares(px=120):
    return np.broadcast_to(COLOURS[:, None, None], (5, px, px, 3)).copy()


def read(path):
    return cv2.imread(str(path))[..., ::-1]


def area(sheet, colour):
    """Pixels of exactly that colour, and their mean position (y, x)."""
    found = np.argwhere((sheet == colour).all(axis=2))
    return len(found), found.mean(axis=0)


def test_every_image_is_there_in_reading_order(tmp_path):
    contact_sheet(tmp_path / "sheet.png", squares(), list("abcde"), columns=3, heading="Five")
    sheet = read(tmp_path / "sheet.png")
    pixels, places = zip(*(area(sheet, colour) for colour in COLOURS), strict=True)
    assert all(0.99 * 120**2 <= count <= 120**2 for count in pixels)
    rows, columns = np.array(places).T
    assert rows[0] == rows[1] == rows[2] < rows[3] == rows[4]
    assert columns[0] == columns[3] < columns[1] == columns[4] < columns[2]


def test_small_images_are_enlarged(tmp_path):
    contact_sheet(tmp_path / "sheet.png", squares(16), columns=5)
    assert area(read(tmp_path / "sheet.png"), COLOURS[0])[0] == 120**2


def test_text_is_written_and_makes_room(tmp_path):
    contact_sheet(tmp_path / "bare.png", squares(), columns=5)
    contact_sheet(
        tmp_path / "full.png",
        squares(),
        ["a title that is far wider than its image"] + ["b\nc"] * 4,
        5,
        "Heading",
        ["row"],
        list("vwxyz"),
    )
    bare, full = read(tmp_path / "bare.png"), read(tmp_path / "full.png")
    assert full.shape[0] > bare.shape[0] + 60
    assert full.shape[1] > bare.shape[1] + 4 * 150
    assert (bare.min(axis=2) < 100).sum() == 5 * 120**2
    assert (full.min(axis=2) < 100).sum() > 5 * 120**2 + 500
    assert (full[:, :5] == 255).all()
    assert (full[:, -5:] == 255).all()


def test_an_empty_sheet_still_says_so(tmp_path):
    contact_sheet(tmp_path / "sheet.png", squares()[:0], [], heading="0 rows dropped")
    assert (read(tmp_path / "sheet.png") < 100).any()


def test_titles_must_match(tmp_path):
    with pytest.raises(ValueError, match="titles: expected 5, one an image, got 4"):
        contact_sheet(tmp_path / "sheet.png", squares(), list("abcd"))
