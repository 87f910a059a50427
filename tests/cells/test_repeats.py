import numpy as np
import pytest

from cells.drawn_cells import draw_cells
from cells.joke_pictures import house, street_map
from cells.layout import fit_layout, thumbnails
from cells.near_copies import ALIKE_OUTLINES
from cells.planted import blended, cropped
from cells.repeats import find_repeats, part_likeness


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(20), 96, np.random.default_rng(5))


def found(images, joke=(), strange=()):
    rows = np.arange(len(images))
    thumbs = thumbnails(images)
    layout = fit_layout(thumbs, rows < 160)
    known, odd = np.isin(rows, joke), np.isin(rows, strange)
    return find_repeats(images, layout, layout.points(thumbs), known, odd)


def test_cells_alone_repeat_nothing(cells):
    repeats = found(cells)
    assert not repeats.joke.any()
    assert (repeats.like == -1).all()


@pytest.mark.parametrize("draw", [house, street_map])
def test_five_blends_over_different_cells_are_a_joke(cells, rng, draw):
    joke = draw(cells, rng)
    blends = np.stack([blended(joke, cells[row], rng) for row in (0, 30, 70, 110, 150)])
    repeats = found(np.concatenate([cells, blends]))
    assert np.flatnonzero(repeats.joke).tolist() == [160, 161, 162, 163, 164]
    assert (repeats.like[160:] >= 160).all()


def test_a_part_of_a_joke_is_found_and_named(cells, rng):
    joke = street_map(cells, rng)
    parts = np.stack([cropped(joke, joke, rng) for _ in range(4)])
    images = np.concatenate([cells, joke[None], parts])
    repeats = found(images, joke=(160,))
    assert np.flatnonzero(repeats.joke).tolist() == [160, 161, 162, 163, 164]
    assert repeats.like[161:].tolist() == [160] * 4
    assert repeats.part.sum() >= 3  # one that is nearly the whole may resemble it as it is


def test_part_likeness_fits_place_and_size(cells, rng):
    joke = house(cells, rng)
    assert part_likeness(cropped(joke, joke, rng), joke) >= ALIKE_OUTLINES
    assert part_likeness(cells[3], joke) < 0.7
    assert part_likeness(cropped(cells[3], joke, rng), cells[50]) < 0.7
