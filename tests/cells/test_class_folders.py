from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cells.archive import archive_digest, read_archive
from cells.class_folders import find_files
from cells.competition import Archive, Competition, Originals
from cells.errors import ArchiveError

KINDS = Competition(
    name="kinds",
    title="",
    classes=("basophil", "immature granulocyte", "platelet"),
    image_px=16,
    archive=Archive(
        resize="bicubic",
        folders={"ig": "immature granulocyte"},
        originals=Originals(from_px=60, crop_px=40, hidden_among=True),
    ),
)
SHADE = {"basophil": 50, "ig": 100, "platelet": 150}


def put(folder, *names, px=16):
    """Grey squares; a picture's shade is its class's folder's, plus its place."""
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = next((value for key, value in SHADE.items() if key in name), 0) + place
        Image.fromarray(np.full((px, px, 3), shade, np.uint8)).save(path)
    return folder


def fault(folder, **options):
    with pytest.raises(ArchiveError) as caught:
        read_archive(folder, KINDS, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


THREE = ("platelet/b.png", "basophil/a.png", "ig/c.bmp")


def test_one_folder_per_class(tmp_path):
    got = read_archive(put(tmp_path, *THREE), KINDS)
    assert got.names == ("basophil/a.png", "ig/c.bmp", "platelet/b.png")
    assert got.labels.tolist() == [0, 1, 2]
    assert got.labels.dtype == np.int64
    assert got.images.shape == (3, 16, 16, 3)
    assert got.images[:, 0, 0, 0].tolist() == [51, 102, 150]
    assert (got.splits, got.warning, got.note) == ((), None, None)


@pytest.mark.parametrize(
    "name",
    [
        "Immature Granulocyte",
        "immature_granulocyte",
        "IMMATURE-GRANULOCYTES",
        "immaturegranulocyte",
        "IG",
        "1",
    ],
)
def test_names_of_folders_are_taken_leniently(tmp_path, name):
    put(tmp_path, "0/a.png", f"{name}/b.png", "Platelets/c.png")
    labels = {file.name: file.label for file in find_files(tmp_path, KINDS)}
    assert labels == {"0/a.png": 0, f"{name}/b.png": 1, "Platelets/c.png": 2}


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    put(tmp_path, *THREE)
    for name in ("basophil/Thumbs.db", "basophil/.DS_169.jpg", "README.txt", "desktop.ini"):
        (tmp_path / name).write_text("no picture")
    put(tmp_path, "__MACOSX/basophil/x.png", ".cache/y.png")
    assert len(read_archive(tmp_path, KINDS).labels) == 3


def test_folders_below_a_class_mean_nothing(tmp_path):
    put(tmp_path, *THREE, "basophil/patient 7/slide_2/d.png")
    got = read_archive(tmp_path, KINDS)
    assert got.names[1] == "basophil/patient 7/slide_2/d.png"
    assert got.labels.tolist() == [0, 0, 1, 2]


def test_a_folder_around_everything(tmp_path):
    put(tmp_path / "unzipped", *THREE)
    assert read_archive(tmp_path, KINDS).names[0] == "unzipped/basophil/a.png"


def test_an_unknown_folder(tmp_path):
    put(tmp_path, *THREE, "lymphoblast/d.png")
    assert fault(tmp_path) == (
        f"{tmp_path}: expected one folder per class (basophil, immature granulocyte, platelet), "
        "got lymphoblast too. Take it out, or name it under [archive.folders] in the competition "
        "file."
    )


def test_a_missing_class(tmp_path):
    put(tmp_path, *THREE[:2])
    assert fault(tmp_path) == (
        "labels: expected all 3 classes, got no image of class 1, immature granulocyte "
        f"({tmp_path.name}). The competition is kinds; choose another with --competition."
    )
    assert read_archive(tmp_path, KINDS, every_class=False).labels.tolist() == [0, 2]


def test_pictures_beside_the_folders(tmp_path):
    put(tmp_path, *THREE, "loose.png")
    assert fault(tmp_path).endswith("platelet), got loose.png beside them. Take it out.")
    only = put(tmp_path / "only", "loose.png")
    assert fault(only).endswith("platelet), got loose.png.")


def test_what_is_no_picture_is_named(tmp_path):
    put(tmp_path, *THREE)
    (tmp_path / "ig" / "notes.txt").write_text("hello")
    (tmp_path / "platelet" / "z.png").write_bytes(b"")
    assert fault(tmp_path) == (
        f"{tmp_path}: expected images, cannot use ig/notes.txt (no JPEG, PNG, BMP or TIFF), "
        "platelet/z.png (empty). Repair or remove them."
    )


SPLIT = [f"{split}/{name}" for split in ("train", "val", "test") for name in THREE]


def test_only_the_training_split_is_taken(tmp_path):
    got = read_archive(put(tmp_path, *SPLIT), KINDS)
    assert got.names == ("train/basophil/a.png", "train/ig/c.bmp", "train/platelet/b.png")
    assert got.splits == ("train",)
    assert got.warning is None


def test_other_splits_only_when_asked_and_never_silently(tmp_path):
    put(tmp_path, *SPLIT)
    got = read_archive(tmp_path, KINDS, splits=("train", "val"))
    assert [name.split("/")[0] for name in got.names] == ["train"] * 3 + ["val"] * 3
    assert got.splits == ("train", "val")
    assert got.warning == (
        f"{tmp_path.name}: with images of val. The platform's hidden images may be among them: "
        "what is learnt or chosen on them makes local scores too good, and most competitions "
        "forbid it."
    )


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training/basophil/a.png", "train"),
        ("basophil/VALID/a.png", "val"),
        ("PBC_test/basophil/a.png", "test"),
        ("basophil/patient 1/test-images/a.png", "test"),
        ("outer/validation set/basophil/a.png", "val"),
    ],
)
def test_where_a_split_may_stand(tmp_path, name, split):
    assert [file.split for file in find_files(put(tmp_path, name), KINDS)] == [split]


