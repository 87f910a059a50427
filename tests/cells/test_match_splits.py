import numpy as np
from PIL import Image

from cells.drawn_cells import draw_cells
from cells.match_splits import THUMB_PX, match_splits


def small(images, kind):
    return np.stack([np.asarray(Image.fromarray(i).resize((THUMB_PX,) * 2, kind)) for i in images])


CELLS = draw_cells(np.full(60, 3), 96, np.random.default_rng(0))
KNOWN = small(CELLS[:50], Image.Resampling.BOX)


def test_each_picture_finds_itself_made_small_by_another_filter():
    splits, likeness = match_splits(
        small(CELLS, Image.Resampling.BICUBIC),
        {"train": KNOWN[:30], "val": KNOWN[30:35], "test": KNOWN[35:]},
    )
    assert splits == ["train"] * 30 + ["val"] * 5 + ["test"] * 15 + [None] * 10
    assert likeness[:50].min() > 0.99 > likeness[50:].max()


def test_a_pixel_off_is_still_the_same():
    off = small(np.roll(CELLS[:50], 1, axis=(1, 2)), Image.Resampling.BICUBIC)
    assert match_splits(off, {"train": KNOWN})[0] == ["train"] * 50


def test_a_picture_of_two_splits_counts_for_the_first():
    splits, _ = match_splits(KNOWN[:2], {"train": KNOWN[1:2], "test": KNOWN[:2]})
    assert splits == ["test", "train"]


def test_flat_pictures_are_like_nothing():
    flat = np.full((2, THUMB_PX, THUMB_PX, 3), 200, np.uint8)
    splits, likeness = match_splits(flat, {"train": KNOWN})
    assert splits == [None, None]
    assert not likeness.any()
