"""On the real archive, where it lies beside the checkout: what must stay, stays."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from cells.archive import read_archive
from cells.clean import clean
from cells.competition import load_competition

REAL = Path(__file__).parents[3] / "shared" / "data" / "pbc96_train.h5"


@pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside the checkout")
def test_exactly_the_distinct_cells_stay() -> None:
    with h5py.File(REAL) as file:
        labels = file["labels"][:].astype(np.int64)
        images = np.stack([cv2.imdecode(each, cv2.IMREAD_COLOR) for each in file["jpeg"][:]])
    assert len(images) == 13_759
    assert len(clean(images, labels).kept) == 11_951


@pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside the checkout")
def test_the_real_archive_is_read_as_hdf5() -> None:
    given = read_archive(REAL, load_competition("an2dl2024"))
    assert given.images.shape == (13_759, 96, 96, 3)
    assert np.bincount(given.labels)[:2].tolist() == [1048, 2379]
