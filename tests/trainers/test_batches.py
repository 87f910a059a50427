from itertools import chain, islice

import numpy as np
import pytest
import tensorflow as tf

from cells.policy import Dose, Policy
from trainers.batches import class_weights, plain_batches, training_batches
from trainers.recipe import Phase, Recipe


def recipe(**fields) -> Recipe:
    fields = {"policy": Policy(flip=0), "class_weights": False, **fields}
    return Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), **fields)


def numbered(n: int, px: int = 4) -> np.ndarray:
    """Image i is of the flat value i, so that it can be told apart."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, px, px, 3)).copy()


def batches_of(count, n, batch, seed=3, first_epoch=0, labels=None, **fields):
    labels = np.zeros(n, np.int64) if labels is None else np.asarray(labels)
    made = training_batches(numbered(n), labels, 3, recipe(**fields), batch, seed, first_epoch)
    return [[part.numpy() for part in each] for each in islice(made, count)]


def rows_of(batches) -> list[list[int]]:
    return [[int(image[0, 0, 0]) for image in images] for images, _, _ in batches]


# ---- class weights -------------------------------------------------------------------------------


def test_class_weights_are_the_root_of_inverse_frequency_and_1_on_average():
    # 9 and 1 images: 1/3 and 1, which is .4 on average over the ten images
    weights = class_weights(np.array([0] * 9 + [1]), 2)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [1 / 3 / 0.4, 1 / 0.4], rtol=1e-6)
    assert (9 * weights[0] + weights[1]) / 10 == pytest.approx(1)


def test_a_class_without_images_weighs_nothing():
    np.testing.assert_allclose(class_weights(np.array([0, 2, 2, 0]), 4), [1, 0, 1, 0])


# ---- batches -------------------------------------------------------------------------------------


def test_a_batch_is_float32_0_to_255_with_one_hot_labels_and_weight_1():
    labels = np.array([0, 1, 2, 1])
    ((images, one_hot, weights),) = batches_of(1, 4, 4, labels=labels)
    assert [images.dtype, one_hot.dtype, weights.dtype] == [np.float32] * 3
    assert (images.shape, one_hot.shape, weights.shape) == ((4, 4, 4, 3), (4, 3), (4,))
    rows = [int(image[0, 0, 0]) for image in images]
    np.testing.assert_array_equal(images, numbered(4)[rows])
    np.testing.assert_array_equal(one_hot, np.eye(3)[labels[rows]])
    np.testing.assert_array_equal(weights, np.ones(4))


def test_no_python_generator_feeds_the_batches():
    """TensorFlow's makes glibc return freed memory at once, which costs a CPU dearly."""
    data = numbered(4), np.zeros(4, np.int64), 3
    ours = training_batches(*data, recipe(), 2, 0, 0)
    spec = tf.TensorSpec((), tf.int64)
    theirs = tf.data.Dataset.from_generator(lambda: iter([1]), output_signature=spec)
    with_one = [
        b"GeneratorDataset" in each._as_serialized_graph().numpy() for each in (ours, theirs)
    ]
    assert with_one == [False, True]


def test_an_epoch_takes_each_row_at_most_once_and_epochs_differ():
    rows = rows_of(batches_of(6, 11, 3))  # 3 batches an epoch, 2 of 11 rows are left over
    epochs = [[*chain(*rows[:3])], [*chain(*rows[3:])]]
    for epoch in epochs:
        assert len(set(epoch)) == 9
        assert set(epoch) <= set(range(11))
    assert epochs[0] != epochs[1]


def test_an_epochs_order_follows_from_seed_and_epoch_alone():
    whole = rows_of(batches_of(6, 12, 4, seed=5))
    assert rows_of(batches_of(3, 12, 4, seed=5, first_epoch=1)) == whole[3:]
    assert rows_of(batches_of(3, 12, 4, seed=6)) != whole[:3]


def test_images_are_weighted_by_their_class():
    # counts 4, 1, 1: 1/2, 1, 1, on average 4/6
    ((images, _, weights),) = batches_of(1, 6, 6, labels=[0, 0, 1, 0, 2, 0], class_weights=True)
    expected = np.array([0.75, 0.75, 1.5, 0.75, 1.5, 0.75])[images[:, 0, 0, 0].astype(int)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_mixed_image_weighs_what_its_labels_weigh_in_their_shares():
    policy = Policy(flip=0, mixup=Dose(rate=1, strength=1))
    labels = [0, 0, 1, 0, 2, 0] * 2
    ((_, shares, weights),) = batches_of(
        1, 12, 12, labels=labels, class_weights=True, policy=policy
    )
    assert ((shares > 0.01) & (shares < 0.99)).any()
    expected = shares[:, 0] * 0.75 + shares[:, 1] * 1.5 + shares[:, 2] * 1.5
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_the_policy_is_applied():
    policy = Policy(flip=0, solarize=Dose(rate=1, strength=1))
    images = np.full((8, 4, 4, 3), 250, np.uint8)
    labels = np.zeros(8, np.int64)
    made = training_batches(images, labels, 2, recipe(policy=policy), 8, 0, 0)
    changed, _, _ = next(iter(made))
    assert changed.numpy().max() < 250


def test_plain_batches_are_the_images_as_they_are_to_the_last():
    parts = [part.numpy() for part in plain_batches(numbered(5), 2)]
    assert [len(part) for part in parts] == [2, 2, 1]
    assert parts[0].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(parts), numbered(5))
