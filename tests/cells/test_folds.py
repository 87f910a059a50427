import numpy as np
import pytest

from cells.dataset import DROPPED_PART, TEST_PART, TRAIN_PART
from cells.errors import DatasetError
from cells.folds import inner_rows, parse_shares, split

LABELS = np.repeat([0, 1, 2], [200, 100, 50])


def generator(seed=0):
    return np.random.default_rng(seed)


def test_test_part_and_folds_are_stratified():
    part, fold = split(LABELS, np.arange(350), np.arange(350), 5, generator())
    assert np.bincount(LABELS[part == TEST_PART]).tolist() == [20, 10, 5]
    assert (part[fold >= 0] == TRAIN_PART).all()
    assert (fold[part == TEST_PART] == -1).all()
    for number in range(5):
        assert np.bincount(LABELS[fold == number]).tolist() == [36, 18, 9]


def test_totals_are_even_when_classes_do_not_divide():
    labels = np.repeat(np.arange(6), 31)
    _, fold = split(labels, np.arange(len(labels)), np.arange(len(labels)), 8, generator())
    sizes = np.bincount(fold[fold >= 0])
    assert sizes.max() - sizes.min() <= 2  # 6 if ties went to the first fold


def test_dropped_rows_are_in_no_part():
    kept = np.arange(0, 350, 2)
    part, fold = split(LABELS, np.arange(350), kept, 5, generator())
    assert (part[1::2] == DROPPED_PART).all()
    assert (fold[1::2] == -1).all()
    assert (part[::2] != DROPPED_PART).all()


def test_groups_stay_whole():
    groups = np.arange(350)
    groups[1::2] -= 1  # pairs, all within a class
    groups[:10] = 0
    part, fold = split(LABELS, groups, np.arange(350), 5, generator())
    for group in np.unique(groups):
        assert len(set(zip(part[groups == group], fold[groups == group], strict=True))) == 1
    assert np.bincount(LABELS[part == TEST_PART]).tolist() == pytest.approx([20, 10, 5], abs=1)


def test_near_copies_under_two_labels_stay_together():
    groups = np.arange(350)
    groups[[0, 349]] = 0
    part, fold = split(LABELS, groups, np.arange(350), 5, generator(1))
    assert (part[0], fold[0]) == (part[349], fold[349])


def test_the_seed_decides():
    args = (LABELS, np.arange(350), np.arange(350), 5)
    first, again, other = (split(*args, generator(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).any()


def test_inner_rows_are_a_tenth_of_the_rows_given():
    rows = np.arange(349, -1, -3)
    inner = inner_rows(LABELS, np.arange(350), rows, generator())
    assert set(inner) <= set(rows.tolist())
    assert (np.diff(inner) > 0).all()
    np.testing.assert_array_equal(
        np.bincount(LABELS[inner]), np.floor(np.bincount(LABELS[rows]) / 10 + 0.5)
    )


def test_inner_rows_keep_groups_whole_and_touch_every_class():
    labels = np.repeat([0, 1], [40, 6])
    groups = np.concatenate([np.arange(40) // 4, [10, 10, 10, 11, 11, 12]])
    for seed in range(5):
        inner = inner_rows(labels, groups, np.arange(46), generator(seed), fraction=0.2)
        assert np.bincount(labels[inner]).tolist() == [8, 1]
        assert len(inner) == np.isin(groups, groups[inner]).sum()


def test_of_a_class_in_large_groups_the_smallest_is_inner():
    labels = np.repeat([0, 1], [40, 9])
    groups = np.concatenate([np.arange(40), [50, 50, 50, 50, 51, 51, 52, 52, 52]])
    inner = inner_rows(labels, groups, np.arange(49), generator())
    assert inner[labels[inner] == 1].tolist() == [44, 45]


def test_too_few_pictures_of_a_class():
    labels = np.repeat([0, 1], [40, 9])
    with pytest.raises(DatasetError) as caught:
        split(labels, np.arange(49), np.arange(49), 8, generator())
    assert str(caught.value) == (
        "folds: expected at least 10 distinct pictures of each class for 8 folds and a test part, "
        "got 9 of class 1. Use more images or fewer --folds."
    )
    with pytest.raises(DatasetError, match="got 0 of class 1"):
        split(labels, np.arange(49), np.arange(40), 8, generator())
    with pytest.raises(DatasetError, match=r"^folds: expected 2 to 100, got 1\. 8 is the default"):
        split(labels, np.arange(49), np.arange(49), 1, generator())
    with pytest.raises(DatasetError, match="at least 2 distinct pictures"):
        inner_rows(labels, np.zeros(49, int), np.arange(49), generator())


def test_shares_in_place_of_folds():
    groups = np.arange(350)
    groups[:20] = 0  # near copies stay together here too
    rows = np.arange(350)
    part, fold = split(LABELS, groups, rows, 8, generator(), parse_shares("60/36/4"))
    assert np.bincount(LABELS[part == TEST_PART]).tolist() == [8, 4, 2]
    assert np.bincount(LABELS[fold == 0]).tolist() == [72, 36, 18]
    assert np.bincount(LABELS[fold == 1]).tolist() == [120, 60, 30]
    assert len({(p, f) for p, f in zip(part[:20], fold[:20], strict=True)}) == 1


@pytest.mark.parametrize("text", ["60/36", "60/36/5", "0/96/4", "a/b/c", "60,36,4", "110/-14/4"])
def test_shares_that_are_none(text):
    with pytest.raises(DatasetError) as caught:
        parse_shares(text)
    assert str(caught.value) == (
        "--shares: expected TRAIN/HELD-OUT/TEST in per cent that sum to 100, such as 60/36/4, "
        f"got {text!r}."
    )
