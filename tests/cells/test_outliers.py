"""On drawn cells with strangers among them: what is strange, and that few strangers hide nobody."""

import re

import numpy as np
import pytest

from cells.clean import LEAST_DEEP, clean
from cells.dataset import KEPT, OUTLIER
from cells.drawn_cells import draw_cells
from cells.layout import fit_layout, robust_sd, thumbnails
from cells.outliers import (
    COLOUR,
    LAYOUT,
    MAIN_LAYOUT,
    TINT,
    limit,
    rare_colours,
    robust_z,
    strangeness,
    unusual_tint,
)


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.random.default_rng(2).integers(8, size=400), 48, np.random.default_rng(2))


@pytest.fixture(scope="module")
def strangers(cells):
    """A negative, grey noise, a plain picture, a checkerboard of two of a cell's colours."""
    rng = np.random.default_rng(8)
    board = np.indices((48, 48)).sum(axis=0) // 6 % 2
    return np.stack(
        [
            255 - cells[7],
            rng.integers(0, 256, (48, 48, 1), dtype=np.uint8).repeat(3, axis=2),
            np.full((48, 48, 3), (40, 160, 90), np.uint8),
            np.array([cells[0, 24, 24], cells[0, 2, 2]])[board],
        ]
    )


def test_without_deep_single_strangers_stay(cells, strangers):
    found = clean(np.concatenate([cells, strangers]), np.zeros(404, int))
    assert (found.dropped == KEPT).all()
    assert not found.doubt.any()


def test_the_limit_by_hand():
    # Of 1,000 rows two are expected beyond 7, one beyond 8; eight times as many must be there.
    calm = np.full(1000, 2.0)
    assert limit(np.r_[calm[:984], np.full(16, 7.0)]) == 7
    assert limit(np.r_[calm[:985], np.full(15, 7.0)]) == pytest.approx(11)
    assert limit(np.r_[calm[:992], np.full(8, 8.0)]) == 8
    assert limit(np.r_[calm[:999], 11.1]) == pytest.approx(11.1)
    assert limit(np.r_[calm[:999], 10.9]) == pytest.approx(11)  # one alone must lie farther out


def test_other_colours_count_as_tint_and_as_rare_and_a_cell_in_the_corners_as_layout(cells):
    recoloured, moved = cells[:4][..., (2, 0, 1)], np.roll(cells[:4], (24, 24), (1, 2))
    found = strangeness(np.concatenate([cells, recoloured, moved]), np.ones(408, bool))
    for name in (TINT, COLOUR):
        brought = found.parts[:, found.names.index(name)]
        assert brought[400:404].min() > max(2, np.quantile(brought[:400], 0.99))
    for name in (LAYOUT, MAIN_LAYOUT):
        brought = found.parts[:, found.names.index(name)]
        assert brought[404:].mean() > max(2, np.quantile(brought[:400], 0.99))
    assert found.score[400:].min() > np.quantile(found.score[:400], 0.9)


@pytest.mark.parametrize(("least", "taught"), [(404, True), (405, False)])
def test_the_network_is_asked_where_there_are_pictures_enough(cells, monkeypatch, least, taught):
    odd = np.arange(404) == 9

    def spoiltness(images, trusted):
        assert trusted.shape == (404,)
        return np.where(odd, 1000, np.arange(404) % 7).astype(np.float32)

    monkeypatch.setattr("cells.outliers.spoiltness", spoiltness)
    monkeypatch.setattr("cells.clean.LEAST_FOR_NETWORK", least)
    images = np.concatenate([cells, cells[:4, ::-1]])
    found = clean(images, np.zeros(404, int), deep=True)
    assert (found.dropped[9] == OUTLIER) == taught
    assert found.why[9].endswith("most by its shape") == taught


def test_every_row_in_doubt_has_a_reason_in_plain_words(cells, strangers):
    found = clean(np.concatenate([cells, strangers[:3]]), np.zeros(403, int), deep=True)
    assert (found.doubt > 0).all()
    form = re.compile(r"(.+) cell: \d+\.\d sd from any kind of cell here, most by ([a-z, ]+)")
    words, by = zip(*(form.fullmatch(each).groups() for each in found.why), strict=True)
    least = {"no": 0.5, "an odd": 0.1, "a slightly odd": 0}
    for row in range(403):
        assert words[row] == next(word for word in least if found.doubt[row] >= least[word])
    assert words[400:] == ("no",) * 3
    assert len(set(by)) > 15  # of 22: cells are odd by one thing or another


def test_every_number_has_a_name_of_its_own(cells):
    found = strangeness(cells[:120], np.ones(120, bool))
    assert len(found.names) == len(set(found.names)) == found.parts.shape[1] == 22
    assert not {name for name in found.names if "/" in name or "{" in name}


def test_too_few_pictures_teach_nothing(cells):
    steps = []
    found = clean(cells[: LEAST_DEEP - 1], np.zeros(99, int), deep=True, report=steps.append)
    assert (found.dropped == KEPT).all()
    assert steps == ["too few pictures to learn what cells look like (fewer than 100)"]


def test_robust_z_by_hand():
    values = np.concatenate([np.arange(101), [1000]]).astype(float)
    trusted = values < 1000
    # The median 50; 84.13 lies 34.13 above it, 97.72 lies 47.72 / 2 above it: the larger counts.
    assert robust_z(values, trusted)[-1] == pytest.approx(950 / 34.13, rel=1e-3)
    assert robust_z(np.r_[np.zeros(95), 10 * np.ones(5)], np.ones(100, bool))[-1] == 2


def test_a_colour_is_rare_when_hardly_any_picture_has_it():
    images = np.full((300, 48, 48, 3), (200, 180, 190), np.uint8)
    images[5, :24] = (0, 255, 0)
    share = np.exp(rare_colours(images, np.ones(300, bool))) - 0.01
    assert share[5] == pytest.approx(0.5, abs=0.01)
    assert share[6] == pytest.approx(0, abs=1e-6)


def test_a_tint_is_unusual_by_its_distance():
    images = np.full((50, 32, 32, 3), 128, np.uint8)
    images[:, :, :, 0] += np.arange(50, dtype=np.uint8)[:, None, None] % 5
    images[7] = (30, 200, 60)
    tint = unusual_tint(images, np.ones(50, bool))
    assert tint.argmax() == 7
    assert tint[7] > np.sort(tint)[-2] + 2


def test_the_layout_is_the_same_for_every_orientation(cells):
    thumbs = thumbnails(cells)
    layout = fit_layout(thumbs, np.ones(len(cells), bool))
    np.testing.assert_allclose(layout.mean, layout.mean[::-1], atol=1e-3)
    np.testing.assert_allclose(layout.mean, np.rot90(layout.mean), atol=1e-3)
    plain = (layout.points(thumbs) ** 2).sum(axis=1)
    turned = (layout.points(np.rot90(thumbs, axes=(1, 2))) ** 2).sum(axis=1)
    assert np.corrcoef(plain, turned)[0, 1] > 0.97


def test_robust_sd_is_half_the_middle_68_percent():
    assert robust_sd(np.arange(101.0)) == pytest.approx(34)
    assert robust_sd(np.r_[np.arange(101.0), 1e9, 1e9]) == pytest.approx(34.7, abs=1)
