"""Where a layer stands on its own it is called eagerly: building a graph would take longer."""

import numpy as np
import pytest
import tensorflow as tf
from cv2 import connectedComponents
from pydantic import ValidationError

from cells import augment
from cells.augment import AugMix, augmented_once, augmenter
from cells.policy import Dose, Policy

LAYERS = [name for name, field in Policy.model_fields.items() if field.annotation is Dose]
MIXING = ("mixup", "cutmix")
WITHOUT_STRENGTH = ("channel_shuffle", "grayscale", "split_rotate")
GEOMETRY = ("rotate", "translate", "zoom", "shear")
PX = 24
KEY = tf.constant([1, 2], tf.int64)


def noise(n: int) -> np.ndarray:
    """(n, PX, PX, 3) uint8: blotches of many colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (n, PX // 4, PX // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def flat(values: list[int]) -> np.ndarray:
    """(n, PX, PX, 3) uint8, each image of one grey."""
    return np.broadcast_to(np.uint8(values)[:, None, None, None], (len(values), PX, PX, 3)).copy()


def augmented(images, policy: Policy, labels: np.ndarray | None = None, seed: int = 5):
    """Images and labels (one class an image, unless given) as a policy leaves them."""
    labels = np.eye(len(images), dtype=np.float32) if labels is None else labels
    act = augmenter(policy, images.shape[1], len(images), seed)
    out, shares = act(tf.constant(images), tf.constant(labels), KEY)
    assert (out.dtype, shares.dtype) == (tf.float32, tf.float32)
    assert (out.shape, shares.shape) == (images.shape, labels.shape)
    return out.numpy(), shares.numpy()


def only(name: str, rate: float = 1.0, strength: float = 0.5) -> Policy:
    return Policy(**{"flip": 0, name: Dose(rate=rate, strength=strength)})


def changes(out: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(n,): the mean absolute change of each image."""
    return np.abs(out - images).mean(axis=(1, 2, 3))


# ---- each layer on its own -----------------------------------------------------------------------


def test_the_policy_has_geometry_colour_occlusion_mixing_and_randaugment():
    techniques = {"rand_augment", "augmix", "cutmix", "mixup", "grid_mask", "cutout"}
    assert techniques | {"split_rotate", "hue", *GEOMETRY} < {*LAYERS}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_changes_images_within_0_to_255_and_more_with_strength(name):
    images = noise(16)
    amounts = {}
    for strength in (0.05, 1.0):
        out, labels = augmented(images, only(name, strength=strength))
        assert out.min() >= 0
        assert out.max() <= 255
        assert np.isfinite(out).all()
        if name in MIXING:  # alpha: how far from 0 and 1 the shares lie
            np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
            amounts[strength] = np.minimum(labels, 1 - labels).mean()
        else:
            np.testing.assert_array_equal(labels, np.eye(16))
            amounts[strength] = changes(out, images).mean()
    assert (changes(out, images) > 0.5).sum() >= 8
    if name in WITHOUT_STRENGTH:
        assert amounts[1.0] > 10
    else:
        assert amounts[1.0] > 1.5 * amounts[0.05]


def test_flips_go_both_ways_and_are_the_only_default():
    images = noise(32)
    out, labels = augmented(images, Policy())
    np.testing.assert_array_equal(labels, np.eye(32))
    versions = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    same = np.array([(out == version).all(axis=(1, 2, 3)) for version in versions])
    assert same.any(axis=0).all()
    assert same.any(axis=1).all()


def test_flips_of_a_share_leave_the_rest_alone():
    images = noise(64)
    out, _ = augmented(images, Policy(flip=0.5))
    # 32 are picked, of which a quarter stays as it was on average
    assert 18 <= (changes(out, images) > 0).sum() <= 31


