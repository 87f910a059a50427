import io
import zipfile

import numpy as np
import pytest

from cells.archive import read_archive
from cells.competition import Competition
from cells.errors import ArchiveError

THREE = Competition(name="three", title="", classes=("a", "b", "c"), image_px=16)
ONE = THREE.model_copy(update={"archive": THREE.archive.model_copy(update={"pixel_max": 1.0})})
CHOOSE = "The competition is three; choose another with --competition."


def some(n=6):
    images = np.arange(n * 16 * 16 * 3, dtype=np.int64).reshape(n, 16, 16, 3) % 256
    return images.astype(np.uint8), (np.arange(n) % 3).astype(np.uint8)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


def fault(path, competition=THREE):
    with pytest.raises(ArchiveError) as caught:
        read_archive(path, competition)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("labels_shape", [(6,), (6, 1)])
def test_reads_labels_in_both_shapes(tmp_path, labels_shape):
    images, labels = some()
    got = read_archive(
        write(tmp_path / "t.npz", images=images, labels=labels.reshape(labels_shape)), THREE
    )
    assert got.images.dtype == np.uint8
    np.testing.assert_array_equal(got.images, images)
    assert got.labels.dtype == np.int64
    assert got.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_takes_keys_and_size_from_the_competition(tmp_path):
    images, labels = some()
    keys = THREE.archive.model_copy(update={"images": "x", "labels": "y"})
    other = THREE.model_copy(update={"archive": keys})
    got = read_archive(write(tmp_path / "t.npz", x=images, y=labels), other)
    np.testing.assert_array_equal(got.images, images)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16])
def test_accepts_other_number_types_in_range(tmp_path, dtype):
    images, labels = some()
    path = write(tmp_path / "t.npz", images=images.astype(dtype), labels=labels.astype(np.float32))
    got = read_archive(path, THREE)
    np.testing.assert_array_equal(got.images, images)
    assert got.labels.dtype == np.int64


def test_multiplies_when_the_competition_says_0_to_1(tmp_path):
    images, labels = some()
    path = write(tmp_path / "t.npz", images=(images / 255).astype(np.float32), labels=labels)
    np.testing.assert_array_equal(read_archive(path, ONE).images, images)


def test_a_scored_set_may_lack_a_class(tmp_path):
    images, _ = some()
    path = write(tmp_path / "t.npz", images=images, labels=np.zeros(6, int))
    assert read_archive(path, THREE, every_class=False).labels.tolist() == [0] * 6


def test_missing_file(tmp_path):
    path = tmp_path / "t.npz"
    assert fault(path).startswith(f"{path}: no such file. Give the path of the platform's npz, or")


def test_empty_folder(tmp_path):
    assert fault(tmp_path) == (
        f"{tmp_path}: expected one folder per class (a, b, c), got no file at all."
    )


def test_not_an_npz(tmp_path):
    path = tmp_path / "t.npz"
    path.write_bytes(b"")
    assert fault(path) == "t.npz: expected an npz file, got an empty one. Download it again."
    path.write_text("<html>Sign in</html>")
    assert (
        fault(path)
        == "t.npz: expected an npz file, got another kind of file. Write it with numpy.savez."
    )
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "got a single array (npy)" in fault(path)


def test_truncated(tmp_path):
    images, labels = some()
    path = write(tmp_path / "t.npz", images=images, labels=labels)
    path.write_bytes(path.read_bytes()[:1000])
    assert (
        fault(path) == "t.npz: truncated, its end is missing (1000 bytes came). Download it again."
    )


def test_bytes_changed_inside(tmp_path):
    images, labels = some()
    path = write(tmp_path / "t.npz", images=images, labels=labels)
    data = bytearray(path.read_bytes())
    data[2000] ^= 255
    path.write_bytes(data)
    assert fault(path).startswith("t.npz: damaged (Bad CRC-32")


def test_a_member_that_ends_early(tmp_path):
    images, labels = some()
    buffer = io.BytesIO()
    np.save(buffer, images)
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", buffer.getvalue()[:-100])
        buffer = io.BytesIO()
        np.save(buffer, labels)
        archive.writestr("labels.npy", buffer.getvalue())
    text = fault(path)
    assert text.startswith("t.npz: images is damaged (")
    assert text.endswith("Download it again.")


