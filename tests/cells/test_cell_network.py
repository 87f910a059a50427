"""The network tells spoilt cells from cells that it has not learnt from, and always the same."""

import numpy as np
import pytest

from cells import cell_network
from cells.cell_network import spoiltness
from cells.drawn_cells import draw_cells
from cells.spoilt import spoil


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(6)
    cells = draw_cells(rng.integers(8, size=300), 48, rng)
    images = np.concatenate([cells, spoil(cells, 60, rng)])
    return images, np.arange(360) < 300


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(cell_network, "STEPS", 60)
    monkeypatch.setattr(cell_network, "SPOILT", 440)


def test_spoilt_cells_stand_out(judged):
    images, trusted = judged
    logits = spoiltness(images, trusted)
    assert logits.shape == (360,)
    assert (logits[~trusted] > np.quantile(logits[trusted], 0.9)).mean() > 0.6  # by chance .1


def test_the_same_images_get_the_same_logits(judged, monkeypatch):
    images, trusted = judged
    monkeypatch.setattr(cell_network, "STEPS", 4)
    assert (spoiltness(images, trusted) == spoiltness(images, trusted)).all()


def test_no_row_is_judged_by_a_network_that_learnt_from_it(judged, monkeypatch):
    images, trusted = judged
    learnt, asked = [], []

    def trained(cells, spoilt, generator):
        learnt.append({cell.tobytes() for cell in cells})
        return len(learnt) - 1

    def logits(network, images):
        asked.append((network, {image.tobytes() for image in images}))
        return np.zeros(len(images), np.float32)

    monkeypatch.setattr(cell_network, "_trained", trained)
    monkeypatch.setattr(cell_network, "_logits", logits)
    spoiltness(images, trusted)
    assert len(learnt) == len(asked) == 2
    assert all(learnt)
    assert all(not learnt[network] & rows for network, rows in asked)
    assert sum(len(rows) for _, rows in asked) == 360
    assert sum(len(rows) for rows in learnt) == 300  # the trusted rows alone