def test_without_any_rate_nothing_happens():
    images = noise(4)
    out, labels = augmented(images, Policy(flip=0))
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(labels, np.eye(4))


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_fills_with_black(name):
    out, _ = augmented(flat([255] * 16), only(name))
    assert ((out == 0).mean(axis=(1, 2, 3)) > 0.01).sum() >= 4
    assert (out[:, PX // 2, PX // 2] == 255).all(axis=1).sum() >= 8
    assert out.mean() > 120


def test_grayscale_has_three_equal_channels():
    out, _ = augmented(noise(4), only("grayscale"))
    np.testing.assert_array_equal(out[..., 0], out[..., 1])
    np.testing.assert_array_equal(out[..., 0], out[..., 2])
    assert out.std() > 20


@pytest.mark.parametrize(("name", "most"), [("brightness", 51), ("channel_shift", 25.5)])
def test_the_largest_shift_of_colour(name, most):
    out, _ = augmented(flat([100] * 32), only(name, strength=0.2))
    assert 0.7 * most < np.abs(out - 100).max() < most + 0.01


def test_posterize_leaves_as_many_levels_as_its_bits():
    out, _ = augmented(noise(8), only("posterize", strength=6 / 7))
    assert set(np.unique(out)) == {0, 64, 128, 192}


def test_blur_reaches_a_sigma_of_pixels():
    """At strength .5 sigma is up to 2 px: a white dot keeps 1 / (2 pi sigma^2) of its light, which
    at the median sigma of 1 is .16. Sigmas up to .5 would leave .6 or more."""
    dots = np.zeros((12, 16, 16, 3), np.uint8)
    dots[:, 8, 8] = 255
    out, _ = augmented(dots, only("blur", strength=0.5))
    peaks = out.max(axis=(1, 2, 3)) / 255
    assert np.median(peaks) < 0.5


def test_channel_shuffle_permutes_channels():
    images = np.zeros((16, PX, PX, 3), np.uint8) + np.uint8([10, 20, 30])
    out, _ = augmented(images, only("channel_shuffle"))
    orders = {tuple(image[0, 0].astype(int)) for image in out}
    assert len(orders) > 2
    assert all(sorted(order) == [10, 20, 30] for order in orders)


def quadrants(image: np.ndarray) -> list[np.ndarray]:
    half = len(image) // 2
    return [
        image[y, x]
        for y in (slice(half), slice(-half, None))
        for x in (slice(half), slice(-half, None))
    ]


def test_split_and_rotate_keeps_quadrants_of_one_colour():
    coloured = np.kron(np.array([[10, 20], [30, 40]]), np.ones((PX // 2, PX // 2)))
    images = np.broadcast_to(coloured[None, :, :, None], (16, PX, PX, 3)).astype(np.uint8)
    out, _ = augmented(images, only("split_rotate"))
    np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize("px", [PX, PX - 1], ids=["even", "odd"])
def test_split_and_rotate_turns_each_quadrant_in_its_place(px):
    images = np.random.default_rng(0).integers(0, 256, (64, px, px, 3)).astype(np.uint8)
    out, _ = augmented(images, only("split_rotate"))
    turns = []
    for before, after in zip(images, out, strict=True):
        for was, now in zip(quadrants(before), quadrants(after), strict=True):
            fits = [turn for turn in range(4) if (np.rot90(was, turn) == now).all()]
            assert len(fits) == 1
            turns += fits
    # 256 quadrants, each turn as likely: 64 of each, sd 7
    assert all(40 < count < 88 for count in np.bincount(turns, minlength=4))
    assert len({*map(tuple, np.reshape(turns, (64, 4)))}) > 40  # of 256 ways to turn four
    half = px // 2
    np.testing.assert_array_equal(out[:, half : px - half], images[:, half : px - half])
    np.testing.assert_array_equal(out[:, :, half : px - half], images[:, :, half : px - half])


def test_grid_mask_blackens_holes_of_a_grid():
    out, _ = augmented(np.full((16, 48, 48, 3), 255, np.uint8), only("grid_mask", strength=0.6))
    assert set(np.unique(out)) == {0, 255}
    holes = [connectedComponents((image[..., 0] == 0).astype(np.uint8))[0] - 1 for image in out]
    assert np.median(holes) >= 3
    # a hole is .2 to .6 of its cell each way
    assert 0.04 < (out == 0).mean() < 0.36


def test_cutout_blackens_one_rectangle():
    out, _ = augmented(np.full((16, 48, 48, 3), 255, np.uint8), only("cutout", strength=0.5))
    assert set(np.unique(out)) == {0, 255}
    sides = []
    for image in out:
        black = image[..., 0] == 0
        sides.append((black.any(axis=1).sum(), black.any(axis=0).sum()))
        assert black.sum() == np.prod(sides[-1])
    assert np.max(sides) <= 24
    assert np.median(sides) >= 5


def test_augmix_with_little_severity_changes_little():
    """As KerasCV has it, an image is posterized and solarized most at the lowest severity."""
    image = tf.constant(noise(1)[0] // 2, tf.float32)
    layer = AugMix(0.01, 3)
    for act in (layer._posterize, layer._solarize):
        np.testing.assert_array_equal(act(image), image)
    assert np.abs(layer._rotate(image) - image).mean() < 0.5
    strong = AugMix(1.0, 3)
    for act in (strong._posterize, strong._solarize, strong._rotate):
        assert max(np.abs(act(image) - image).mean() for _ in range(8)) > 1


def test_augmix_draws_from_all_nine_changes(monkeypatch):
    layer, drawn = AugMix(0.5, 3), set()
    monkeypatch.setattr(layer, "_apply_op", lambda image, which: drawn.add(int(which)))
    for _ in range(200):
        layer._loop_on_depth(0, None)
    assert drawn == set(range(9))


def test_augmix_mixes_an_image_with_changed_ones():
    """Half black, half white: all that contrast, bits and inversion can make of them is black and
    white, so what lies between them was mixed."""
    images = np.zeros((16, PX, PX, 3), np.uint8)
    images[:, :, PX // 2 :] = 255
    out, _ = augmented(images, only("augmix", strength=1))
    corners = out[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert ((corners > 5) & (corners < 250)).any(axis=(1, 2)).sum() >= 4


def test_rand_augment_makes_as_many_changes_as_the_policy_says(monkeypatch):
    asked = {}

    def layer(value_range, **settings):
        asked.update(settings, value_range=value_range)
        return lambda images, training: images

    monkeypatch.setattr(augment, "RandAugment", layer)
    augmented(
        noise(2),
        Policy(
            rand_augment=Dose(rate=1, strength=0.3), rand_augment_ops=4, rand_augment_stddev=0.1
        ),
    )
    assert asked["augmentations_per_image"] == 4
    assert asked["magnitude"] == 0.3
    assert asked["magnitude_stddev"] == 0.1
    assert asked["value_range"] == (0, 255)


# ---- rates ---------------------------------------------------------------------------------------


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

LOW_AND_HIGH = flat([0, 200] * 8)
TWO_CLASSES = np.eye(2, dtype=np.float32)[[0, 1] * 8]


def test_mixup_mixes_labels_as_it_mixes_pixels():
    out, shares = augmented(LOW_AND_HIGH, only("mixup", strength=1), TWO_CLASSES)
    assert (out == out[:, :1, :1]).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(out[:, 0, 0, 0] / 200, shares[:, 1], atol=1e-5)
    assert ((shares[:, 1] > 0.1) & (shares[:, 1] < 0.9)).sum() >= 4


def test_cutmix_shares_labels_as_areas():
    out, shares = augmented(LOW_AND_HIGH, only("cutmix", strength=1), TWO_CLASSES)
    assert set(np.unique(out)) == {0, 200}
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)) / 200, shares[:, 1], atol=1e-5)
    assert ((shares[:, 1] > 0.1) & (shares[:, 1] < 0.9)).sum() >= 4


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
