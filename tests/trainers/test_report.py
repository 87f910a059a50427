import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from trainers.report import draw_curves, per_class, read_history, write_history

# Three images of class 0, two of 1, one of 2; the third and the last are taken for another.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = [0, 0, 1, 1, 1, 0]
SURE = 0.8


@pytest.fixture(scope="module")
def report():
    probs = np.full((6, 3), (1 - SURE) / 2, np.float32)
    probs[np.arange(6), PREDICTED] = SURE
    return per_class(LABELS, probs, ("a", "b", "c"))


def test_accuracy_and_log_loss_by_hand(report):
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["log_loss"] == pytest.approx(-(4 * np.log(0.8) + 2 * np.log(0.1)) / 6, rel=1e-6)


def test_each_class_by_hand(report):
    assert report["classes"] == {
        "a": pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "images": 3}),
        "b": pytest.approx({"precision": 2 / 3, "recall": 1, "f1": 4 / 5, "images": 2}),
        "c": pytest.approx({"precision": 0, "recall": 0, "f1": 0, "images": 1}),  # never predicted
    }


def test_mean_and_standard_deviation_over_classes_by_hand(report):
    f1 = (2 / 3 + 4 / 5 + 0) / 3
    squares = (2 / 3 - f1) ** 2 + (4 / 5 - f1) ** 2 + f1**2
    assert report["mean"] == pytest.approx({"precision": 4 / 9, "recall": 5 / 9, "f1": f1})
    # deviations in ninths: 2, 2, -4 and 1, 4, -5
    assert report["sd"] == pytest.approx(
        {
            "precision": np.sqrt(24 / 81 / 3),
            "recall": np.sqrt(42 / 81 / 3),
            "f1": np.sqrt(squares / 3),
        }
    )


def test_a_class_that_is_absent_still_has_its_line():
    probs = np.float32([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    found = per_class(np.array([0, 1]), probs, ("a", "b", "c"))
    assert found["classes"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "images": 0}
    assert found["accuracy"] == 1


def curves(versions, tmp_path, monkeypatch) -> tuple[list[dict], Figure]:
    """A history of two phases with these versions of the inner rows, and the figure of it."""
    keys = ["loss", "learning_rate"]
    keys += [f"inner_{version}_{what}" for version in versions for what in ("loss", "accuracy")]
    history = [
        {"phase": phase, **{key: 1 / (1 + epoch + number) for number, key in enumerate(keys)}}
        for epoch, phase in enumerate(["head", "head", "whole"])
    ]
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw))
    )
    draw_curves(tmp_path / "curves.png", history, "toy, fold 0")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[1] > 1000
    (figure,) = figures
    return history, figure


@pytest.mark.parametrize("versions", [("clean", "shifted"), ("clean", "shifted", "augmented")])
def test_curves_show_each_version_of_the_inner_rows(versions, tmp_path, monkeypatch):
    history, figure = curves(versions, tmp_path, monkeypatch)
    drawn = [
        {
            line.get_label() if axis.get_legend() else "rate": list(line.get_ydata())
            for line in axis.lines
            if len(line.get_xdata()) == 3
        }
        for axis in figure.axes
    ]
    losses, accuracies = (
        {
            f"inner, {version}": [row[f"inner_{version}_{what}"] for row in history]
            for version in versions
        }
        for what in ("loss", "accuracy")
    )
    assert drawn == [
        {"training (augmented)": [row["loss"] for row in history], **losses},
        accuracies,
        {"rate": [row["learning_rate"] for row in history]},
    ]


def test_curves_show_where_the_second_phase_begins(tmp_path, monkeypatch):
    _, figure = curves(("clean", "shifted"), tmp_path, monkeypatch)
    borders = [line.get_xdata() for axis in figure.axes for line in axis.lines[-1:]]
    assert borders == [[2.5, 2.5]] * 3


def test_a_history_is_read_as_it_was_written(tmp_path):
    history = [{"phase": "head", "epoch": n, "loss": 1 / (3 * n), "seconds": 2.0} for n in (1, 2)]
    write_history(tmp_path / "history.csv", history)
    assert read_history(tmp_path / "history.csv") == history
    assert read_history(tmp_path / "nothing.csv") == []
