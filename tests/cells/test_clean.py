import cv2
import numpy as np
import pytest

from cells.clean import JOKE_TIMES, clean
from cells.dataset import COPY, JOKE, KEPT
from cells.drawn_cells import draw_cells
from cells.near_copies import near_pairs


@pytest.fixture(scope="module")
def cells():
    return draw_cells(np.arange(8).repeat(5), 48, np.random.default_rng(3))


def test_of_exact_copies_the_first_stays(cells):
    images = cells[[0, 1, 0, 2, 1, 0]]
    found = clean(images, np.array([4, 5, 4, 6, 5, 4]))
    assert found.dropped.tolist() == [KEPT, KEPT, COPY, KEPT, COPY, COPY]
    assert found.copy_of.tolist() == [-1, -1, 0, -1, 1, 0]
    assert found.times.tolist() == [3, 2, 3, 1, 2, 3]
    assert found.kept.tolist() == [0, 1, 3]
    assert found.group.tolist() == [0, 1, 0, 2, 1, 0]


def test_one_pixel_makes_another_picture(cells):
    images = cells[[0, 0, 1]]
    images[1, 20, 20, 0] ^= 1
    found = clean(images, np.array([0, 0, 1]))
    assert found.dropped.tolist() == [KEPT] * 3
    assert found.group.tolist() == [0, 0, 1]


def test_a_picture_under_two_labels_is_a_joke(cells):
    found = clean(cells[[0, 1, 0]], np.array([2, 3, 4]))
    assert found.dropped.tolist() == [JOKE, KEPT, JOKE]
    assert found.copy_of.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(("times", "reason"), [(JOKE_TIMES, COPY), (JOKE_TIMES + 1, JOKE)])
def test_a_picture_more_than_a_few_dozen_times_is_a_joke(cells, times, reason):
    images = cells[[5] + [0] * times]
    found = clean(images, np.zeros(len(images), int))
    assert found.dropped[0] == KEPT
    assert (found.dropped[2:] == reason).all()
    assert found.dropped[1] == (JOKE if reason == JOKE else KEPT)


def test_rows_may_come_in_any_order(cells):
    joke = np.full((40, 48, 48, 3), 9, np.uint8)
    images = np.concatenate([cells, joke, cells[:3]])
    labels = np.concatenate([np.arange(8).repeat(5), np.ones(40, int), [0, 0, 0]])
    order = np.random.default_rng(0).permutation(len(images))
    found = clean(images[order], labels[order])
    counts = np.bincount(found.dropped)
    assert counts.tolist() == [40, 3, 40]
    assert set(order[found.dropped == JOKE]) == set(range(40, 80))


def jpeg(image):
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        np.fliplr,
        np.flipud,
        np.rot90,
        lambda image: np.rot90(image, 3),
        lambda image: np.rot90(image)[:, ::-1],
        lambda image: np.clip(image * 0.8 + 10, 0, 255).astype(np.uint8),
        lambda image: cv2.GaussianBlur(image, (0, 0), 0.6),
    ],
    ids=["jpeg", "flip", "upside-down", "turn", "turn back", "turn and flip", "darker", "blur"],
)
def test_near_copies_share_a_group_and_stay(cells, change):
    images = np.concatenate([cells, [change(cells[7]), change(cells[30])]])
    found = clean(images, np.zeros(len(images), int))
    assert (found.dropped == KEPT).all()
    assert found.group.tolist() == [*range(40), 7, 30]


def test_a_chain_of_near_copies_is_one_group(cells):
    images = np.stack([cells[0], cells[1], np.fliplr(cells[0]), jpeg(np.fliplr(cells[0]))])
    assert clean(images, np.zeros(4, int)).group.tolist() == [0, 1, 0, 0]


def test_only_asked_rows_are_paired(cells):
    images = np.stack([cells[0], np.fliplr(cells[0]), np.flipud(cells[0])])
    assert near_pairs(images, np.array([0, 2])).tolist() == [[0, 2]]
    assert near_pairs(images, np.array([1])).shape == (0, 2)


def test_the_same_thumbnail_is_not_enough(cells):
    """Two pictures that differ in fine detail only: no near copies, though they shrink to one."""
    detail = np.where(np.indices((48, 48)).sum(axis=0) % 2, 60, -60)[..., None]
    images = np.stack([np.clip(cells[0] + sign * detail, 0, 255) for sign in (1, -1)])
    assert clean(images.astype(np.uint8), np.zeros(2, int)).group.tolist() == [0, 1]


def test_flat_pictures_are_not_alike():
    images = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 90, 255)])
    assert clean(images, np.arange(3)).group.tolist() == [0, 1, 2]
