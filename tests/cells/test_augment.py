import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from cells.augment import augmented_once, augmenter
from cells.policy import Dose, Policy
from tests.cells.augmented import (
    KEY,
    LAYERS,
    LOW_AND_HIGH,
    MIXING,
    PX,
    TWO_CLASSES,
    augmented,
    changes,
    noise,
    only,
)

# ---- rates ---------------------------------------------------------------------------------------


def test_without_any_rate_nothing_happens():
    images = noise(4)
    out, labels = augmented(images, Policy(flip=0))
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(labels, np.eye(4))


@pytest.mark.parametrize(("rate", "count"), [(0.25, 4), (0.4, 6), (0.5, 8), (0.001, 1), (1.0, 16)])
def test_a_rate_is_exactly_that_share_of_a_batch(rate, count):
    images = noise(16)
    out, _ = augmented(images, only("grayscale", rate=rate))
    assert (changes(out, images) > 1).sum() == count
    np.testing.assert_array_equal(out[changes(out, images) <= 1], images[changes(out, images) <= 1])


def test_the_images_are_picked_anew_for_each_batch():
    images = tf.constant(noise(16))
    labels = tf.constant(np.eye(16, dtype=np.float32))
    act = augmenter(only("grayscale", rate=0.25), PX, 16, 0)
    keys = tf.unstack(tf.random.split(KEY, 4))
    picked = [tuple(changes(act(images, labels, key)[0].numpy(), images) > 1) for key in keys]
    assert len(set(picked)) > 1


def test_each_layer_picks_its_own_images():
    both = Policy(flip=0, grayscale=Dose(rate=0.5), posterize=Dose(rate=0.5, strength=1))
    images = np.broadcast_to(np.uint8([200, 100, 50]), (32, PX, PX, 3)).copy()
    out = augmented(images, both)[0][:, 0, 0]
    grey = out[:, 0] == out[:, 1]
    one_bit = np.isin(out, (0, 128)).all(axis=1)
    assert (grey.sum(), one_bit.sum()) == (16, 16)
    assert 0 < (grey & one_bit).sum() < 16


@pytest.mark.parametrize(
    "name", ["rand_augment", "augmix", "split_rotate", "grid_mask", "cutout", *MIXING]
)
def test_a_technique_acts_on_its_share_and_leaves_the_rest_alone(name):
    images = noise(16)
    out, labels = augmented(images, only(name, rate=0.5, strength=1))
    changed = changes(out, images) > 0.01
    assert 5 <= changed.sum() <= 8
    np.testing.assert_array_equal(labels[~changed], np.eye(16)[~changed])


def test_what_is_our_own_follows_from_the_key():
    policy = Policy(
        flip=0.5, split_rotate=Dose(rate=0.5), noise=Dose(rate=0.5), grayscale=Dose(rate=0.5)
    )
    images, labels = tf.constant(noise(16)), tf.eye(16)

    def made(seed: int, key: tf.Tensor) -> np.ndarray:
        return augmenter(policy, PX, 16, seed)(images, labels, key)[0].numpy()

    np.testing.assert_array_equal(made(3, KEY), made(4, KEY))
    assert changes(made(3, KEY), made(3, KEY + 1)).mean() > 5


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValidationError, match="rate"):
        Dose(rate=rate)


# ---- mixing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixup_rate", [0.5, 0.9], ids=["as asked", "no room for more"])
def test_an_image_is_mixed_one_way_at_most(mixup_rate):
    both = Policy(
        flip=0, mixup=Dose(rate=mixup_rate, strength=1), cutmix=Dose(rate=0.5, strength=1)
    )
    out, shares = augmented(LOW_AND_HIGH, both, TWO_CLASSES)
    between = ((out > 0.01) & (out < 199.99)).any(axis=(1, 2, 3))
    two_greys = (out.min(axis=(1, 2, 3)) == 0) & (out.max(axis=(1, 2, 3)) == 200)
    assert between[:8].any()
    assert not between[8:].any()
    assert two_greys[8:].any()
    assert not two_greys[:8].any()
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)) / 200, shares[:, 1], atol=1e-5)


@pytest.mark.parametrize("name", MIXING)
def test_a_share_too_small_to_mix_leaves_the_batch_alone(name):
    images = noise(8)
    out, labels = augmented(images, only(name, rate=0.1))
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(labels, np.eye(8))


# ---- all together --------------------------------------------------------------------------------


def test_all_layers_together_inside_tf_data():
    policy = Policy(**{name: Dose(rate=0.3, strength=0.5) for name in LAYERS})
    images = noise(32)
    labels = np.eye(32, dtype=np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().batch(16)
    act = augmenter(policy, PX, 16, 0)
    for out, shares in batches.map(lambda x, y: act(x, y, KEY)).take(2):
        assert (out.dtype, out.shape) == (tf.float32, (16, PX, PX, 3))
        assert 0 <= out.numpy().min() < out.numpy().max() <= 255
        np.testing.assert_allclose(shares.numpy().sum(axis=1), 1, atol=1e-5)


# ---- once ----------------------------------------------------------------------------------------


def test_augmented_once_is_the_same_for_the_same_seed():
    names = ("hue", "grid_mask", "cutout", "noise")
    policy = Policy(**{name: Dose(rate=0.5, strength=0.5) for name in names})
    images = noise(40)
    tf.random.set_seed(0)
    once = augmented_once(images, policy, seed=3, batch=16)
    tf.random.set_seed(1)
    np.testing.assert_array_equal(augmented_once(images, policy, seed=3, batch=16), once)
    assert (once.dtype, once.shape) == (np.uint8, images.shape)
    assert changes(once, images.astype(float)).mean() > 5
    other = augmented_once(images, policy, seed=4, batch=16).astype(float)
    assert changes(other, once).mean() > 5


@pytest.mark.parametrize("n", [5, 16, 18, 40])
def test_augmented_once_keeps_the_order_to_the_last_image(n):
    images = noise(n)
    np.testing.assert_array_equal(augmented_once(images, Policy(flip=0), 0, batch=16), images)


def test_augmented_once_changes_the_share_asked_for():
    images = noise(60)  # four batches of 15, .6 of them 9 each
    once = augmented_once(images, only("grayscale", rate=0.6), 0, batch=16)
    assert (changes(once.astype(float), images) > 1).sum() == 36


def test_augmented_once_refuses_what_would_make_labels_untrue():
    with pytest.raises(ValueError, match="expected a policy without mixup and cutmix"):
        augmented_once(noise(4), only("mixup"), 0)


def test_augmented_once_of_nothing_is_nothing():
    assert len(augmented_once(noise(0), only("hue"), 0)) == 0
