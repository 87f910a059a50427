import numpy as np
import pytest
import tensorflow as tf

from trainers.sampling import class_weights, epoch_images, epoch_order, shown_counts

RARE = np.array([0] * 16 + [2] * 4 + [3])  # no image of class 1
KEY = tf.constant([3, 4], tf.int64)

# ---- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oversample", "counts"),
    [
        (0, [16, 0, 4, 1]),
        (0.5, [16, 0, 8, 4]),  # ratios 4 and 16 become 2 and 4
        (1, [16, 0, 16, 16]),
    ],
)
def test_counts_go_geometrically_from_as_they_are_to_all_alike(oversample, counts):
    np.testing.assert_array_equal(shown_counts(RARE, 4, oversample), counts)
    assert epoch_images(RARE, 4, oversample) == sum(counts)
    order = epoch_order(RARE, 4, oversample, KEY).numpy()
    np.testing.assert_array_equal(np.bincount(RARE[order], minlength=4), counts)


def test_mixed_images_count_by_their_shares_and_are_not_oversampled():
    shares = np.array([[1, 0], [0.25, 0.75], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(shown_counts(shares, 2, 1), [1.75, 1.25])
    assert epoch_images(shares, 2, 1) == 3
    assert sorted(epoch_order(shares, 2, 1, KEY).numpy()) == [0, 1, 2]


# ---- order ---------------------------------------------------------------------------------------


def test_rows_of_a_class_come_as_evenly_as_can_be():
    labels = np.array([0] * 7 + [1] * 3)  # class 1: 7 of 3 rows, two each and one of them thrice
    thrice = set()
    for epoch in range(12):
        order = epoch_order(labels, 2, 1, tf.constant([0, epoch], tf.int64)).numpy()
        counts = np.bincount(order, minlength=10)
        np.testing.assert_array_equal(counts[:7], 1)
        assert sorted(counts[7:]) == [2, 2, 3]
        thrice.add(int(counts[7:].argmax()))
    assert thrice == {0, 1, 2}


def test_an_order_is_shuffled_and_follows_from_its_key():
    first = epoch_order(RARE, 4, 0.3, KEY).numpy()
    np.testing.assert_array_equal(epoch_order(RARE, 4, 0.3, KEY), first)
    assert (epoch_order(RARE, 4, 0.3, KEY + 1).numpy() != first).any()
    assert (np.diff(RARE[first]) != 0).sum() > 4


# ---- class weights -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "ratio"), [(0, 1), (0.5, 3), (1, 9)], ids=["none", "root", "inverse"]
)
def test_a_class_nine_times_as_rare_weighs_a_power_of_nine_more(power, ratio):
    weights = class_weights(np.array([9, 1]), power)
    assert weights.dtype == np.float32
    assert weights[1] / weights[0] == pytest.approx(ratio, rel=1e-6)
    assert (9 * weights[0] + weights[1]) / 10 == pytest.approx(1)  # 1 on average over the images


def test_a_class_without_images_weighs_nothing():
    np.testing.assert_allclose(class_weights(np.array([2, 0, 2, 0]), 0.5), [1, 0, 1, 0])


def test_classes_shown_alike_weigh_1_each():
    for power in (0.5, 1):
        weights = class_weights(shown_counts(RARE, 4, 1), power)
        np.testing.assert_array_equal(weights, [1, 0, 1, 1])
