"""Numbers worked out by hand, and against scikit-learn; the picture's colours."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from emulator.confusion import draw_confusion
from emulator.scores import confusion_counts, per_class, wilson_interval

TRUE = np.array([0, 0, 0, 1, 1, 3])
PREDICTED = np.array([0, 0, 1, 1, 0, 1])


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857-872, Table I, method 3; the last mirrored.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilsons_interval_is_newcombes_table(right, of, low, high):
    assert wilson_interval(right, of) == pytest.approx((low, high), abs=5e-5)


def test_counts_by_hand():
    counts = confusion_counts(TRUE, PREDICTED, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert (counts == confusion_matrix(TRUE, PREDICTED, labels=range(4))).all()


def test_the_table_of_classes_is_scikit_learns():
    table = per_class(confusion_counts(TRUE, PREDICTED, 4), ("a", "b", "c", "d"))
    assert [line["class"] for line in table] == ["a", "b", "c", "d"]
    theirs = precision_recall_fscore_support(TRUE, PREDICTED, labels=range(4), zero_division=0)
    for key, values in zip(("precision", "recall", "f1", "images"), theirs, strict=True):
        assert [line[key] for line in table] == pytest.approx(values.tolist())
    assert table[1]["precision"] == pytest.approx(1 / 3)
    assert table[2] == {"class": "c", "images": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def blue_share(path) -> float:
    """How much of a picture is dark blue."""
    from matplotlib.image import imread

    pixels = imread(path)[..., :3]
    return float(((pixels[..., 2] > 0.35) & (pixels[..., 0] < 0.2)).mean())


def test_colours_follow_the_shares_of_the_true_class(tmp_path):
    # The same two large numbers would look alike in both if counts made the colour.
    right = np.diag([2, 250])
    wrong = np.array([[250, 250], [250, 250]])
    draw_confusion(tmp_path / "right.png", right, ("a", "b"), "right")
    draw_confusion(tmp_path / "wrong.png", wrong, ("a", "b"), "wrong")
    assert blue_share(tmp_path / "right.png") > 0.08
    assert blue_share(tmp_path / "wrong.png") < 0.02


def test_many_classes_make_no_larger_picture(tmp_path):
    from matplotlib.image import imread

    names = [str(index) for index in range(40)]
    draw_confusion(tmp_path / "many.png", np.eye(40, dtype=int), names, "many")
    assert max(imread(tmp_path / "many.png").shape) < 3500
