"""The cell mask: what it keeps, what it takes for ground, and when it keeps its hands off."""

import numpy as np
import pytest

from cells.cell_kinds import KINDS
from cells.drawn_cells import draw_cells
from trainers.cell_mask import cell_mask, find_cell

CREAM, VIOLET, PINK, RED_CELL = (253, 228, 204), (80, 40, 120), (226, 190, 196), (205, 170, 165)


def slide(*discs: tuple[float, float, float, tuple[int, int, int]], px: int = 96) -> np.ndarray:
    """One image (1, px, px, 3) float32 of cream ground and discs: x, y, radius in pixels, colour.

    The last lies on top.
    """
    y, x = np.mgrid[:px, :px] + 0.5
    image = np.empty((px, px, 3), np.float32)
    image[:] = CREAM
    for column, row, radius, colour in discs:
        image[np.hypot(x - column, y - row) < radius] = colour
    return image[None]


def mask_of(image: np.ndarray) -> np.ndarray:
    """The mask of one image: (px, px), 0-1."""
    return np.asarray(find_cell(image)[0])[0, :, :, 0]


def isolated(images: np.ndarray) -> np.ndarray:
    """Images (n, px, px, 3) behind the mask."""
    return np.asarray(cell_mask(images))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """20 cells of each kind: images (160, 96, 96, 3) float32, true areas, labels."""
    labels = np.repeat(np.arange(len(KINDS)), 20)
    images, areas = draw_cells(labels, 96, np.random.default_rng(5), return_masks=True)
    return images.astype(np.float32), areas, labels


def test_it_fits_drawn_cells_of_every_kind(drawn):
    images, areas, labels = drawn
    found = np.asarray(find_cell(images)[0])[..., 0] > 0.5
    ious = (found & areas).sum(axis=(1, 2)) / (found | areas).sum(axis=(1, 2))
    assert ious.mean() > 0.85
    for kind, name in enumerate(KINDS):
        assert ious[labels == kind].mean() >= 0.8, name


def test_the_cell_stays_and_all_else_becomes_the_ground():
    image = slide((20, 20, 14, RED_CELL), (48, 48, 20, VIOLET))
    masked = isolated(image)
    np.testing.assert_allclose(masked[0, 36:60, 36:60], image[0, 36:60, 36:60], atol=1e-3)
    np.testing.assert_allclose(masked[0, :24], np.broadcast_to(CREAM, (24, 96, 3)), atol=1e-3)


def test_the_edge_lies_where_the_cell_ends():
    for radius in (10, 20, 30):
        share = mask_of(slide((48, 48, radius, VIOLET))).mean() * 96 * 96
        assert abs(np.sqrt(share / np.pi) - radius) < 1.2


def test_a_red_cell_that_touches_is_cut_off_and_pale_cytoplasm_is_not():
    mask = mask_of(slide((88, 48, 18, RED_CELL), (48, 48, 24, PINK), (48, 48, 12, VIOLET)))
    assert mask[48, 30] == pytest.approx(1)  # cytoplasm
    assert mask[48, 82:].max() < 0.1  # the red cell


def test_near_a_nucleus_what_is_hardly_stained_is_the_cells():
    mask = mask_of(slide((48, 48, 30, (222, 194, 186)), (48, 48, 12, VIOLET)))
    assert mask[48, 33] > 0.95  # three pixels outside the nucleus
    assert mask[48, 22] < 0.05


def test_what_is_stained_but_not_connected_with_the_middle_goes():
    mask = mask_of(slide((12, 12, 9, VIOLET), (52, 48, 16, VIOLET)))
    assert mask[:24, :24].max() < 1e-3
    assert mask[48, 52] == pytest.approx(1)


def test_a_thin_bridge_does_not_connect():
    image = slide((78, 78, 12, VIOLET), (40, 40, 14, VIOLET))
    image[0, np.arange(40, 78), np.arange(40, 78)] = VIOLET  # a line, one pixel wide
    assert mask_of(image)[78, 78] < 0.1


def test_holes_are_the_cells():
    mask = mask_of(slide((48, 48, 26, VIOLET), (48, 48, 8, CREAM)))
    assert mask[48, 48] == pytest.approx(1)


def test_pale_images_are_masked_too():
    vivid = slide((20, 20, 14, RED_CELL), (48, 48, 24, PINK), (48, 48, 12, VIOLET))
    mask = mask_of(200 + (vivid - 200) * 0.4)
    assert mask[48, 30] == pytest.approx(1)  # cytoplasm
    assert mask[:20, :20].max() < 1e-3  # the red cell


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 96, 96, 3), np.float32),
        np.full((1, 96, 96, 3), 255, np.float32),
        slide((48, 48, 20, RED_CELL)),
        slide((20, 20, 12, VIOLET)),
        slide((48, 48, 60, VIOLET)),
        slide((40, 48, 14, (30, 150, 30)), (62, 48, 8, PINK)),  # a nucleus is never green
    ],
    ids=["black", "white", "no stain", "not in the middle", "all of it", "green"],
)
def test_without_a_cell_the_image_stays(image):
    np.testing.assert_allclose(isolated(image), image, atol=1e-3)


def test_noise_gives_numbers_in_range(rng):
    noise = rng.uniform(0, 255, (5, 96, 96, 3)).astype(np.float32)
    salted = np.where(rng.random((5, 96, 96, 1)) < 0.1, rng.choice([0, 255]), noise)
    for images in (noise, salted.astype(np.float32), noise // 200):
        masked = isolated(images)
        assert np.isfinite(masked).all()
        assert masked.min() > -1e-2
        assert masked.max() < 255.01


def test_an_image_is_masked_by_itself_and_turns_with_it(drawn):
    images = drawn[0][::9]
    masked = isolated(images)
    np.testing.assert_allclose(isolated(images[3:4])[0], masked[3], atol=0.02)
    turned = isolated(np.rot90(images, axes=(1, 2))[:, :, ::-1])
    np.testing.assert_allclose(turned, np.rot90(masked, axes=(1, 2))[:, :, ::-1], atol=0.02)


@pytest.mark.parametrize("px", [16, 33, 64, 128])
def test_any_size_shows_the_same_cell(px):
    mask = mask_of(slide((px / 2, px / 2, px / 4, VIOLET), px=px))
    assert mask.shape == (px, px)
    assert mask.mean() == pytest.approx(np.pi / 16, rel=0.15)


def test_it_takes_grey_levels_away_and_keeps_the_type(drawn):
    images = drawn[0][::9]
    masked = isolated(images)
    assert (masked.shape, masked.dtype) == (images.shape, np.float32)
    assert np.abs(masked - images).mean() > 5
