from io import BytesIO

import h5py
import numpy as np
import pytest
from PIL import Image

from cells.archive import read_archive
from cells.competition import Archive, Competition
from cells.errors import ArchiveError

THREE = Competition(
    name="three",
    title="",
    classes=("a", "b c", "d"),
    image_px=16,
    archive=Archive(resize="bicubic"),
)
LABELS = np.array([0, 1, 2, 0], np.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)


def write(folder, classes=None, **datasets):
    with h5py.File(folder / "t.h5", "w") as file:
        for name, values in datasets.items():
            file[name] = values
        if classes:
            file.attrs["classes"] = classes
    return folder / "t.h5"


def encoded(folder, key="jpeg", change=lambda data: data):
    """A file whose pictures are stored as PNG, each as long as it is."""
    with h5py.File(folder / "t.h5", "w") as file:
        stored = file.create_dataset(key, (4,), h5py.vlen_dtype(np.uint8))
        for row, image in enumerate(IMAGES):
            buffer = BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            data = change(buffer.getvalue()) if row == 2 else buffer.getvalue()
            stored[row] = np.frombuffer(data, np.uint8)
        file["labels"] = LABELS
    return folder / "t.h5"


def fault(path, competition=THREE):
    with pytest.raises(ArchiveError) as caught:
        read_archive(path, competition)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_pixels_and_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("cells.stack.BLOCK_BYTES", 16 * 16 * 3 * 8 * 3)  # three rows a block
    got = read_archive(write(tmp_path, images=IMAGES, labels=LABELS[:, None]), THREE)
    np.testing.assert_array_equal(got.images, IMAGES)
    assert got.labels.tolist() == [0, 1, 2, 0]
    assert got.names is None
    assert got.splits == ()


def test_the_competitions_keys_come_first(tmp_path):
    keys = THREE.archive.model_copy(update={"images": "x", "labels": "y"})
    other = THREE.model_copy(update={"archive": keys})
    path = write(tmp_path, x=IMAGES, y=LABELS, images=IMAGES[:2], labels=LABELS[:2])
    assert len(read_archive(path, other).labels) == 4


def test_another_size_and_range(tmp_path):
    pixels = np.full((4, 32, 40, 3), 0.2, np.float32)
    keys = THREE.archive.model_copy(update={"pixel_max": 1.0})
    got = read_archive(
        write(tmp_path, images=pixels, labels=LABELS),
        THREE.model_copy(update={"archive": keys}),
    )
    assert (got.images == 51).all()
    assert got.note == "made 16 px (bicubic): 4 of 40x32, middle 32 px"


@pytest.mark.parametrize("key", ["jpeg", "images", "encoded"])
def test_encoded_pictures(tmp_path, key):
    got = read_archive(encoded(tmp_path, key), THREE)
    np.testing.assert_array_equal(got.images, IMAGES)
    assert got.labels.tolist() == [0, 1, 2, 0]


def test_an_encoded_picture_that_ends_early_is_named(tmp_path):
    path = encoded(tmp_path, change=lambda data: data[:-100])
    assert fault(path) == (
        "t.h5: expected images, cannot use row 2 (truncated). Repair or remove them."
    )


def test_medmnists_keys(tmp_path):
    path = write(
        tmp_path,
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES[:2],
        test_labels=LABELS[:2],
    )
    got = read_archive(path, THREE)
    assert got.names == ("train/0", "train/1", "train/2", "train/3")
    assert got.splits == ("train",)


def test_missing_datasets(tmp_path):
    assert fault(write(tmp_path, images=IMAGES, classes_of=LABELS)) == (
        "t.h5: expected the datasets 'images' and 'labels', got 'classes_of', 'images'. Name them "
        "under [archive] in the competition file."
    )


def test_the_files_own_list_of_classes_must_be_the_competitions(tmp_path):
    assert (
        len(
            read_archive(
                write(tmp_path, ["A", "b_c", "d"], images=IMAGES, labels=LABELS), THREE
            ).labels
        )
        == 4
    )
    assert fault(write(tmp_path, ["b c", "a", "d"], images=IMAGES, labels=LABELS)) == (
        "t.h5: expected the classes a, b c, d, got b c, a, d. The competition is three; choose "
        "another with --competition."
    )


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (5, "images: expected shape (n, 16, 16, 3) with n > 0, got ()"),
        (IMAGES[..., 0], "images: expected shape (n, 16, 16, 3) with n > 0, got (4, 16, 16)"),
        (IMAGES > 5, "images: expected integers or floats, got dtype bool"),
        (IMAGES[:, :8, :8], "images of t.h5: expected at least 16 px a side, got 8x8"),
        (IMAGES[:3], "labels: expected 3 values for 3 images, got 4"),
    ],
)
def test_wrong_pixels(tmp_path, images, said):
    assert fault(write(tmp_path, images=images, labels=LABELS)).startswith(said)


@pytest.mark.parametrize(
    ("content", "got"), [(b"<html>Sign in</html>", "another kind of file"), (b"", "an empty one")]
)
@pytest.mark.parametrize("name", ["t.h5", "t.HDF5"])
def test_what_is_only_called_hdf5(tmp_path, name, content, got):
    path = tmp_path / name
    path.write_bytes(content)
    assert fault(path) == (
        f"{name}: expected an HDF5 file, got {got}. Download it again, or write it with h5py."
    )


def test_an_npz_is_read_whatever_it_is_called(tmp_path):
    with (tmp_path / "t.h5").open("wb") as file:
        np.savez(file, images=IMAGES, labels=LABELS)
    np.testing.assert_array_equal(read_archive(tmp_path / "t.h5", THREE).images, IMAGES)


def test_a_damaged_file(tmp_path):
    path = write(tmp_path, images=np.concatenate([IMAGES] * 50), labels=np.tile(LABELS, 50))
    path.write_bytes(path.read_bytes()[:5000])
    text = fault(path)
    assert text.startswith("t.h5: damaged (")
    assert text.endswith("Download it again.")
