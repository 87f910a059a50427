"""On the real archive, where it lies beside the checkout: what must stay, stays."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from cells.clean import clean

REAL = Path(__file__).parents[3] / "shared" / "data" / "pbc96_train.h5"


@pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside the checkout")
def test_exactly_the_distinct_cells_stay() -> None:
    with h5py.File(REAL) as file:
        labels = file["labels"][:].astype(np.int64)
        images = np.stack([cv2.imdecode(each, cv2.IMREAD_COLOR) for each in file["jpeg"][:]])
    assert len(images) == 13_759
    assert len(clean(images, labels).kept) == 11_951
