"""A zip is taken apart only when it can do no harm, and refused in one line."""

import stat
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from cells.competition import Platform
from cells.errors import SubmissionError
from emulator.unpack import unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "ingested_program"
    folder.mkdir(parents=True)
    return folder


def refusal(path: Path, folder: Path, **platform) -> str:
    with pytest.raises(SubmissionError) as error:
        unpack(path, folder, Platform(**platform))
    assert "\n" not in str(error.value)
    return str(error.value)


def with_entry(path: Path, name: str, mode: int = 0) -> Path:
    """A zip of model.py and one entry that has exactly this name and Unix mode."""
    with ZipFile(path, "w") as archive:
        archive.writestr("model.py", "")
        entry = ZipInfo("x")
        entry.filename = name
        entry.external_attr = mode << 16
        archive.writestr(entry, "/etc/passwd")
    return path


def test_files_and_subfolders_arrive(zip_of, folder):
    unpack(
        zip_of({"model.py": "a", "parts/net.py": "b", "__MACOSX/._model.py": ""}),
        folder,
        Platform(),
    )
    assert (folder / "model.py").read_text() == "a"
    assert (folder / "parts" / "net.py").read_text() == "b"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"team/model.py": "", "team/weights.h5": ""},
            "team.zip: expected model.py at the root, got team/model.py. "
            "Zip the files themselves, not their folder.",
        ),
        (
            {"team\\model.py": ""},
            "team.zip: expected model.py at the root, got team\\model.py. "
            "Zip the files themselves, not their folder.",
        ),
        (
            {"Model.py": "", "weights.h5": ""},
            "team.zip: expected model.py at the root, got Model.py, weights.h5. Run `bcsub pack`.",
        ),
        ({}, "team.zip: expected model.py at the root, got nothing. Run `bcsub pack`."),
    ],
)
def test_model_py_must_lie_at_the_root(zip_of, folder, files, says):
    assert refusal(zip_of(files), folder) == says
    assert list(folder.iterdir()) == []


def test_metadata_must_be_there_where_the_platform_asks(zip_of, folder):
    assert "expected an empty file metadata beside model.py" in refusal(
        zip_of({"model.py": ""}), folder, metadata=True
    )
    unpack(zip_of({"model.py": "", "metadata": ""}), folder, Platform(metadata=True))


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("../escaped.txt", 0, "'../escaped.txt' leads out of the folder. Zip plain names."),
        ("a/../../escaped.txt", 0, "leads out of the folder"),
        ("..\\escaped.txt", 0, "leads out of the folder"),
        ("/tmp/escaped.txt", 0, "'/tmp/escaped.txt' is an absolute path. Zip relative names."),
        ("C:\\escaped.txt", 0, "is an absolute path"),
        (
            "link",
            stat.S_IFLNK | 0o777,
            "'link' is a symbolic link. Zip the file that it points to.",
        ),
        ("pipe", stat.S_IFIFO | 0o644, "'pipe' is not a plain file. Zip plain files."),
    ],
)
def test_harmful_entries_are_refused_before_anything_is_written(tmp_path, folder, name, mode, says):
    assert says in refusal(with_entry(tmp_path / "team.zip", name, mode), folder)
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.rglob("escaped.txt"))


def test_an_encrypted_zip_is_refused(zip_of, folder):
    path = zip_of({"model.py": "x"})
    data = bytearray(path.read_bytes())
    # The flag stands in the local header and once more in the directory.
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert refusal(path, folder) == "team.zip: 'model.py' is encrypted. Zip without a password."


def test_what_is_no_zip_is_refused(tmp_path, zip_of, folder):
    text = tmp_path / "team.zip"
    text.write_text("class Model: ...")
    assert refusal(text, folder) == (
        "team.zip: not a zip that can be unpacked (File is not a zip file). Run `bcsub pack` again."
    )
    text.write_bytes(b"")
    assert "not a zip that can be unpacked" in refusal(text, folder)


def test_a_damaged_zip_is_refused(tmp_path, folder):
    path = tmp_path / "team.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("model.py", "x = 1\n" * 1000)
    data = bytearray(path.read_bytes())
    data[50] ^= 0xFF
    path.write_bytes(data)
    assert "not a zip that can be unpacked" in refusal(path, folder)


def test_a_zip_bomb_is_refused_by_what_it_says_of_itself(zip_of, folder, monkeypatch):
    class Usage:
        free = 1_000_000

    monkeypatch.setattr("emulator.unpack.shutil.disk_usage", lambda _folder: Usage)
    assert refusal(zip_of({"model.py": " " * 3_000_000}), folder) == (
        "team.zip: unpacks to 3 MB, and 1 MB are free. "
        "Free some disk, or set TMPDIR to a larger one."
    )


def test_the_size_limit_is_the_platforms(zip_of, folder):
    path = zip_of({"model.py": "#" * 1_200_000})
    assert refusal(path, folder, size_limit_mb=1) == (
        "team.zip: expected at most 1 MB, got 1.2 MB. Ship fewer or smaller members."
    )
    unpack(path, folder, Platform(size_limit_mb=2))
