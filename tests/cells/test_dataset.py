from pathlib import Path

import h5py
import numpy as np
import pytest

from cells.errors import DatasetError
from tests.trainers.conftest import write_colours


def test_images_come_in_the_order_asked_for_however_many(tmp_path: Path) -> None:
    dataset = write_colours(tmp_path)
    with h5py.File(dataset.path) as file:
        images, shifted = file["images"][:], file["shifted"][:]
    for rows in (np.array([7, 3, 7]), np.arange(60)[::-1]):
        np.testing.assert_array_equal(dataset.images(rows), images[rows])
        np.testing.assert_array_equal(dataset.shifted(rows), shifted[rows])


def test_a_dataset_prepared_anew_under_a_running_command_is_noticed(tmp_path: Path) -> None:
    dataset = write_colours(tmp_path)
    with h5py.File(dataset.path, "a") as file:
        file.attrs["fingerprint"] = "data-two"
    with pytest.raises(DatasetError) as error:
        dataset.images(np.array([0]))
    assert str(error.value) == (
        f"{dataset.path}: expected dataset data-one, got data-two: it was prepared anew in the "
        "meantime. Run the command again."
    )


def test_a_dataset_that_is_gone_or_damaged_meanwhile_is_one_line(tmp_path: Path) -> None:
    dataset = write_colours(tmp_path)
    dataset.path.write_bytes(b"no HDF5")
    advice = rf"damaged .* Run `bcsub prepare ARCHIVE --root {tmp_path}` again\."
    with pytest.raises(DatasetError, match=advice):
        dataset.images(np.array([0]))
    dataset.path.unlink()
    with pytest.raises(DatasetError, match=r"dataset\.h5: damaged"):
        dataset.shifted(np.array([0]))
