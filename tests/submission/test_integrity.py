"""A bundle that is not as it was written is refused, in one line that says so."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from submission.model import FORMAT, Model, read_member
from tests.submission.bundles import PX, write_bundle


def write_text(file: h5py.File) -> None:
    program = json.loads(file["members/01/program"][()])
    program["ops"][0]["op"] = "warp"  # no such operation: the change is what is complained about
    del file["members/01/program"]
    file["members/01/program"] = json.dumps(program)


CHANGES: dict[str, Callable[[h5py.File], None]] = {
    "a weight": lambda file: file["members/01/arrays/k"].write_direct(np.zeros((48, 3), "f4")),
    "a member's weight": lambda file: file["members/01"].attrs.modify("weight", 2.5),
    "the program": write_text,
    "the classes": lambda file: file.attrs.modify("classes", '["lobed", "round", "flat"]'),
    "the views": lambda file: file.attrs.modify("views", '["flip"]'),
    "another member": lambda file: file.move("members/01", "members/02"),
    "a type": lambda file: file.attrs.create("image_px", float(PX)),
    "the checksum": lambda file: file.attrs.modify("checksum", "0" * 64),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changed_is_refused(tmp_path: Path, name: str) -> None:
    Model(write_bundle(tmp_path))
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        CHANGES[name](file)
    with pytest.raises(
        ValueError, match=r"weights.h5: changed since it was written\. Copy it here again\."
    ):
        Model(tmp_path)


def test_the_exporter_writes_one(
    tmp_path: Path, as_member: Callable[..., object], images: np.ndarray
) -> None:
    inputs = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    as_member(keras.Model(inputs, keras.layers.Dense(3)(pooled)), storage="float16")
    path = tmp_path / "member.h5"
    with h5py.File(path, "a") as file:
        values = next(item["values"] for item in file["arrays"].values() if "values" in item)
        values[0] = -values[0]
    with pytest.raises(ValueError, match=r"member.h5: changed since it was written"):
        read_member(path)


def test_a_format_that_has_a_checksum_must_have_it(tmp_path: Path) -> None:
    assert FORMAT > 1
    Model(write_bundle(tmp_path / "old", format_=1))
    path = write_bundle(tmp_path / "new") / "weights.h5"
    with h5py.File(path, "a") as file:
        del file.attrs["checksum"]
    with pytest.raises(ValueError, match=r"weights.h5: changed since it was written"):
        Model(path.parent)


def test_any_byte_that_flips_is_noticed_or_means_nothing(tmp_path: Path) -> None:
    """One byte in each 29 of the file, HDF5's own included: one line, or exactly the old answer."""
    path = write_bundle(tmp_path, members=1) / "weights.h5"
    X = np.arange(PX * PX * 3, dtype=np.uint8).reshape(1, PX, PX, 3)
    expected, whole = Model(tmp_path).predict_proba(X), path.read_bytes()
    refused = []
    for position in range(0, len(whole), 29):
        flipped = bytearray(whole)
        flipped[position] ^= 0x41
        path.write_bytes(flipped)
        try:
            found = Model(tmp_path)
        except ValueError as error:
            refused.append(str(error))
        else:
            if position % 5 == 0:
                np.testing.assert_array_equal(found.predict_proba(X), expected, str(position))
    assert len(refused) > 20
    assert [line for line in refused if not line.startswith(str(path)) or "\n" in line] == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write_bundle(tmp_path) / "weights.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated") as error:
        Model(tmp_path)
    assert "\n" not in str(error.value)
