import numpy as np
import pytest

from cells import near_copies
from cells.clean import clean
from cells.dataset import COPY, JOKE, KEPT
from cells.drawn_cells import draw_cells
from cells.joke_pictures import house, julia_set
from cells.near_copies import TIMES, hash_pairs, outlines
from cells.planted import brightened, noisy, re_encoded

NONE = np.empty((0, 2), np.int64)


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(12), 96, np.random.default_rng(3))


def changed(picture, change, times):
    rng = np.random.default_rng(4)
    return np.stack([change(picture, picture, rng) for _ in range(times)])


@pytest.mark.parametrize("change", [re_encoded, noisy, brightened])
def test_a_picture_changed_five_times_is_a_joke(cells, rng, change):
    images = np.concatenate([cells, changed(house(cells, rng), change, TIMES)])
    found = clean(images, np.zeros(len(images), int))  # under one label only
    assert found.dropped.tolist() == [KEPT] * 96 + [JOKE] * TIMES
    assert found.doubt.tolist() == [0] * 96 + [1] * TIMES
    assert found.why[-1] == "a picture that comes again and again, changed a little"
    assert set(found.why[:96]) == {""}


def test_exact_copies_count_too(cells, rng):
    joke = noisy(house(cells, rng), cells[0], rng)
    images = np.concatenate([cells, joke[None], joke[None], changed(joke, noisy, 3)])
    assert (clean(images, np.zeros(101, int)).dropped[96:] == JOKE).all()
    assert (clean(images[:-1], np.zeros(100, int)).dropped[96:] == [KEPT, COPY, KEPT, KEPT]).all()


def repeated(images):
    return near_copies.repeated(images, NONE, np.ones(len(images), int))


def test_four_near_copies_may_be_a_cell_seen_again(cells):
    images = np.concatenate([cells, changed(cells[0], noisy, TIMES - 2)])
    assert not repeated(images).any()
    images = np.concatenate([cells, changed(cells[0], noisy, TIMES - 1)])
    assert np.flatnonzero(repeated(images)).tolist() == [0, 96, 97, 98, 99]


def test_two_jokes_are_found_beside_each_other(cells, rng):
    house_, fractal = house(cells, rng), julia_set(cells, rng)
    images = np.concatenate([cells, changed(house_, noisy, 6), changed(fractal, brightened, 6)])
    assert np.flatnonzero(repeated(images)).tolist() == list(range(96, 108))


def test_an_archive_enlarged_by_its_makers_is_no_joke(cells):
    """Each cell in eight versions: then only what comes far more often is one."""
    enlarged = np.concatenate([changed(cell, noisy, 8) for cell in cells[:12]])
    assert not repeated(enlarged).any()
    with_joke = np.concatenate([enlarged, changed(cells[40], noisy, 33)])
    assert np.flatnonzero(repeated(with_joke)).tolist() == list(range(96, 129))


def test_turned_copies_count_when_they_are_known(cells):
    turned = [np.rot90(cells[5], turns) for turns in range(1, 4)] + [cells[5][:, ::-1]]
    images = np.concatenate([cells, turned])
    assert (clean(images, np.zeros(100, int)).dropped[[5, 96, 97, 98, 99]] == JOKE).all()


def test_outlines_see_neither_noise_nor_light(cells, rng):
    cell = cells[30]
    light = np.clip(cell * 0.8 + np.linspace(0, 40, 96)[:, None], 0, 255).astype(np.uint8)
    assert float(outlines(cell) @ outlines(light)) > 0.95
    assert float(outlines(cell) @ outlines(noisy(cell, cell, rng))) > 0.9
    assert float(outlines(cell) @ outlines(cells[31])) < 0.5
    assert not outlines(np.full((96, 96, 3), 7, np.uint8)).any()


def test_cells_are_no_pairs(cells):
    assert hash_pairs(cells).shape == (0, 2)
    assert hash_pairs(cells[:0]).shape == (0, 2)
