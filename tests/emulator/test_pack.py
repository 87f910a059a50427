"""The zip: the same bytes for the same content, two files, and clear refusals."""

import json
import os
import re
import time
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import h5py
import numpy as np
import pytest

from cells.competition import Competition, Platform
from cells.errors import SubmissionError
from emulator.pack import newest_zip, pack_submission


def with_platform(competition: Competition, **platform) -> Competition:
    return competition.model_copy(update={"platform": Platform(**platform)})


def write_bundle(path: Path, classes=("red", "green", "blue"), image_px=16, seed=0) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "bundle"
        file.attrs["classes"] = json.dumps(classes)
        file.attrs["image_px"] = image_px
        file["arrays"] = np.random.default_rng(seed).normal(size=5000).astype(np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission's folder with all that tends to lie around in one."""
    folder = tmp_path / "submission"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "model.py").write_text("class Model: ...\n")
    write_bundle(folder / "weights.h5")
    for clutter in ("__init__.py", "weights-before.h5", "__pycache__/model.pyc", "notes.txt"):
        (folder / clutter).write_text("clutter")
    return folder


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def test_two_files_lie_flat_and_unharmed(folder, dist, competition):
    packed = pack_submission(folder, dist, competition)
    path = Path(packed["zip"])
    assert packed == {"zip": str(path), "bytes": path.stat().st_size, "deadline_s": None}
    assert re.fullmatch(r"submission-[0-9a-f]{8}\.zip", path.name)
    with ZipFile(path) as archive:
        assert archive.namelist() == ["model.py", "weights.h5"]
        assert {entry.compress_type for entry in archive.infolist()} == {ZIP_STORED}
        for name in archive.namelist():
            assert archive.read(name) == (folder / name).read_bytes()
    assert list(dist.iterdir()) == [path]


def test_metadata_goes_in_where_the_platform_wants_it(folder, dist, competition):
    plain = pack_submission(folder, dist, competition)
    packed = pack_submission(folder, dist, with_platform(competition, metadata=True))
    with ZipFile(packed["zip"]) as archive:
        assert archive.namelist() == ["metadata", "model.py", "weights.h5"]
        assert archive.read("metadata") == b""
    assert plain["zip"] != packed["zip"]


def test_the_same_content_gives_the_same_bytes(folder, dist, competition, tmp_path):
    first = pack_submission(folder, dist, competition)
    before = Path(first["zip"]).read_bytes()
    for name in ("model.py", "weights.h5"):
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
        (folder / name).chmod(0o600)
    assert pack_submission(folder, dist, competition) == first
    elsewhere = pack_submission(folder, tmp_path / "elsewhere", competition)
    assert Path(elsewhere["zip"]).name == Path(first["zip"]).name
    assert Path(first["zip"]).read_bytes() == before == Path(elsewhere["zip"]).read_bytes()


def test_other_content_gives_another_name(folder, dist, competition):
    first = pack_submission(folder, dist, competition)
    write_bundle(folder / "weights.h5", seed=1)
    second = pack_submission(folder, dist, competition)
    assert first["zip"] != second["zip"]
    assert len(list(dist.iterdir())) == 2


def test_a_name_that_is_taken_is_never_replaced_silently(folder, dist, competition):
    first = pack_submission(folder, dist, competition, name="final")
    assert first["zip"] == str(dist / "final.zip")
    assert pack_submission(folder, dist, competition, name="final.zip") == first
    before = (dist / "final.zip").read_bytes()
    write_bundle(folder / "weights.h5", seed=1)
    with pytest.raises(SubmissionError) as error:
        pack_submission(folder, dist, competition, name="final")
    assert str(error.value) == (
        f"{dist / 'final.zip'}: another zip already has this name. "
        "Pass --force to replace it, or another --name."
    )
    assert (dist / "final.zip").read_bytes() == before
    pack_submission(folder, dist, competition, name="final", force=True)
    assert (dist / "final.zip").read_bytes() != before
    assert [path.name for path in dist.iterdir()] == ["final.zip"]


