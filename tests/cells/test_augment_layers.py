import numpy as np
import pytest
import tensorflow as tf
from cv2 import connectedComponents

from cells import augment_layers
from cells.augment_layers import AugMix
from cells.policy import Dose, Policy
from tests.cells.augmented import (
    LAYERS,
    LOW_AND_HIGH,
    MIXING,
    PX,
    TWO_CLASSES,
    augmented,
    changes,
    flat,
    noise,
    only,
)

WITHOUT_STRENGTH = ("channel_shuffle", "grayscale", "split_rotate")
GEOMETRY = ("rotate", "translate", "zoom", "shear")


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

    monkeypatch.setattr(augment_layers, "RandAugment", layer)
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