def test_a_member_that_is_no_array(tmp_path):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", b"hello")
        archive.writestr("labels", b"hello")
    assert fault(path) == "images: expected an array written by numpy.savez, got raw bytes (t.npz)."


class Trap:
    """Unpickling this fails the test."""

    def __reduce__(self):
        return (pytest.fail, ("the archive was unpickled",))


def test_objects_are_never_unpickled(tmp_path):
    images = some()[0]
    objects = np.array([Trap()], dtype=object)
    assert fault(write(tmp_path / "t.npz", images=images, labels=objects)) == (
        "labels: expected numbers, got Python objects, which are never loaded (t.npz). "
        "Save plain arrays: numpy.savez with dtype uint8."
    )


def test_missing_keys(tmp_path):
    images, labels = some()
    assert fault(write(tmp_path / "t.npz", data=images, labels=labels)) == (
        "t.npz: expected the arrays 'images' and 'labels', got 'data', 'labels'. "
        "Name them under [archive] in the competition file."
    )


def test_lengths_differ(tmp_path):
    images, labels = some()
    assert fault(write(tmp_path / "t.npz", images=images, labels=labels[:-1])) == (
        "labels: expected 6 values for 6 images, got 5 (t.npz). Export the archive again."
    )


@pytest.mark.parametrize("shape", [(6, 16, 16), (6, 16, 16, 1), (6, 24, 24, 3), (0, 16, 16, 3)])
def test_image_shape(tmp_path, shape):
    path = write(tmp_path / "t.npz", images=np.ones(shape, np.uint8), labels=some()[1])
    assert fault(path) == (
        f"images: expected shape (n, 16, 16, 3) with n > 0, got {shape} (t.npz). {CHOOSE}"
    )


@pytest.mark.parametrize("dtype", ["bool", "complex64", "U1"])
def test_image_dtype(tmp_path, dtype):
    images, labels = some()
    text = fault(write(tmp_path / "t.npz", images=images.astype(dtype), labels=labels))
    assert text == (
        f"images: expected integers or floats, got dtype {np.dtype(dtype)} (t.npz). "
        "Save them as uint8."
    )


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_not_finite(tmp_path, value, said):
    images, labels = some()
    images = images.astype(np.float32)
    images[4, 3, 2, 1] = value
    assert fault(write(tmp_path / "t.npz", images=images, labels=labels)) == (
        f"images: expected finite numbers, got {said} in row 4 (t.npz). "
        "Repair or remove the row and export the archive again."
    )


@pytest.mark.parametrize("value", [-1, 256])
def test_pixel_range(tmp_path, value):
    images, labels = some()
    images = images.astype(np.int32)
    images[5, 0, 0, 0] = value
    assert fault(write(tmp_path / "t.npz", images=images, labels=labels)) == (
        f"images: expected values 0 to 255, got {value} in row 5 (t.npz). "
        "Set pixel_max in the competition file, or export the archive again."
    )


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_scaled_to_0_1_where_0_255_is_meant(tmp_path, dtype):
    images, labels = some()
    images = (images > 100).astype(dtype)
    assert fault(write(tmp_path / "t.npz", images=images, labels=labels)) == (
        "images: expected values 0 to 255, got none above 1 (t.npz). "
        "If scaled to 0-1, multiply by 255 or set pixel_max = 1 in the competition file."
    )


def test_0_to_255_where_0_to_1_is_meant(tmp_path):
    images, labels = some()
    text = fault(write(tmp_path / "t.npz", images=images, labels=labels), ONE)
    assert text.startswith("images: expected values 0 to 1, got 255 in row 0")