@pytest.mark.parametrize("name", ["a/b", "../up", "..", "/abs"])
def test_a_name_has_no_folder(folder, dist, competition, name):
    with pytest.raises(SubmissionError, match="--name: expected a file name without a folder"):
        pack_submission(folder, dist, competition, name=name)


def refusal(folder: Path, dist: Path, competition: Competition) -> str:
    with pytest.raises(SubmissionError) as error:
        pack_submission(folder, dist, competition)
    assert not list(dist.glob("*")) if dist.exists() else True
    return str(error.value)


def test_missing_and_unreadable_files_are_named(folder, dist, competition):
    weights = folder / "weights.h5"
    weights.write_bytes(weights.read_bytes()[:100])
    assert f"{weights}: not a readable HDF5 file" in refusal(folder, dist, competition)
    weights.unlink()
    assert refusal(folder, dist, competition) == (
        f"{weights}: no such file. Run `bcsub ensemble` first."
    )
    (folder / "model.py").unlink()
    assert refusal(folder, dist, competition) == (
        f"{folder / 'model.py'}: no such file. "
        "Run `bcsub ensemble`, which puts it beside the weights."
    )


def test_the_platforms_size_limit_holds(folder, dist, competition):
    limited = with_platform(competition, size_limit_mb=0.01)
    text = refusal(folder, dist, limited)
    assert re.fullmatch(
        r"submission-\w{8}\.zip: expected at most 0\.01 MB, got 0\.0 MB\. "
        r"Run `bcsub ensemble` with fewer or smaller members\.",
        text,
    )
    pack_submission(folder, dist, with_platform(competition, size_limit_mb=1))


def test_a_bundle_for_another_competition_is_refused(folder, dist, competition):
    write_bundle(folder / "weights.h5", classes=("red", "blue"))
    assert "expected the 3 classes of colours, got 2: red, blue." in refusal(
        folder, dist, competition
    )
    write_bundle(folder / "weights.h5", image_px=32)
    assert "expected images of 16 px (colours), got 32 px." in refusal(folder, dist, competition)


def test_answer_and_deadline_must_be_those_that_the_competition_asks_for(folder, dist, competition):
    for asked, says in (
        ({"answer": "one-hot"}, "expected answer one-hot (colours), got labels. Run `bcsub pre"),
        ({"deadline_s": 300}, "expected deadline_s 300.0 (colours), got None. Run `bcsub prepare`"),
    ):
        assert says in refusal(folder, dist, with_platform(competition, **asked))
    with h5py.File(folder / "weights.h5", "a") as file:
        file.attrs.update(answer="tensor", deadline_s=300.0)
    assert "expected answer labels (colours), got tensor." in refusal(folder, dist, competition)
    fits = with_platform(competition, answer="tensor", deadline_s=300)
    assert pack_submission(folder, dist, fits)["deadline_s"] == 300


def test_other_peoples_weights_are_packed_as_they_are(folder, dist, competition):
    with h5py.File(folder / "weights.h5", "w") as file:
        file["kernel"] = np.zeros(3)
    assert pack_submission(folder, dist, competition)["bytes"] > 0


def test_the_newest_zip_is_the_one_packed_last(folder, dist, competition):
    with pytest.raises(
        SubmissionError, match=r"no zip with a model\.py\. Run `bcsub pack` first\."
    ):
        newest_zip(dist)
    first = Path(pack_submission(folder, dist, competition)["zip"])
    write_bundle(folder / "weights.h5", seed=1)
    second = Path(pack_submission(folder, dist, competition)["zip"])
    os.utime(first, (time.time() - 60, time.time() - 60))
    assert newest_zip(dist) == second
    write_bundle(folder / "weights.h5", seed=0)
    os.utime(second, (time.time() - 30, time.time() - 30))
    pack_submission(folder, dist, competition)
    assert newest_zip(dist) == first
    named = Path(pack_submission(folder, dist, competition, name="final")["zip"])
    os.utime(first, (time.time() - 20, time.time() - 20))
    (dist / ".half-written.part.zip").touch()
    with ZipFile(dist / "data.zip", "w") as other:
        other.writestr("images.npy", b"")
    assert newest_zip(dist) == named
