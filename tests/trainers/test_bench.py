import numpy as np
import pytest

from cells.cell_kinds import KINDS
from trainers import bench

SHAPE = {"depths": [1, 1, 1, 1], "projection_dims": [4, 6, 8, 10]}


def test_a_rate_is_the_median_after_a_call_to_warm_up(monkeypatch):
    times = iter([0, 1, 10, 12, 20, 24])  # of three calls that take 1, 2 and 4 s
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(times))
    calls = []
    assert bench.rate(lambda: calls.append(1), 8, 3) == 4.0
    assert len(calls) == 4


def test_the_mask_has_a_speed_and_fits_every_kind_of_cell():
    where, *rates = [list(column.cells) for column in bench.masking(1, calls=1).columns]
    assert where == ["runtime", "Keras layer"]
    assert all(float(figure) > 0 for column in rates for figure in column)
    kinds, ious, _ = [list(column.cells) for column in bench.overlap(2).columns]
    assert kinds == [*KINDS, "all"]
    *each, mean = map(float, ious)
    assert sum(each) / len(each) == pytest.approx(mean, abs=1e-3)
    assert mean > 0.7


def test_the_overlap_of_the_worst_twentieth_stands_beside_the_mean(monkeypatch):
    def half_of_every_second(images):
        found = np.ones((len(images), 4, 4, 1))
        found[1::2, :2] = 0
        return (found,)

    areas = np.ones((2 * len(KINDS), 4, 4), bool)
    monkeypatch.setattr(bench, "draw_cells", lambda *_, **__: (areas.astype(np.uint8), areas))
    monkeypatch.setattr(bench, "find_cell", half_of_every_second)
    _, means, low = [list(column.cells) for column in bench.overlap(2).columns]
    assert set(means) == {"0.750"}  # of 1 and .5
    assert low == ["0.525"] * len(KINDS) + ["0.500"]
