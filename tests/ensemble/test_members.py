import h5py
import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.members import align
from ensemble.runs import find_members
from submission.model import FORMAT


def refuse(folder, dataset):
    raise AssertionError(f"{folder}: predicted again without need")


def find(root, *wanted, preset=None, remake=refuse, report=lambda line: None):
    return find_members(
        root.path / "runs", root.dataset, wanted, preset, remake=remake, report=report
    )


def test_a_row_comes_from_the_one_model_that_did_not_see_it(root):
    root.run("cnn-cpu", 0, probs=lambda labels: root.sure(labels, 0.5))
    root.run("cnn-cpu", 1, probs=lambda labels: root.sure(labels, 0.9))
    (member,) = find(root)
    data = align([member], root.dataset)
    assert data.rows.tolist() == list(range(96))
    true = data.shifted[0, np.arange(96), :, data.labels]
    np.testing.assert_allclose(true[0::2], 0.5)  # even rows are fold 0
    np.testing.assert_allclose(true[1::2], 0.9)
    # The test part was seen by neither: there the bundle's mean of both counts.
    np.testing.assert_allclose(data.test_shifted[0, np.arange(24), :, data.test_labels], 0.7)
    assert data.models.tolist() == [2]


def test_each_row_keeps_its_own_prediction(root):
    """Folds interleave, so a mix-up of order would give a row its neighbour's numbers."""
    folders = [root.run("cnn-cpu", fold) for fold in (0, 1)]
    for folder in folders:
        with h5py.File(folder / "predictions.h5", "r+") as file:
            p = file["rows"][:] / 200
            file["clean"][:] = np.stack([p, 1 - p, 0 * p], axis=1)[:, None]
    clean, _ = find(root)[0].out_of_fold(np.array([7, 4, 95]))
    np.testing.assert_allclose(clean[:, 0, 0], [0.035, 0.02, 0.475])


def test_members_meet_on_the_rows_that_all_held_out(root):
    root.run("cnn-cpu", 0)
    root.run("cnn-cpu", 1)
    root.run("atto-cpu", 1)
    data = align(find(root), root.dataset)
    assert data.rows.tolist() == list(range(1, 96, 2))
    assert data.shifted.shape == (2, 48, 8, 3)
    assert data.models.tolist() == [1, 2]  # atto-cpu, cnn-cpu


def test_no_common_row_is_an_error_that_names_the_folds(root):
    root.run("cnn-cpu", 0)
    root.run("atto-cpu", 1)
    with pytest.raises(EnsembleError) as error:
        align(find(root), root.dataset)
    assert str(error.value) == (
        "members: expected rows that all of them held out, got none "
        "(atto-cpu folds 1; cnn-cpu folds 0). "
        "Name runs that share a fold, or train them with the same --folds."
    )


def test_runs_are_found_by_run_by_name_and_by_preset(root):
    root.run("cnn-cpu-11", name="cnn")
    root.run("cnn-demo-22", name="cnn", preset="demo")
    root.run("atto-cpu-33", name="atto")
    assert [m.run for m in find(root)] == ["atto-cpu-33", "cnn-cpu-11", "cnn-demo-22"]
    assert [m.run for m in find(root, "cnn")] == ["cnn-cpu-11", "cnn-demo-22"]
    assert [m.run for m in find(root, "cnn-cpu-11", "atto")] == ["atto-cpu-33", "cnn-cpu-11"]
    assert [m.run for m in find(root, preset="demo")] == ["cnn-demo-22"]
    with pytest.raises(EnsembleError, match="nope: expected a finished run or a member's name"):
        find(root, "nope")
    with pytest.raises(EnsembleError, match=r"finished runs' \(cpu, demo\), got full"):
        find(root, preset="full")


def test_unfinished_folds_are_left_out_with_a_notice(root):
    root.run("cnn-cpu", 0)
    (root.run("atto-cpu", 0) / "DONE").unlink()
    lines = []
    assert [m.run for m in find(root, report=lines.append)] == ["cnn-cpu"]
    assert lines == ["atto-cpu/fold-0: not finished. Left out; `bcsub train` goes on with it."]


def test_nothing_finished(root):
    with pytest.raises(EnsembleError, match=r"got none\. Run `bcsub train NAME` first."):
        find(root)


