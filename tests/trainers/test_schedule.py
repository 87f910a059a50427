import json
from dataclasses import asdict

import pytest

from trainers.recipe import Phase
from trainers.schedule import Watch, rate_at

COSINE = Phase(epochs=10, peak_lr=0.8, warmup_epochs=2)
PLATEAU = Phase(epochs=10, peak_lr=0.5, warmup_epochs=2, schedule="plateau", patience=4)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 0),
        (0.5, 0.2),  # a quarter of the way up
        (2, 0.8),
        (4, 0.8 * 0.8535533905932737),  # a quarter of the way down: (1 + cos 45°) / 2
        (6, 0.4),
        (10, 0),
        (11, 0),
    ],
)
def test_warm_up_then_cosine(epoch, rate):
    assert rate_at(COSINE, epoch, 0) == pytest.approx(rate, abs=1e-12)
    assert rate_at(COSINE, epoch, 3) == rate_at(COSINE, epoch, 0)


def test_without_warm_up_it_begins_at_the_peak():
    phase = Phase(epochs=4, peak_lr=0.8)
    assert [rate_at(phase, epoch, 0) for epoch in (0, 2)] == pytest.approx([0.8, 0.4])


def test_a_warm_up_longer_than_the_phase():
    phase = Phase(epochs=1, peak_lr=0.8, warmup_epochs=2)
    assert rate_at(phase, 1, 0) == pytest.approx(0.4)


@pytest.mark.parametrize(("reductions", "rate"), [(0, 0.5), (1, 0.1), (2, 0.02)])
def test_plateau_is_constant_and_a_fifth_after_each_reduction(reductions, rate):
    assert rate_at(PLATEAU, 2, reductions) == pytest.approx(rate)
    assert rate_at(PLATEAU, 9.5, reductions) == pytest.approx(rate)
    assert rate_at(PLATEAU, 1, reductions) == pytest.approx(0.25)


def test_the_watch_reduces_after_half_the_patience_and_ends_after_all_of_it():
    watch, seen = Watch(), []
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.5, 1.0, 1.1, 1.2, 1.3, 1.4]):
        better = watch.see(PLATEAU, epoch, loss)
        seen.append((better, watch.waited, watch.reductions, watch.over(PLATEAU)))
    assert seen == [
        (True, 0, 0, False),
        (True, 0, 0, False),
        (False, 1, 0, False),  # as good is not better
        (False, 2, 1, False),
        (True, 0, 1, False),
        (False, 1, 1, False),
        (False, 2, 2, False),
        (False, 3, 2, False),
        (False, 4, 3, True),
    ]
    assert (watch.best, watch.best_epoch) == (1.0, 4)


def test_a_cosine_is_never_reduced():
    watch = Watch()
    phase = Phase(epochs=10, peak_lr=1, patience=2)
    for epoch in range(5):
        watch.see(phase, epoch, 1.0)
    assert watch.reductions == 0
    assert watch.over(phase)


def test_patience_0_never_ends_a_phase():
    watch = Watch()
    phase = Phase(epochs=100, peak_lr=1)
    for epoch in range(100):
        watch.see(phase, epoch, 1.0)
    assert watch.waited == 99
    assert not watch.over(phase)


def test_a_watch_goes_through_json():
    watch = Watch()
    watch.see(PLATEAU, 0, 0.5)
    watch.see(PLATEAU, 1, 0.7)
    assert Watch(**json.loads(json.dumps(asdict(watch)))) == watch
