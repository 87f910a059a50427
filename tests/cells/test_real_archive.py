"""On the real archive, where it lies beside the checkout: what must stay, stays."""

from pathlib import Path

import numpy as np
import pytest

from cells.archive import read_archive
from cells.clean import clean
from cells.competition import load_competition

REAL = Path(__file__).parents[3] / "shared" / "data" / "pbc96_train.h5"


@pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside the checkout")
@pytest.mark.parametrize("deep", [False, True])
def test_exactly_the_distinct_cells_stay(deep: bool) -> None:
    given = read_archive(REAL, load_competition("an2dl2024"))
    assert len(given.images) == 13_759
    assert len(clean(given.images, given.labels, deep).kept) == 11_951


@pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside the checkout")
def test_the_real_archive_is_read_as_hdf5() -> None:
    given = read_archive(REAL, load_competition("an2dl2024"))
    assert given.images.shape == (13_759, 96, 96, 3)
    assert np.bincount(given.labels)[:2].tolist() == [1048, 2379]
