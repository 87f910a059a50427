import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from rich.table import Table

from cells.policy import Policy
from tests.trainers.conftest import tiny_cnn
from trainers import bench_steps, custom_cnn


@pytest.fixture
def tiny(monkeypatch) -> None:
    """A network that takes milliseconds a step, in every member's place."""
    recipe = tiny_cnn(network_px=16, batch=4, policy=Policy(flip=0.5))
    module = SimpleNamespace(RECIPE=recipe, PRESETS={"cpu": {}}, build=custom_cnn.build)
    monkeypatch.setattr(bench_steps, "member", lambda name: module)


def rows(table: Table) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_each_table_has_a_process_of_its_own_with_the_memory_it_asks_for(monkeypatch):
    monkeypatch.setenv(bench_steps.KEEP, "as it was")
    assert bench_steps.alone(True, os.getenv, bench_steps.KEEP) == "true"
    assert bench_steps.alone(False, os.getenv, bench_steps.KEEP) == "false"
    assert bench_steps.alone(False, os.getpid) != os.getpid()


def test_the_pipeline_is_compared_with_the_network_that_it_feeds(tiny):
    (row,) = rows(bench_steps.pipeline(["custom-cnn"], "cpu", 3))
    name, pipeline, network, both, ratio, limit = row
    assert name == "custom-cnn"
    assert float(both) > 0
    times = float(pipeline) / float(network)
    assert float(ratio.removesuffix("x")) == pytest.approx(times, rel=0.05, abs=0.06)
    expected = "network" if float(ratio.removesuffix("x")) >= bench_steps.ENOUGH else "pipeline"
    assert limit == expected or abs(times - bench_steps.ENOUGH) < 0.06


@pytest.mark.parametrize("generator", [False, True])
def test_training_steps_have_a_rate_however_they_are_fed(tiny, generator):
    assert bench_steps.cnn_rate(2, generator, xla=False) > 0


def test_warming_up_is_no_part_of_a_rate(monkeypatch):
    """Four slow steps, then two of half a second each."""
    ends = iter([10, 20, 30, 40, 40.5, 41])
    monkeypatch.setattr(bench_steps.time, "perf_counter", lambda: next(ends))

    class Network:
        trainable_variables = ()

        def fit(self, batches, steps_per_epoch, callbacks, **options):
            for step in range(steps_per_epoch):
                callbacks[0].on_train_batch_end(step, {})

    assert bench_steps.steps_per_second(Network(), None, 2) == 2.0


@pytest.fixture
def asked(monkeypatch) -> list[tuple[object, ...]]:
    """What each process is asked for; the first finds 100 images/s, each next 100 more."""
    calls: list[tuple[object, ...]] = []

    def alone(keep: bool, work: Callable[..., float], *arguments: object) -> float:
        assert work is bench_steps.cnn_rate
        calls.append((keep, *arguments))
        return 100.0 * len(calls)

    monkeypatch.setattr(bench_steps, "alone", alone)
    return calls


def test_freed_memory_is_given_back_or_kept(asked):
    table = rows(bench_steps.memory(5))
    # kept by TensorFlow's allocator or not, steps, whether a generator feeds them
    assert asked == [(False, 5, True), (False, 5, False), (True, 5, False)]
    assert [row[1:] for row in table] == [["100", "1.0x"], ["200", "2.0x"], ["300", "3.0x"]]
    assert [row[0].split()[0] for row in table] == ["given", "glibc's", "kept"]


def test_xla_is_compared_with_steps_that_are_not_compiled(asked):
    table = rows(bench_steps.compiled(5))
    assert asked == [(True, 5, False, False), (True, 5, False, True)]  # the last: xla
    assert table == [
        ["operation by operation", "100", "1.0x"],
        ["compiled by XLA", "200", "2.0x"],
    ]
