"""Every way of spoiling a cell makes a picture of its own, of the same size, and none is a cell."""

import numpy as np
import pytest

from cells.drawn_cells import draw_cells
from cells.spoilt import FIGURES, WAYS, spoil


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(16) % 8, 48, np.random.default_rng(5))


@pytest.mark.parametrize("way", sorted(set(WAYS), key=lambda way: way.__name__))
def test_a_way_leaves_no_cell_as_it_was(way, cells):
    rng = np.random.default_rng(1)
    for cell in cells:
        picture = np.asarray(way(cell, cells, rng), float)
        assert picture.shape == (48, 48, 3)
        assert np.isfinite(picture).all()
        assert np.abs(picture - cell).mean() > 1


@pytest.mark.parametrize("draw", FIGURES)
def test_a_figure_is_of_the_given_colour(draw, cells):
    drawn = np.zeros((20, 48, 48, 3), np.uint8)
    rng = np.random.default_rng(3)
    for picture in drawn:
        draw(picture, [200, 100, 50], rng)
    assert (drawn == (200, 100, 50)).all(axis=3).any(axis=(1, 2)).sum() >= 10  # others lie outside


def test_spoilt_pictures_are_repeatable_and_differ(cells):
    first = spoil(cells, 220, np.random.default_rng(4))
    assert first.shape == (220, 48, 48, 3)
    assert first.dtype == np.uint8
    assert (first == spoil(cells, 220, np.random.default_rng(4))).all()
    assert len(np.unique(first.reshape(220, -1), axis=0)) > 210
    assert (first.std(axis=(1, 2)).max(axis=1) > 1).mean() > 0.9  # hardly any of one colour