def test_a_run_of_another_dataset_is_left_out_unless_named(root):
    root.run("cnn-cpu")
    root.run("old-cpu", data_fingerprint="data-two")
    lines = []
    assert [m.run for m in find(root, report=lines.append)] == ["cnn-cpu"]
    line = "old-cpu: expected predictions for dataset data-one, got data-two."
    assert lines == [f"{line} Left out."]
    with pytest.raises(EnsembleError) as error:
        find(root, "old-cpu")
    assert str(error.value) == f"{line} Train it again on this dataset."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("member_fingerprint", "older"),
        ("runtime_version", 0),
        ("views", '["identity"]'),
        ("classes", '["a", "b"]'),
    ],
)
def test_stale_predictions_are_made_again(root, key, value):
    folder = root.run("cnn-cpu")
    asked, lines = [], []
    with h5py.File(folder / "predictions.h5", "r+") as file:
        right = file.attrs[key]
        file.attrs[key] = value

    def remake(folder, dataset):
        asked.append(folder)
        with h5py.File(folder / "predictions.h5", "r+") as file:
            file.attrs[key] = right

    assert len(find(root, remake=remake, report=lines.append)) == 1
    assert asked == [folder]
    assert lines[0].startswith(f"cnn-cpu/fold-0: predictions.h5: {key}: expected ")
    assert lines[0].endswith("Predicting again.")


def test_missing_predictions_are_made_again_and_checked(root):
    folder = root.run("cnn-cpu")
    (folder / "predictions.h5").unlink()
    with pytest.raises(EnsembleError, match=r"missing or damaged .* also after predicting again"):
        find(root, remake=lambda folder, dataset: None)


def test_predictions_for_other_rows_are_stale(root):
    folder = root.run("cnn-cpu")
    with h5py.File(folder / "predictions.h5", "r+") as file:
        file["rows"][0] = 1
    with pytest.raises(EnsembleError, match="rows: expected the dataset's, got others"):
        find(root, remake=lambda folder, dataset: None)


def test_a_member_for_other_classes_is_an_error(root):
    folder = root.run("cnn-cpu")
    with h5py.File(folder / "member.h5", "r+") as file:
        file.attrs["classes"] = '["a", "b"]'
    with pytest.raises(EnsembleError) as error:
        find(root)
    assert str(error.value) == (
        "cnn-cpu/fold-0/member.h5: classes: expected ['round', 'lobed', 'flat'], got ['a', 'b']. "
        "Delete the folder and train it again."
    )


def test_older_formats_are_read_and_lost_operations_are_told(root):
    folder = root.run("cnn-cpu")  # written as format 1
    assert len(find(root)) == 1
    with h5py.File(folder / "member.h5", "r+") as file:
        text = file["program"][()].decode()
        del file["program"]
        file["program"] = text.replace("flatten", "cell_mask")
    with pytest.raises(
        EnsembleError, match=r"of format 1 with cell_mask\. Delete the folder and train it again"
    ):
        find(root)


def test_a_member_of_a_newer_format_is_an_error(root):
    with h5py.File(root.run("cnn-cpu") / "member.h5", "r+") as file:
        file.attrs["format"] = FORMAT + 1
    with pytest.raises(EnsembleError, match=rf"expected format {FORMAT} or older"):
        find(root)


def test_a_run_without_its_member_counts_as_unfinished(root):
    (root.run("cnn-cpu") / "member.h5").unlink()
    with pytest.raises(EnsembleError, match=r"expected finished runs of dataset data-one, got no"):
        find(root)


def test_a_damaged_member_is_an_error(root):
    (root.run("cnn-cpu") / "member.h5").write_bytes(b"x")
    with pytest.raises(EnsembleError, match=r"cnn-cpu/fold-0/member.h5: missing or damaged"):
        find(root)


def test_a_recipe_that_lacks_a_field_is_an_error(root):
    (root.run("cnn-cpu") / "recipe.json").write_text('{"name": "cnn", "preset": "cpu"}')
    with pytest.raises(EnsembleError, match=r"recipe\.json: .* got none for fold, data_finger"):
        find(root)


def test_a_member_without_a_fingerprint_is_an_error(root):
    folder = root.run("cnn-cpu")
    with h5py.File(folder / "member.h5", "r+") as file:
        del file.attrs["member_fingerprint"]
    with pytest.raises(EnsembleError, match=r"member\.h5: no fingerprint"):
        find(root)


def test_a_diverged_member_is_an_error(root):
    root.run("cnn-cpu", probs=lambda labels: root.sure(labels, np.nan))
    with pytest.raises(
        EnsembleError, match="cnn-cpu/fold-0: clean: expected probabilities, got NaN"
    ):
        find(root)
