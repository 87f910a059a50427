"""The kinds of pictures that are planted, and how many of them cleaning finds."""

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from cells.clean import clean
from cells.dataset import JOKE, KEPT, OUTLIER
from cells.drawn_cells import draw_cells
from cells.held_out_pictures import HELD_OUT
from cells.joke_pictures import DEVELOPMENT
from cells.joke_scenes import SCENES
from cells.planted import (
    CELL,
    CHANGES,
    STRANGER,
    Planted,
    blended,
    brightened,
    cropped,
    drawn_sample,
    noisy,
    plant,
    re_encoded,
    recall,
    table,
)


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(3), 96, np.random.default_rng(1))


@pytest.mark.parametrize("pictures", [DEVELOPMENT, HELD_OUT], ids=["development", "held out"])
def test_every_picture_is_drawn_anew_for_each_seed(cells, pictures):
    for draw in pictures.values():
        one, same, other = (draw(cells, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert one.shape == (96, 96, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, same)
        assert (one != other).mean() > 0.01


@pytest.mark.parametrize("px", [32, 64])
def test_pictures_are_drawn_at_the_size_of_the_cells(px):
    cells = draw_cells(np.arange(8), px, np.random.default_rng(1))
    for draw in HELD_OUT.values():
        assert draw(cells, np.random.default_rng(2)).shape == (px, px, 3)


def test_the_two_families_share_no_picture():
    assert not set(DEVELOPMENT) & set(HELD_OUT)
    assert not set(DEVELOPMENT.values()) & set(HELD_OUT.values())
    assert len(HELD_OUT) == 14
    assert len(DEVELOPMENT) == 36
    assert SCENES.items() <= DEVELOPMENT.items()  # measured with once, a limit may be set on them


def test_each_change_does_what_it_says(cells, rng):
    joke, cell = DEVELOPMENT["smiley"](cells, rng), cells[3]
    off = re_encoded(joke, cell, rng).astype(int) - joke
    assert 0 < np.abs(off).mean() < 12
    assert 3 < (noisy(np.full_like(joke, 128), cell, rng).astype(int) - 128).std() < 32
    lighter = brightened(np.full_like(joke, 100), cell, rng)
    assert len(np.unique(lighter)) == 1
    assert lighter[0, 0, 0] != 100
    half = blended(np.full_like(joke, 100), np.full_like(cell, 51), rng)
    assert set(half.ravel()) == {76}  # 75.5, rounded to even
    ramp = np.arange(96, dtype=np.uint8)[None, :, None].repeat(96, 0).repeat(3, 2)
    spread = np.ptp(cropped(ramp, cell, rng)) + 1
    assert 0.58 * 96 <= spread <= 0.94 * 96


def test_planting_says_what_stands_where(cells):
    labels = np.arange(8).repeat(3)
    planted = plant(cells, labels, 30, DEVELOPMENT, np.random.default_rng(0), jokes=2)
    assert len(planted.images) == len(planted.labels) == 54
    assert {kind: int((planted.kind == kind).sum()) for kind in (*CHANGES, STRANGER, CELL)} == {
        "re-encoded": 5, "noisy": 5, "brightened": 5, "cropped": 5, "blended": 5,
        "stranger": 5, "cell": 24,
    }  # fmt: skip
    for name in set(planted.picture[np.isin(planted.kind, list(CHANGES))]):
        of_joke = (planted.picture == name) & (planted.kind != STRANGER)
        assert len(set(planted.labels[of_joke])) == 1  # a joke stands under one label only
        assert name not in planted.picture[planted.kind == STRANGER]
    # Of 24 cells, one may lie under the same joke twice: blends are left out.
    assert len({image.tobytes() for image in planted.images[planted.kind != "blended"]}) == 49


def test_recall_by_hand():
    kinds = np.array([CELL, CELL, "noisy", "noisy", STRANGER, STRANGER])
    planted = Planted(np.zeros((6, 1, 1, 3), np.uint8), np.zeros(6, int), kinds, kinds)
    counts = recall(planted, np.array([KEPT, OUTLIER, JOKE, KEPT, OUTLIER, JOKE]))
    assert counts[CELL] == (2, 1, 0)
    assert counts["noisy"] == (2, 1, 1)
    assert counts[STRANGER] == (2, 2, 1)
    assert counts["blended"] == (0, 0, 0)


LEAST = {"re-encoded": 0.99, "noisy": 0.99, "brightened": 0.99, "cropped": 0.95, "blended": 0.9}


def test_held_out_pictures_are_found_among_drawn_cells():
    rng = np.random.default_rng(11)
    sample = drawn_sample(600, 96, rng)
    planted = plant(sample.images, sample.labels, 60, HELD_OUT, rng, jokes=2)
    counts = recall(planted, clean(planted.images, planted.labels, deep=True).dropped)
    shares = {kind: gone / rows for kind, (rows, gone, _) in counts.items()}
    assert shares[CELL] <= 0.003
    assert {kind: share for kind, share in shares.items() if share < LEAST.get(kind, 0)} == {}
    assert shares[STRANGER] >= 0.9


def test_the_table_is_printed():
    app = Typer()
    app.command()(table)
    result = CliRunner().invoke(app, ["--cells", "400", "--count", "12", "--no-deep"])
    assert result.exit_code == 0, result.output
    assert "drawn cells, seed 0" in result.output
    assert "re-encoded" in result.output
