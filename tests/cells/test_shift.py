import time

import numpy as np
import pytest

from cells.corruptions import FAMILIES, SEVERITIES
from cells.drawn_cells import draw_cells
from cells.shift import corrupt, shift_images


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(8), 96, np.random.default_rng(0))


def test_a_row_gets_the_same_copy_in_any_order_and_chunk(cells, monkeypatch):
    rows = np.arange(3, 60)
    shifted, family, severity = shift_images(cells, rows, seed=7)
    order = np.random.default_rng(0).permutation(len(rows))
    monkeypatch.setattr("cells.shift.CHUNK", 5)
    again = shift_images(cells, rows[order], seed=7)
    np.testing.assert_array_equal(again[0], shifted[order])
    np.testing.assert_array_equal(again[1], family[order])
    np.testing.assert_array_equal(again[2], severity[order])


def test_another_seed_gives_another_copy(cells):
    rows = np.arange(64)
    assert (shift_images(cells, rows, 0)[1] != shift_images(cells, rows, 1)[1]).any()


def test_families_and_severities_all_occur(cells):
    many = np.concatenate([cells] * 10)
    shifted, family, severity = shift_images(many, np.arange(len(many)), 0)
    assert set(family.tolist()) == set(range(len(FAMILIES)))
    assert set(severity.tolist()) == set(SEVERITIES)
    changed = (shifted != many).any(axis=(1, 2, 3))
    assert changed.mean() > 0.99


def test_the_second_cell_comes_from_the_rows_given(monkeypatch):
    monkeypatch.setattr("cells.shift.SECOND_RATE", 0)
    images = np.zeros((600, 16, 16, 3), np.uint8)
    images[300:] = 255
    shifted, family, _ = shift_images(images, np.arange(300), 0)
    blended = shifted[family == list(FAMILIES).index("blend")]
    assert len(blended) > 5
    assert not blended.any()


def test_a_second_family_follows_only_upon_severity_2_and_more():
    names = list(FAMILIES)
    image = np.full((96, 96, 3), 200, np.uint8)
    milder = 0
    for seed in range(300):
        out, family, severity = corrupt(image, image, np.random.default_rng(seed))
        if names[family] == "gaussian_blur":  # leaves a flat image as it is
            assert severity > 1 or (out == 200).all()
            milder += bool((out != 200).any())
    assert milder > 2


def test_500_images_a_second(cells):
    rows = np.arange(len(cells))
    shift_images(cells, rows, 0)
    started = time.process_time()
    for seed in range(4):
        shift_images(cells, rows, seed)
    seconds = time.process_time() - started
    assert 4 * len(cells) / seconds > 250  # of each of two cores' time, whatever else runs here
