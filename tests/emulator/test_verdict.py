"""Verdicts from what a run left behind, without running anything."""

import json

import numpy as np
import pytest

from emulator.supervise import Usage
from emulator.verdict import Outcome, judge, read_labels, read_outcome


def usage(exit_code: int = 0, timed_out: bool = False, oom_killed: bool = False) -> Usage:
    return Usage(exit_code, timed_out, oom_killed, seconds=1.0, peak_mb=512.4)


def test_done_is_ok_whatever_the_exit_code():
    # The platform goes on to scoring after a non-zero exit of ingestion.
    assert judge(Outcome("done"), usage(exit_code=3), None, "") == ("ok", "")


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [
        ("import", "import_error"),
        ("init", "init_error"),
        ("predict", "predict_error"),
        ("output", "bad_output"),
    ],
)
def test_each_phase_has_its_verdict(phase, verdict):
    assert judge(Outcome(phase, error="KeyError: 1"), usage(), None, "")[0] == verdict
    assert judge(Outcome(phase), usage(exit_code=0), None, "")[0] == verdict


def test_a_process_that_never_came_to_the_model_says_its_last_line():
    assert judge(None, usage(exit_code=1), None, "No module named numpy") == (
        "import_error",
        "the process ended (exit code 1) importing model.py; "
        "the last line it wrote: No module named numpy",
    )


def test_signals_are_named():
    assert "(SIGABRT)" in judge(Outcome("predict"), usage(exit_code=134), None, "")[1]


def test_a_time_out_speaks_the_platforms_words():
    assert judge(Outcome("init"), usage(137, timed_out=True), 2.5, "") == (
        "timeout",
        "Execution Time Limit exceeded. Limit was 2.5 seconds, reached constructing the model.",
    )


def test_a_process_that_does_not_end_after_predict_is_a_time_out():
    assert judge(Outcome("done"), usage(137, timed_out=True), 2, "")[1].endswith("after predict.")


def test_memory_is_called_memory():
    verdict, line = judge(Outcome("predict"), usage(137, oom_killed=True), None, "")
    assert verdict == "memory"
    assert line == (
        "the system ended the process in predict for want of memory, at 512 MB. "
        "Predict in smaller batches."
    )
    gone = Outcome(
        "predict", error="ResourceExhaustedError: OOM", error_type="ResourceExhaustedError"
    )
    assert judge(gone, usage(), None, "")[0] == "memory"


def test_an_outcome_is_read_only_with_its_token(tmp_path):
    path = tmp_path / "outcome.json"
    assert read_outcome(path, "t") is None
    noted = {"token": "t", "phase": "done", "error": None, "load_s": 1.5, "predict_s": 2}
    path.write_text(json.dumps(noted))
    assert read_outcome(path, "t") == Outcome("done", None, "", 1.5, 2.0, None)
    assert read_outcome(path, "other") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "[" * 100_000, '{"token": "t", "phase": "won"}', '{"token": "t"}']
)
def test_a_tampered_outcome_is_none(tmp_path, text):
    path = tmp_path / "outcome.json"
    path.write_text(text)
    assert read_outcome(path, "t") is None


def test_what_is_no_number_is_not_passed_on(tmp_path):
    path = tmp_path / "outcome.json"
    path.write_text(
        '{"token": "t", "phase": "init", "error": 5,'
        ' "load_s": NaN, "predict_s": "x", "peak_mb": true}'
    )
    assert read_outcome(path, "t") == Outcome("init", "5", "", None, None, None)


def labels_of(tmp_path, values) -> np.ndarray:
    np.save(tmp_path / "predictions.npy", np.asarray(values))
    return read_labels(tmp_path / "predictions.npy", images=4, classes=3)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_whole_numbers_of_any_dtype_are_labels(tmp_path, dtype):
    labels = labels_of(tmp_path, np.array([0, 1, 2, 1], dtype))
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0, 1, 2], "expected (4,) class indices, got shape (3,). Return one label an image."),
        ([], "got shape (0,). Return one label an image."),
        (3, "got shape ()."),
        (
            np.zeros((4, 3)),
            "got shape (4, 3) (one-hot or probabilities?). Return the argmax over the last axis.",
        ),
        ([[0], [1], [2], [0]], "got shape (4, 1). Return a flat array."),
        (["red", "red", "red", "red"], "got dtype <U3. Return integers."),
        ([True, False, True, True], "got dtype bool. Return integers."),
        ([0, 1j, 0, 0], "got dtype complex128. Return integers."),
        ([0, 1, np.nan, 2], "got NaN or infinity at index 2."),
        ([0, np.inf, 0, 2], "got NaN or infinity at index 1."),
        ([0.0, 1.0, 2.0, 0.25], "got 0.25 at index 3. Return integers."),
        ([0, 3, 0, 0], "expected (4,) class indices of 0 to 2, got 3 at index 1."),
        ([0, 0, -1, 0], "expected (4,) class indices of 0 to 2, got -1 at index 2."),
    ],
)
def test_anything_else_is_refused_by_what_it_is(tmp_path, values, says):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text is compared below)
        labels_of(tmp_path, values)
    assert says in str(error.value)


def one_hot_of(tmp_path, values) -> np.ndarray:
    np.save(tmp_path / "predictions.npy", np.asarray(values))
    return read_labels(tmp_path / "predictions.npy", images=2, classes=3, one_hot=True)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, bool])
def test_one_hot_rows_are_labels_where_they_are_asked_for(tmp_path, dtype):
    labels = one_hot_of(tmp_path, np.array([[0, 0, 1], [0, 1, 0]], dtype))
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0, 1], "expected (2, 3) one-hot rows, got shape (2,). Return one row an image."),
        (np.zeros((2, 4)), "got shape (2, 4)."),
        ([[0, 1, 0], [0.2, 0.7, 0.1]], "got another row at index 1. Return one 1, else zeros."),
        ([[0, 0, 0], [0, 1, 0]], "got another row at index 0."),
        ([[0, 1, 0], [1, 1, 0]], "got another row at index 1."),
        ([[0, 1, 0], [0, np.nan, 0]], "got NaN or infinity at index 1."),
        ([["0", "1", "0"], ["0", "1", "0"]], "got dtype <U1."),
    ],
)
def test_other_rows_than_one_hot_are_refused(tmp_path, values, says):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text is compared below)
        one_hot_of(tmp_path, values)
    assert says in str(error.value)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\x03\x04 not a zip", b"labels"])
def test_a_damaged_file_is_refused(tmp_path, data):
    (tmp_path / "predictions.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"^the labels cannot be read"):
        read_labels(tmp_path / "predictions.npy", 4, 3)


def test_an_array_larger_than_its_file_is_refused(tmp_path):
    path = tmp_path / "predictions.npy"
    np.save(path, np.zeros(4, np.int64))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"^the labels cannot be read"):
        read_labels(path, 4, 3)
