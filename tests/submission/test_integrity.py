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
    "what HDF5 keeps for itself": lambda file: file.create_group("empty"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changed_is_refused(tmp_path: Path, name: str) -> None:
    Model(write_bundle(tmp_path))
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        CHANGES[name](file)
    with pytest.raises(
        ValueError, match=r"weights.h5: damaged or truncated \(changed since it was written\)\.$"
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
    with pytest.raises(
        ValueError, match=r"member.h5: damaged or truncated \(changed since it was written\)"
    ):
        read_member(path)


def test_a_format_that_has_a_checksum_must_have_it(tmp_path: Path) -> None:
    assert FORMAT > 1
    path = write_bundle(tmp_path, format_=1) / "weights.h5"
    Model(tmp_path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = FORMAT
    with pytest.raises(
        ValueError, match=r"weights.h5: damaged or truncated \(changed since it was written\)\.$"
    ):
        Model(tmp_path)


def test_any_byte_that_changes_is_noticed(tmp_path: Path) -> None:
    """Those of the checksum, of the zeros after it, and HDF5's own, which could crash it."""
    path = write_bundle(tmp_path, members=1) / "weights.h5"
    Model(tmp_path)
    whole = path.read_bytes()
    for position in [*range(600), *range(600, len(whole), 17), len(whole) - 1]:
        changed = bytearray(whole)
        changed[position] ^= 0x40
        path.write_bytes(changed)
        with pytest.raises(
            ValueError, match=r"weights.h5: damaged or truncated \(changed since it was written\)"
        ) as error:
            Model(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    """Of format 1, too, where HDF5 itself has to notice."""
    for format_, says in ((1, "damaged or truncated"), (2, "damaged or truncated .changed since")):
        path = write_bundle(tmp_path, format_=format_) / "weights.h5"
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=f"weights.h5: {says}") as error:
            Model(tmp_path)
        assert "\n" not in str(error.value)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated"):
        Model(tmp_path)


def test_a_sealed_file_of_a_newer_format_says_so(tmp_path: Path) -> None:
    text = rf"expected a bundle of format {FORMAT} or older, got bundle of format {FORMAT + 1}\."
    with pytest.raises(ValueError, match=text):
        Model(write_bundle(tmp_path, format_=FORMAT + 1))
