from itertools import chain, islice

import numpy as np
import tensorflow as tf

from cells.augment import augmenter
from cells.policy import Dose, Policy
from trainers.batches import plain_batches, steps_per_epoch, training_batches
from trainers.recipe import Phase, Recipe


def recipe(**fields) -> Recipe:
    fields = {"policy": Policy(flip=0), "class_weight_power": 0, **fields}
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


def test_an_epoch_of_our_own_changes_follows_from_seed_and_epoch_to_the_bit():
    """Flips, quadrants, noise and who is picked; whoever starts at epoch 2 sees the same."""
    policy = Policy(flip=0.8, split_rotate=Dose(rate=0.5), noise=Dose(rate=0.5))
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(20) % 3

    def epoch_2(seed: int, first_epoch: int) -> list[list[np.ndarray]]:
        made = training_batches(images, labels, 3, recipe(policy=policy), 6, seed, first_epoch)
        skipped = 3 * (2 - first_epoch)
        return [[part.numpy() for part in each] for each in islice(made, skipped, skipped + 3)]

    whole, resumed, other = epoch_2(5, 0), epoch_2(5, 2), epoch_2(6, 2)
    for one, two, three in zip(whole, resumed, other, strict=True):
        for part, same in zip(one, two, strict=True):
            np.testing.assert_array_equal(part, same)
        assert (one[0] != three[0]).any()
    given = {image.tobytes() for image in images.astype(np.float32)}
    unchanged = [image.tobytes() in given for part, _, _ in whole for image in part]
    assert 0 < sum(unchanged) < 9


def test_kerascvs_generators_start_from_seed_and_first_epoch(monkeypatch):
    """What reaches its layers: batches are made in parallel, and what they draw is unrepeatable."""
    policy, started = Policy(flip=0, brightness=Dose(rate=1)), []

    def noted(*args):
        started.append(args)
        return augmenter(*args)

    monkeypatch.setattr("trainers.batches.augmenter", noted)
    places = [(5, 0), (5, 0), (6, 0), (5, 1), (6, 1), (5, 2)]
    for seed, first_epoch in places:
        ((images, _, _),) = batches_of(1, 4, 4, seed, first_epoch, policy=policy)
        assert (images != numbered(4)).any()
    assert {(policy, px, batch) for policy, px, batch, _ in started} == {(policy, 4, 4)}
    seeds = [seed for *_, seed in started]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == len(places) - 1


def test_flips_differ_between_epochs():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8).repeat(8, 0)
    made = training_batches(images, np.zeros(8, int), 2, recipe(policy=Policy()), 8, 0, 0)
    first, second = (images.numpy() for images, _, _ in islice(made, 2))
    assert (first != second).any()


# ---- oversampling --------------------------------------------------------------------------------

RARE = [0] * 8 + [1] * 2 + [2]


def test_oversampled_each_class_comes_as_often_as_the_largest():
    fields = {"oversample": 1, "labels": RARE}
    assert steps_per_epoch(np.array(RARE), 3, recipe(oversample=1), 4) == 6
    labels = [labels for _, labels, _ in batches_of(12, 11, 4, **fields)]
    for epoch in (labels[:6], labels[6:]):
        np.testing.assert_array_equal(np.sum(epoch, axis=(0, 1)), [8, 8, 8])


def test_oversampled_epochs_follow_from_seed_and_epoch():
    fields = {"oversample": 0.5, "labels": RARE}  # 8, 4 and 2.8 ≈ 3 images: 3 batches
    whole = rows_of(batches_of(6, 11, 5, **fields))
    assert rows_of(batches_of(3, 11, 5, first_epoch=1, **fields)) == whole[3:]
    assert whole[:3] != whole[3:]
    for epoch in (whole[:3], whole[3:]):
        counts = np.bincount([*chain(*epoch)], minlength=11)
        np.testing.assert_array_equal(counts, [1] * 8 + [2] * 2 + [3])


def test_oversampling_and_class_weights_do_not_count_twice():
    fields = {"labels": RARE, "class_weight_power": 1}
    batches = batches_of(6, 11, 4, oversample=1, **fields)
    np.testing.assert_allclose(np.concatenate([weights for _, _, weights in batches]), 1)
    batches = batches_of(1, 11, 11, **fields)  # 11 / (3 · 8), 11 / (3 · 2), 11 / 3
    ((_, labels, weights),) = batches
    expected = np.array([11 / 24, 11 / 6, 11 / 3])[labels.argmax(axis=1)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


# ---- augmented once ------------------------------------------------------------------------------


def test_images_augmented_once_are_shown_as_they_are_with_their_shares():
    shares = np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 1, 0], [0.5, 0, 0.5]], np.float32)
    strong = Policy(flip=1, solarize=Dose(rate=1), mixup=Dose(rate=1))
    fields = {"policy": strong, "oversample": 1, "class_weight_power": 1}
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3)).astype(np.uint8)
    made = training_batches(images, shares, 3, recipe(**fields), 2, 0, 0)
    seen: dict[int, np.ndarray] = {}
    for batch, labels, weights in islice(made, 2):
        # counts 1.75, 1.75 and .5 images: each class weighs 4 / (3 · count)
        per_class = 4 / 3 / np.array([1.75, 1.75, 0.5])
        np.testing.assert_allclose(weights, labels.numpy() @ per_class, rtol=1e-5)
        for image, row in zip(batch.numpy(), labels.numpy(), strict=True):
            (number,) = (i for i in range(4) if (images[i] == image).all())
            seen[number] = row
    np.testing.assert_array_equal([seen[number] for number in range(4)], shares)


# ---- class weights -------------------------------------------------------------------------------


def test_images_are_weighted_by_their_class():
    # counts 4, 1, 1: 1/2, 1, 1, on average 4/6
    ((images, _, weights),) = batches_of(1, 6, 6, labels=[0, 0, 1, 0, 2, 0], class_weight_power=0.5)
    expected = np.array([0.75, 0.75, 1.5, 0.75, 1.5, 0.75])[images[:, 0, 0, 0].astype(int)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_mixed_image_weighs_what_its_labels_weigh_in_their_shares():
    policy = Policy(flip=0, mixup=Dose(rate=1, strength=1))
    labels = [0, 0, 1, 0, 2, 0] * 2
    ((_, shares, weights),) = batches_of(
        1, 12, 12, labels=labels, class_weight_power=0.5, policy=policy
    )
    assert ((shares > 0.01) & (shares < 0.99)).any()
    expected = shares[:, 0] * 0.75 + shares[:, 1] * 1.5 + shares[:, 2] * 1.5
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


# ---- the rest ------------------------------------------------------------------------------------


def test_the_policy_is_applied():
    policy = Policy(flip=0, solarize=Dose(rate=1, strength=1))
    images = np.full((8, 4, 4, 3), 250, np.uint8)
    labels = np.zeros(8, np.int64)
    made = training_batches(images, labels, 2, recipe(policy=policy), 8, 0, 0)
    changed, _, _ = next(iter(made))
    assert changed.numpy().max() < 250


def test_images_mapped_from_a_file_are_taken_as_they_are(tmp_path):
    numbered(6).tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=(6, 4, 4, 3))
    made = training_batches(mapped, np.zeros(6, int), 2, recipe(), 6, 0, 0)
    assert sorted(rows_of(islice(made, 1))[0]) == [*range(6)]


def test_plain_batches_are_the_images_as_they_are_to_the_last():
    parts = [part.numpy() for part in plain_batches(numbered(5), 2)]
    assert [len(part) for part in parts] == [2, 2, 1]
    assert parts[0].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(parts), numbered(5))