def test_without_a_training_split(tmp_path):
    put(tmp_path, *SPLIT[3:])
    assert fault(tmp_path) == (
        f"{tmp_path.name}: expected the split train, got only val, test. Choose with --splits; "
        "hidden images may be in all but train."
    )


@pytest.mark.parametrize(
    ("name", "beside", "split"),
    [
        ("test", (), "test"),
        ("VALID", ("train",), "val"),
        ("val-images", (), "val"),
        ("PBC_test", ("PBC_train",), "test"),
        ("TEST_SIMPLE", ("TRAIN",), "test"),
    ],
)
def test_a_folder_that_is_itself_a_held_out_split_is_not_learnt_from_unasked(
    tmp_path, name, beside, split
):
    put(tmp_path / name, *THREE)
    for other in beside:
        put(tmp_path / other, *THREE)
    assert fault(tmp_path / name) == (
        f"{name}: expected the split train, got only {split}. Choose with --splits; hidden images "
        "may be in all but train."
    )
    got = read_archive(tmp_path / name, KINDS, splits=(split,))
    assert (got.splits, len(got.labels)) == ((split,), 3)
    assert got.warning.startswith(f"{name}: with images of {split}. The platform's hidden images")
    scored = read_archive(tmp_path / name, KINDS, every_class=False)  # nothing is learnt from it
    assert (scored.splits, len(scored.labels)) == ((), 3)


def test_the_folder_that_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(put(tmp_path / "test", *THREE))
    assert fault(Path()).startswith("test: expected the split train, got only test.")


@pytest.mark.parametrize("name", ["train", "blood-test", "protest"])
def test_other_names_of_the_whole_folder_mean_nothing(tmp_path, name):
    put(tmp_path / "training-plans", *THREE)
    assert len(read_archive(put(tmp_path / name, *THREE), KINDS).labels) == 3


def test_splits_inside_say_more_than_the_folder_s_own_name(tmp_path):
    got = read_archive(put(tmp_path / "test", *SPLIT), KINDS)
    assert (got.splits, len(got.labels)) == (("train",), 3)


def test_some_in_splits_and_some_not(tmp_path):
    put(tmp_path, *THREE, "basophil/test/d.png")
    assert fault(tmp_path) == (
        f"{tmp_path}: expected all images in folders train, val, test, or none, got "
        "basophil/test/d.png and basophil/a.png. Put the rest into one of them."
    )


def test_a_split_is_asked_of_a_folder_that_has_none(tmp_path):
    assert fault(put(tmp_path, *THREE), splits=("train", "test")) == (
        f"--splits: {tmp_path.name} has no splits, got train, test. Leave --splits out."
    )


def test_whole_views_need_a_split_or_a_word(tmp_path):
    put(tmp_path, *THREE, px=64)
    assert fault(tmp_path).startswith("basophil/a.png: 64x64 px, a whole view of the public source")
    got = read_archive(tmp_path, KINDS, splits=("unsplit",))
    assert got.splits == ("unsplit",)
    assert got.warning.startswith(f"{tmp_path.name}: with images of unsplit. The platform's hidden")
    assert got.note == "made 16 px (bicubic): 3 of 64x64, middle 40 px"


def test_whole_views_in_a_stranger_s_training_folder_are_doubted(tmp_path):
    put(tmp_path, *SPLIT, px=64)
    got = read_archive(tmp_path, KINDS)
    assert len(got.labels) == 3
    assert got.warning == (
        f"{tmp_path.name}: whole views of the public source in train/, not sorted by `bcsub fetch "
        "pbc`. Unless that folder follows BloodMNIST's splits, hidden images may be among them."
    )
    (tmp_path / "splits.csv").write_text("file,folder,split,likeness\n")
    assert read_archive(tmp_path, KINDS).warning is None


def test_the_digest_follows_names_and_contents_of_what_is_read(tmp_path):
    def digest(splits=("train",)):
        return archive_digest(tmp_path, KINDS, splits)

    put(tmp_path, *SPLIT)
    first = digest()
    (tmp_path / "train" / "Thumbs.db").write_text("")
    (tmp_path / "test" / "ig" / "c.bmp").unlink()
    assert digest() == first
    assert digest(("train", "test")) != first
    (tmp_path / "train" / "ig" / "c.bmp").rename(tmp_path / "train" / "ig" / "d.bmp")
    renamed = digest()
    assert renamed != first
    (tmp_path / "train" / "ig" / "d.bmp").write_bytes(b"other")
    assert digest() != renamed
