import numpy as np
import pytest

from ensemble.scores import accuracy, class_table, family_accuracies, log_loss

PROBS = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
LABELS = np.array([0, 0, 1, 1])


def test_accuracy():
    assert accuracy(PROBS, LABELS) == 0.75


def test_log_loss():
    expected = -(np.log(0.8) + np.log(0.6) + np.log(0.7) + np.log(0.1)) / 4
    assert log_loss(PROBS, LABELS) == pytest.approx(expected)


def test_log_loss_of_an_impossible_label_is_finite():
    assert log_loss(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(-np.log(1e-7))


def test_class_table():
    table = class_table(PROBS, LABELS, ("a", "b"))
    # a: predicted 3 times, right twice, 2 true; b: predicted once, right, 2 true
    a, b = table["classes"]
    assert (a["precision"], a["recall"], a["images"]) == (pytest.approx(2 / 3), 1.0, 2)
    assert (b["precision"], b["recall"], b["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    mean, sd = table["summary"]
    assert mean["recall"] == 0.75
    assert sd["recall"] == 0.25


def test_family_accuracies():
    families = np.array([0, 2, 2, 2])
    found = family_accuracies(PROBS, LABELS, families, ("blur", "noise", "fog"))
    np.testing.assert_allclose(found, [1, np.nan, 2 / 3])
