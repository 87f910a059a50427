import json
from dataclasses import asdict

import pytest

from trainers.recipe import Phase
from trainers.schedule import Watch, rate_at, stages

COSINE = Phase(epochs=10, peak_lr=0.8, warmup_epochs=2)
PLATEAU = Phase(
    epochs=10, peak_lr=0.5, warmup_epochs=2, schedule="plateau", patience=4, plateau_patience=2
)


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


def test_the_plateaus_factor_is_a_field():
    half = PLATEAU.model_copy(update={"plateau_factor": 0.5, "final_lr": 0.1})
    assert [rate_at(half, 5, n) for n in (0, 1, 2, 3)] == pytest.approx([0.5, 0.25, 0.125, 0.1])


def test_exponential_is_times_decay_an_epoch_after_the_warm_up():
    phase = Phase(epochs=9, peak_lr=0.8, schedule="exponential", decay=0.25, warmup_epochs=1)
    rates = [rate_at(phase, epoch, 0) for epoch in (0.5, 1, 1.5, 2, 3)]
    assert rates == pytest.approx([0.4, 0.8, 0.4, 0.2, 0.05])
    floored = phase.model_copy(update={"final_lr": 0.1})
    assert rate_at(floored, 3, 0) == pytest.approx(0.1)


def test_cosine_ends_at_the_final_rate():
    phase = Phase(epochs=4, peak_lr=5e-5, final_lr=5e-6)
    assert [rate_at(phase, e, 0) for e in (0, 2, 4)] == pytest.approx([5e-5, 2.75e-5, 5e-6])


def test_stages_cut_a_phase_evenly():
    assert stages(COSINE) == [(10, 1.0)]
    three = COSINE.model_copy(update={"stages": 3})
    assert stages(three) == [(3, pytest.approx(1 / 3)), (7, pytest.approx(2 / 3)), (10, 1.0)]


def test_patience_counts_in_the_last_stage_only():
    phase = Phase(epochs=6, peak_lr=1, patience=2, stages=2)
    watch, over = Watch(), []
    for epoch, loss in enumerate([0.5, 0.6, 0.7, 0.8, 0.9]):
        watch.see(phase, epoch, loss)
        over.append(watch.over(phase))
    assert over == [False, False, False, False, True]
    assert watch.best_epoch == 0


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
