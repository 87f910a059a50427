import csv
import errno
import hashlib
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cells.archive import read_archive
from cells.competition import Archive, Competition, Originals
from cells.drawn_cells import draw_cells
from cells.errors import FetchError
from cells.fetch import fetch
from cells.sources import BLOODMNIST, PBC, SOURCES, Download, Folders, MedMnist

SPLITS = ("train", "val", "test")
KINDS = Competition(
    name="kinds",
    title="",
    classes=("basophil", "immature granulocyte"),
    image_px=32,
    archive=Archive(
        resize="bicubic",
        folders={"ig": "immature granulocyte"},
        originals=Originals(from_px=100, crop_px=64, hidden_among=True),
    ),
)
PER_CLASS = {"train": 7, "val": 1, "test": 2}  # of 10 pictures


def views():
    """Ten whole views of 104 x 106 px of each of two classes, and their middles of 64 px."""
    middles = draw_cells(np.repeat([0, 3], 10), 64, np.random.default_rng(0))
    return np.pad(middles, ((0, 0), (20, 20), (21, 21), (0, 0)), mode="reflect"), middles


def npz(middles, px):
    """MedMNIST's npz of these pictures, in another order than the folders'."""
    pictures = [Image.fromarray(each).resize((px, px), Image.Resampling.BOX) for each in middles]
    small, arrays = np.stack(pictures).reshape(2, 10, px, px, 3), {}
    start = 0
    for split, count in PER_CLASS.items():
        rows = small[::-1, start : start + count].reshape(-1, px, px, 3)
        arrays[f"{split}_images"] = rows
        arrays[f"{split}_labels"] = np.repeat([1, 0], count).astype(np.uint8)[:, None]
        start += count
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(whole):
    """PBC's zip of these views: a folder around folders, and what macOS left there."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, view in enumerate(whole):
            picture = BytesIO()
            Image.fromarray(view).save(picture, "JPEG", quality=95)
            folder = ("basophil", "ig")[number // 10]
            archive.writestr(f"PBC/{folder}/{number:02}.jpg", picture.getvalue())
        archive.writestr("PBC/ig/.DS_169665.jpg", b"macOS")
        archive.writestr("__MACOSX/PBC/ig/12.jpg", b"macOS")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def contents():
    whole, middles = views()
    return {"/b.npz": npz(middles, 28), "/b_64.npz": npz(middles, 64), "/pbc.zip": zipped(whole)}


@pytest.fixture
def shop(publisher, contents, monkeypatch):
    """Two sources of two classes, published on this machine."""
    publisher.files.update(contents)
    small, large = (
        Download(name, f"{publisher.url}/{name}", f"md5:{hashlib.md5(content).hexdigest()}")
        for name, content in [("b.npz", contents["/b.npz"]), ("b_64.npz", contents["/b_64.npz"])]
    )
    about = {"title": "", "page": "page", "licence": "CC BY 4.0", "citation": ("A. Uthor",)}
    blood = MedMnist(
        **about, images={"train": 14, "val": 2, "test": 4}, downloads={28: small, 64: large}
    )
    digest = hashlib.sha256(contents["/pbc.zip"]).hexdigest()
    pbc = Folders(
        **about,
        images={"basophil": 10, "ig": 10},
        download=Download("pbc.zip", f"{publisher.url}/pbc.zip", f"sha256:{digest}"),
        folders=("basophil", "ig"),
        like=small,
        crop_px=64,
    )
    monkeypatch.setitem(SOURCES, "bloodmnist", blood)
    monkeypatch.setitem(SOURCES, "pbc", pbc)
    return publisher


def fault(*arguments, **options):
    with pytest.raises(FetchError) as caught:
        fetch(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_bloodmnist_is_handed_out_without_its_other_splits(shop, tmp_path):
    lines = []
    got = fetch("bloodmnist", tmp_path, 64, report=lines.append)
    path = tmp_path / "b_64_train.npz"
    assert got == {
        "source": "bloodmnist",
        "path": str(path),
        "splits": ["train"],
        "images": 14,
        "sha256": hashlib.sha256(shop.files["/b_64.npz"]).hexdigest(),
        "licence": "CC BY 4.0",
        "citation": ["A. Uthor"],
        "page": "page",
    }
    assert lines == ["b_64.npz from page", f"taking train out of it: {path}"]
    with np.load(path) as taken:
        assert sorted(taken.files) == ["train_images", "train_labels"]
        assert taken["train_images"].shape == (14, 64, 64, 3)
    given = read_archive(path, KINDS)
    assert given.splits == ("train",)
    assert given.labels.tolist() == [1] * 7 + [0] * 7
    assert fetch("bloodmnist", tmp_path, 64) == got
    assert len(shop.asked) == 1


def test_other_splits_are_asked_for_and_warned_of(shop, tmp_path):
    lines = []
    got = fetch("bloodmnist", tmp_path, 64, ("train", "test"), lines.append)
    assert lines[0].startswith("warning: bloodmnist: with images of test. The platform's hidden")
    assert got["path"] == str(tmp_path / "b_64_train_test.npz")
    assert got["images"] == 18
    assert len(read_archive(tmp_path / "b_64_train_test.npz", KINDS).labels) == 14


def test_pbc_is_sorted_by_the_splits_of_bloodmnist(shop, tmp_path):
    lines = []
    got = fetch("pbc", tmp_path, report=lines.append)
    folder = tmp_path / "pbc_train"
    assert (got["path"], got["images"], got["splits"]) == (str(folder), 14, ["train"])
    assert lines[-1] == "14 train, 4 test, 2 val"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    assert names == [f"train/basophil/{number:02}.jpg" for number in range(7)] + [
        f"train/ig/{number}.jpg" for number in range(10, 17)
    ]
    with (folder / "splits.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["split"] for line in table] == 2 * (["train"] * 7 + ["val"] + ["test"] * 2)
    assert min(float(line["likeness"]) for line in table) > 0.98
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pbc_train", "published"]

    given = read_archive(folder, KINDS)
    assert given.labels.tolist() == [0] * 7 + [1] * 7
    assert (given.splits, given.warning) == (("train",), None)
    assert given.note == "made 32 px (bicubic): 14 of 106x104, middle 64 px"
    assert fetch("pbc", tmp_path) == got
    assert len(shop.asked) == 2


def test_pictures_that_are_like_none_are_left_out(shop, contents, tmp_path):
    whole = views()[0]
    whole[3] = np.random.default_rng(0).integers(0, 256, whole[3].shape)
    changed = zipped(whole)
    shop.files["/pbc.zip"] = changed
    digest = hashlib.sha256(changed).hexdigest()
    pbc = SOURCES["pbc"]
    SOURCES["pbc"] = replace(pbc, download=replace(pbc.download, checksum=f"sha256:{digest}"))
    lines = []
    assert fetch("pbc", tmp_path, report=lines.append)["images"] == 13
    assert lines[-1] == "13 train, 4 test, 2 val, 1 in none, left out"


def test_another_zip_than_the_published_pictures_is_not_unpacked(shop, contents, tmp_path):
    whole = draw_cells(np.repeat([0, 3], 10), 104, np.random.default_rng(7))
    changed = zipped(whole)
    shop.files["/pbc.zip"] = changed
    pbc = SOURCES["pbc"]
    SOURCES["pbc"] = replace(pbc, download=replace(pbc.download, checksum=None))
    assert fault("pbc", tmp_path) == (
        "pbc.zip: expected the pictures of b.npz, got 20 of 20 that are like none of them. Which "
        "are hidden cannot be told: nothing was unpacked."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


def test_a_picture_that_is_missing(shop, tmp_path):
    pbc = SOURCES["pbc"]
    SOURCES["pbc"] = replace(pbc, images={"basophil": 10, "ig": 11})
    assert fault("pbc", tmp_path) == (
        f"{tmp_path / 'published' / 'pbc.zip'}: expected 11 pictures in ig, got 10. Remove the "
        "file and fetch again."
    )


def test_a_folder_of_that_name_is_left_alone(shop, tmp_path):
    (tmp_path / "pbc_train").mkdir()
    assert fault("pbc", tmp_path) == (
        f"{tmp_path / 'pbc_train'}: expected splits.csv in it, got a folder that was not fetched. "
        "Take it away, or choose another place with --out."
    )


def test_a_full_disk_leaves_nothing_half_written(shop, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cells.unpack_folders._write_table", full)
    monkeypatch.setattr("cells.fetch.shutil.copyfileobj", full)
    for name in ("pbc", "bloodmnist"):
        assert fault(name, tmp_path, px=64 if name == "bloodmnist" else None) == (
            f"{tmp_path}: No space left on device. Make room, or choose another folder with --out; "
            "the same command goes on."
        )
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("pcb", {}, "source: expected one of bloodmnist, pbc, got 'pcb'."),
        ("bloodmnist", {"px": 96}, "--px: expected one of 28, 64, got 96."),
        ("pbc", {"px": 64}, "--px: pbc comes in one size, got 64. Leave it out."),
        (
            "pbc",
            {"splits": ("unsplit",)},
            "--splits: expected some of train, val, test, got unsplit: pbc is split.",
        ),
    ],
)
def test_what_cannot_be_fetched(shop, tmp_path, name, options, said):
    assert fault(name, tmp_path, **options) == said
    assert shop.asked == []


def test_the_table_of_sources_fits_together():
    assert sum(BLOODMNIST.images.values()) == sum(PBC.images.values()) == 17_092
    assert list(PBC.images) == list(PBC.folders)
    assert sorted(BLOODMNIST.downloads) == [28, 64, 128, 224]
    assert BLOODMNIST.downloads[28].checksum == "md5:7053d0359d879ad8a5505303e11de1dc"
    for file in (*BLOODMNIST.downloads.values(), PBC.download):
        assert file.url.startswith("https://")
        assert bool(file.checksum) != bool(file.listing)
