import numpy as np
import pytest

from cells.corruptions import FAMILIES, SEVERITIES, UNSEEN, apply
from cells.drawn_cells import draw_cells
from cells.policy import Policy


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(8), 96, np.random.default_rng(0))


def mean_change(name, images, severity, seed=0):
    generator = np.random.default_rng(seed)
    others = np.roll(images, 1, axis=0)
    changes = [
        np.abs(apply(name, image, severity, generator, other).astype(int) - image).mean()
        for image, other in zip(images, others, strict=True)
    ]
    return np.mean(changes)


def apply_once(name, image, severity, seed=0):
    return apply(name, image, severity, np.random.default_rng(seed))


def test_there_are_enough_families_and_two_are_unseen():
    assert len(FAMILIES) >= 8
    assert UNSEEN == ("elastic", "jpeg")
    assert set(UNSEEN) <= set(FAMILIES)
    layers = " ".join(Policy.model_fields)
    assert not [name for name in UNSEEN if name in layers]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_changes_the_image_and_more_with_severity(cells, name):
    changes = [mean_change(name, cells, severity) for severity in SEVERITIES]
    assert changes[0] > 1
    assert changes[4] > 1.3 * changes[0]
    assert changes[4] > changes[2] > changes[0]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("px", [64, 96])
def test_a_family_gives_an_image_and_leaves_its_input_alone(name, px):
    image = draw_cells(np.array([1]), px, np.random.default_rng(1))[0]
    before = image.copy()
    for severity in SEVERITIES:
        out = apply_once(name, image, severity)
        assert out.dtype == np.uint8
        assert out.shape == (px, px, 3)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_generator_decides(cells, name):
    first, again = (apply_once(name, cells[0], 4, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def flat(value):
    return np.full((96, 96, 3), value, np.uint8)


def test_solarize_inverts_at_and_above_the_threshold():
    values = np.array([0, 63, 64, 111, 112, 255], np.uint8)
    image = np.broadcast_to(values[:, None, None], (6, 6, 3))
    assert apply_once("solarize", image, 5)[:, 0, 0].tolist() == [0, 63, 191, 144, 143, 0]
    assert apply_once("solarize", image, 4)[:, 0, 0].tolist() == [0, 63, 64, 111, 143, 0]


def test_posterize_leaves_so_many_levels():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 4, 3))
    assert np.unique(apply_once("posterize", ramp, 5)).tolist() == [0, 255]
    assert np.unique(apply_once("posterize", ramp, 4)).tolist() == [0, 128, 255]
    assert [len(np.unique(apply_once("posterize", ramp, s))) for s in SEVERITIES] == [6, 5, 4, 3, 2]


def test_greyscale_at_severity_3_has_three_equal_channels(cells):
    out = apply_once("greyscale", cells[0], 3)
    assert (out == out[..., :1]).all()
    expected = cells[0] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(out[..., 0], expected, atol=1)


def test_channels_shift_each_channel_by_one_amount():
    out = apply_once("channels", flat(128), 2).astype(int) - 128
    assert (out == out[0, 0]).all()
    amounts = np.abs(out[0, 0])
    assert (amounts >= 17).all()
    assert (amounts <= 41).all()
    assert len(set(out[0, 0])) == 3


def test_brightness_moves_all_by_one_amount():
    out = apply_once("brightness", flat(128), 1).astype(int) - 128
    assert np.unique(out).size == 1
    assert 25 <= abs(out[0, 0, 0]) <= 33


def test_contrast_keeps_the_mean():
    image = flat(100)
    image[:48] = 140
    out = apply_once("contrast", image, 2)
    assert out.mean() == pytest.approx(120, abs=1)
    assert set(np.unique(out)) in ({110, 130}, {80, 160})


def test_blend_weighs_two_cells():
    out = apply("blend", flat(200), 2, np.random.default_rng(0), flat(100))
    assert np.unique(out).tolist() == [180]


def test_zoom_out_has_a_black_border():
    shrunk = [
        out
        for out in (apply_once("zoom", flat(200), 5, s) for s in range(10))
        if not out[0, 0].any()
    ]
    assert shrunk
    for out in shrunk:
        assert 0.08 < (out > 100).mean() < 0.2
        assert out[48, 48].tolist() == [200] * 3


@pytest.mark.parametrize("name", ["cutout", "grid"])
def test_occlusion_covers_and_leaves_the_rest(name):
    for seed in range(8):
        out = apply_once(name, flat(201), 3, seed)
        covered = (out != 201).any(axis=2)
        assert 0.08 < covered.mean() < 0.4
        assert len(np.unique(out[covered], axis=0)) == 1


def test_affine_fills_with_black():
    out = apply_once("affine", flat(200), 4)
    assert (out == 0).all(axis=2).any()
    assert (out == 200).all(axis=2).any()


def test_salt_and_pepper_share():
    out = apply_once("salt_pepper", flat(100), 5)
    assert (out == 255).mean() == pytest.approx(0.14, abs=0.02)
    assert (out == 0).mean() == pytest.approx(0.14, abs=0.02)


def test_noise_has_the_stated_sd():
    out = apply_once("gaussian_noise", flat(128), 1).astype(float)
    assert out.std() == pytest.approx(14, abs=0.5)
    assert out.mean() == pytest.approx(128, abs=0.5)
