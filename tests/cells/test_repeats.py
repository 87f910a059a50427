import cv2
import numpy as np
import pytest

from cells.drawn_cells import draw_cells
from cells.joke_borrowed import kaleidoscope
from cells.joke_pictures import house, street_map
from cells.layout import fit_layout, thumbnails
from cells.near_copies import ALIKE_OUTLINES
from cells.planted import blended, cropped
from cells.repeats import (
    SAME_DETAIL,
    _with_shared_detail,
    details,
    find_repeats,
    part_likeness,
)


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(20), 96, np.random.default_rng(5))


def found(images, joke=(), sure=()):
    rows = np.arange(len(images))
    thumbs = thumbnails(images)
    layout = fit_layout(thumbs, rows < 160)
    return find_repeats(
        images, layout, layout.points(thumbs), np.isin(rows, joke), np.isin(rows, sure)
    )


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


def test_copies_too_noisy_to_be_alike_are_told_by_the_detail_they_share(cells):
    rng = np.random.default_rng(3)
    joke = kaleidoscope(cells, rng)
    clear = np.stack([noisy_by(joke, 4, rng) for _ in range(5)])
    blurred = np.stack([noisy_by(joke, 60, rng) for _ in range(2)])
    repeats = found(np.concatenate([cells, clear, blurred]))
    assert np.flatnonzero(repeats.joke).tolist() == list(range(160, 167))
    assert (repeats.like[165:] >= 160).all()
    assert (repeats.likeness[165:] < SAME_DETAIL).all()  # pair by pair they would be missed


def test_shared_detail_needs_several_witnesses_unless_the_joke_is_sure(cells, rng):
    fine = details(np.stack([street_map(cells, rng), *cells]))
    rows = np.arange(161)
    alone = rows == 0
    assert not list(_with_shared_detail(fine, alone, sure=rows < 0))
    assert [row for row, _ in _with_shared_detail(fine, alone, sure=alone)] == [0]


def test_the_cells_beneath_blends_are_no_parts_of_them(cells, rng):
    soft = cv2.GaussianBlur(cells[72], (0, 0), 8)  # lies like a cell, has no detail of its own
    beneath = (70, 71, 72, 73, 74)
    blends = np.stack([blended(soft, cells[row], rng) for row in beneath])
    repeats = found(np.concatenate([cells, blends]), joke=(160, 161, 162, 163, 164))
    assert np.flatnonzero(repeats.joke).tolist() == [160, 161, 162, 163, 164]


def noisy_by(image, sd, rng):
    return np.clip(image + rng.normal(0, sd, image.shape), 0, 255).astype(np.uint8)