def test_label_faults(tmp_path):
    images, labels = some()

    def say(labels):
        return fault(write(tmp_path / "t.npz", images=images, labels=labels))

    assert say(np.eye(3)[labels]) == (
        "labels: expected shape (n,) or (n, 1), got (6, 3) (t.npz). "
        "Take the argmax of one-hot labels."
    )
    assert say(labels + 0.5) == (
        "labels: expected integers, got 0.5 in row 0 (t.npz). Save class numbers 0 to 2."
    )
    assert say(np.where(labels == 2, np.nan, labels)) == (
        "labels: expected integers, got nan in row 2 (t.npz). Save class numbers 0 to 2."
    )
    assert say(np.array(list("abcabc"))) == (
        "labels: expected integers, got dtype <U1 (t.npz). Save class numbers 0 to 2."
    )
    assert say(labels.astype(int) - 1) == (
        f"labels: expected 0 to 2 for 3 classes, got -1 in row 0 (t.npz). {CHOOSE}"
    )
    assert say(labels + 1) == (
        f"labels: expected 0 to 2 for 3 classes, got 3 in row 2 (t.npz). {CHOOSE}"
    )
    assert say(labels // 2) == (
        f"labels: expected all 3 classes, got no image of class 2, c (t.npz). {CHOOSE}"
    )


MED = THREE.model_copy(update={"archive": THREE.archive.model_copy(update={"resize": "area"})})


def medmnist(path, px=16, splits=("train", "val", "test")):
    """MedMNIST's npz: six, three and three images, each split of one shade."""
    arrays = {}
    for shade, split in enumerate(splits, 1):
        rows = 6 if split == "train" else 3
        arrays[f"{split}_images"] = np.full((rows, px, px, 3), 50 * shade, np.uint8)
        arrays[f"{split}_labels"] = (np.arange(rows) % 3).astype(np.uint8)[:, None]
    return write(path, **arrays)


def test_of_medmnist_only_the_training_split(tmp_path):
    got = read_archive(medmnist(tmp_path / "m.npz"), MED)
    assert (got.images == 50).all()
    assert got.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert got.names == tuple(f"train/{row}" for row in range(6))
    assert got.splits == ("train",)
    assert got.warning is None


def test_medmnists_other_splits_are_asked_for(tmp_path):
    got = read_archive(medmnist(tmp_path / "m.npz"), MED, splits=("train", "test"))
    assert got.images[:, 0, 0, 0].tolist() == [50] * 6 + [150] * 3
    assert got.names[6:] == ("test/0", "test/1", "test/2")
    assert got.warning.startswith("m.npz: with images of test. The platform's hidden images may")


def test_medmnist_without_a_training_split(tmp_path):
    path = medmnist(tmp_path / "m.npz", splits=("val", "test"))
    assert fault(path, MED) == (
        "m.npz: expected the split train, got only val, test. Choose with --splits; hidden images "
        "may be in all but train."
    )


@pytest.mark.parametrize("px", [64, 128, 224])
def test_medmnists_larger_sizes_are_made_the_competitions(tmp_path, px, monkeypatch):
    monkeypatch.setattr("cells.stack.BLOCK_BYTES", 4 * px * px * 3 * 8)  # four rows a block
    got = read_archive(medmnist(tmp_path / "m.npz", px), MED)
    assert got.images.shape == (6, 16, 16, 3)
    assert (got.images == 50).all()
    assert got.note == f"made 16 px (area): 6 of {px}x{px}"


def test_medmnists_smallest_is_not_enlarged_unasked(tmp_path):
    path = medmnist(tmp_path / "m.npz", 12)
    assert fault(path, MED) == (
        "train_images of m.npz: expected at least 16 px a side, got 12x12: enlarging adds no "
        "detail. Take larger images (`bcsub fetch bloodmnist --px 128`), or ask for it with "
        "--upscale."
    )
    assert read_archive(path, MED, upscale=True).note == "made 16 px (area): 6 of 12x12"


def test_arrays_in_another_layout_are_read_too(tmp_path):
    images, labels = some()
    path = write(tmp_path / "t.npz", images=np.asfortranarray(images), labels=labels)
    np.testing.assert_array_equal(read_archive(path, THREE).images, images)


def test_images_are_streamed_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("cells.stack.BLOCK_BYTES", 1)  # one row a block
    images, labels = some()
    path = write(tmp_path / "t.npz", images=images.astype(np.float32), labels=labels)
    np.testing.assert_array_equal(read_archive(path, THREE).images, images)
    images = images.astype(np.float32)
    images[4, 0, 0, 0] = 300
    path = write(tmp_path / "t.npz", images=images, labels=labels)
    assert "got 300 in row 4" in fault(path)
