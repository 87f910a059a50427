import time

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from cells.archive import read_archive
from cells.cell_kinds import KINDS
from cells.clean import clean
from cells.competition import Competition, load_competition
from cells.dataset import COPY, JOKE
from cells.draw import draw_archive
from cells.drawn_cells import draw_cells
from cells.errors import ArchiveError, CompetitionError

REAL = load_competition("an2dl2024")
FIVE = Competition(name="five", title="", classes=tuple("abcde"), image_px=64)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_kinds_stand_in_the_order_of_the_classes():
    assert tuple(KINDS) == REAL.classes


@pytest.mark.parametrize("px", [64, 96])
def test_cells_and_masks_have_the_asked_size(px):
    images, masks = draw_cells(np.arange(8), px, rng(), return_masks=True)
    assert images.shape == (8, px, px, 3)
    assert images.dtype == np.uint8
    assert masks.shape == (8, px, px)
    assert masks.dtype == bool


def test_the_mask_is_the_cell():
    images, masks = draw_cells(np.zeros(20, int), 96, rng(), return_masks=True)
    for image, mask in zip(images, masks, strict=True):
        assert image[mask].mean() < image[~mask].mean() - 40
        middle = np.argwhere(mask).mean(axis=0)
        assert (np.abs(middle - 47.5) < 15).all()


def test_size_tells_platelet_lymphocyte_and_monocyte_apart():
    labels = np.repeat(np.arange(8), 30)
    _, masks = draw_cells(labels, 64, rng(), return_masks=True)
    share = masks.mean(axis=(1, 2)).reshape(8, 30).mean(axis=1)
    names = list(KINDS)
    platelet, lymphocyte, monocyte = (
        share[names.index(name)] for name in ("platelet", "lymphocyte", "monocyte")
    )
    assert platelet < 0.1 < lymphocyte < 0.3 < monocyte


def test_the_generator_decides_and_no_two_cells_are_alike():
    labels = np.repeat(np.arange(8), 6)
    first = draw_cells(labels, 48, rng())
    np.testing.assert_array_equal(first, draw_cells(labels, 48, rng()))
    assert (first != draw_cells(labels, 48, rng(1))).any()
    found = clean(first, labels)
    assert len(np.unique(found.group)) == 48


def test_kinds_can_be_learnt_but_not_by_mean_colour():
    """Histograms and profiles tell much, the mean colour alone does not."""
    labels = np.repeat(np.arange(8), 60)
    images = draw_cells(labels, 48, rng()).astype(np.float32)
    train, test = np.arange(480) % 3 > 0, np.arange(480) % 3 == 0

    def accuracy(features):
        forest = RandomForestClassifier(100, random_state=0).fit(features[train], labels[train])
        return forest.score(features[test], labels[test])

    y, x = np.mgrid[:48, :48] - 23.5
    ring = np.minimum(np.hypot(x, y) // 4, 6).astype(int)
    rings = [images[:, ring == r].reshape(480, -1, 3) for r in range(7)]
    profile = np.concatenate([f(r, axis=1) for r in rings for f in (np.mean, np.std)], axis=1)
    assert accuracy(profile) > 0.75
    assert accuracy(images.mean(axis=(1, 2))) < 0.7


def test_a_label_without_a_kind():
    with pytest.raises(CompetitionError, match="expected at most 8, the kinds of cell"):
        draw_cells(np.array([8]), 48, rng())


def test_100_cells_a_second_and_core():
    labels = np.arange(160) % 8
    started = time.process_time()
    draw_cells(labels, 96, rng())
    assert 160 / (time.process_time() - started) > 100


@pytest.mark.parametrize("competition", [REAL, FIVE], ids=["real", "five"])
def test_cleaning_finds_exactly_what_was_planted(tmp_path, competition):
    drawn = draw_archive(tmp_path / "t.npz", competition, cells=320, seed=3)
    given = read_archive(tmp_path / "t.npz", competition)
    classes = len(competition.classes)
    assert drawn == {
        "archive": str(tmp_path / "t.npz"),
        "rows": 320 + 2 + 5 * classes + 40,
        "cells": 320,
        "copies": 2,
        "jokes": 5 * classes + 40,
    }
    assert len(given.labels) == drawn["rows"]
    found = clean(given.images, given.labels)
    assert len(found.kept) == 320
    assert (found.dropped == COPY).sum() == 2
    assert (found.dropped == JOKE).sum() == drawn["jokes"]
    assert len(np.unique(found.group[found.kept])) == 320


def test_the_archive_looks_like_the_platforms(tmp_path):
    drawn = draw_archive(tmp_path / "t.npz", REAL, cells=400)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as archive:
        assert archive["images"].shape == (drawn["rows"], 96, 96, 3)
        assert archive["images"].dtype == np.uint8
        assert archive["labels"].shape == (drawn["rows"], 1)
        assert archive["labels"].dtype == np.uint8
        labels = archive["labels"][:, 0]
        kept = clean(archive["images"], labels).kept
    real = np.array([852, 2181, 1085, 2026, 849, 993, 2330, 1643])
    np.testing.assert_allclose(np.bincount(labels[kept]), real * 400 / real.sum(), atol=1)


def test_the_seed_decides(tmp_path):
    def content(seed):
        draw_archive(tmp_path / "t.npz", FIVE, cells=100, seed=seed, force=True)
        return (tmp_path / "t.npz").read_bytes()

    first, again, other = content(0), content(0), content(1)
    assert first == again
    assert first != other


def test_draws_in_the_competitions_range(tmp_path):
    scaled = FIVE.archive.model_copy(update={"pixel_max": 1.0, "images": "x"})
    unit = FIVE.model_copy(update={"archive": scaled})
    draw_archive(tmp_path / "unit.npz", unit, cells=100)
    draw_archive(tmp_path / "full.npz", FIVE, cells=100)
    with np.load(tmp_path / "unit.npz") as archive:
        assert archive["x"].dtype == np.float32
        assert archive["x"].max() <= 1
    np.testing.assert_array_equal(
        read_archive(tmp_path / "unit.npz", unit).images,
        read_archive(tmp_path / "full.npz", FIVE).images,
    )


def test_draw_faults(tmp_path):
    def fault(kind, name="t.npz", competition=FIVE, cells=100):
        with pytest.raises(kind) as caught:
            draw_archive(tmp_path / name, competition, cells)
        return str(caught.value)

    assert fault(ArchiveError, "t.zip").endswith(
        "expected a name that ends in .npz. Give another name."
    )
    assert fault(ArchiveError, cells=99) == (
        "cells: expected at least 100 for 5 classes, got 99. Draw more."
    )
    nine = FIVE.model_copy(update={"classes": tuple("abcdefghi")})
    assert fault(CompetitionError, competition=nine, cells=500) == (
        "classes: expected at most 8, the kinds of cell that can be drawn, got 9. "
        "Use real images for this competition."
    )
    (tmp_path / "t.npz").write_text("mine")
    assert fault(ArchiveError) == (
        f"{tmp_path / 't.npz'}: exists already. Give another name, or --force to replace it."
    )
    assert (tmp_path / "t.npz").read_text() == "mine"
