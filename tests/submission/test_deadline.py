"""Never late: which passes run in the time there is, on a slow clock and on a slow network."""

import builtins
import json
import math
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from submission import model as runtime
from submission.model import Model
from tests.submission.bundles import PX, write_bundle

PASSES = [[0, "identity"], [1, "identity"], [0, "flip"]]
FULL = {"views": ["identity", "flip"], "passes": [*PASSES, [1, "flip"]]}


class SlowClock:
    """Stands still, but for what the tests and the slow networks add."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SlowClock:
    """A process that has just imported model.py, at second 0."""
    clock = SlowClock()
    monkeypatch.setattr(runtime, "clock", clock)
    monkeypatch.setattr(runtime, "STARTED_S", 0.0)
    monkeypatch.setattr(runtime, "_CHOSEN", {})
    monkeypatch.delenv("BCSUB_DEADLINE_S", raising=False)
    return clock


@pytest.fixture
def slow(clock: SlowClock, tmp_path: Path) -> Callable[..., Model]:
    """A Model whose member i takes seconds[i] an image, in batches of two; `ran` lists them.

    The first run of each takes `tuning_s` more.
    """

    def load(
        seconds: tuple[float, ...] = (1, 10),
        folder: Path = tmp_path,
        tuning_s: float = 0,
        **attrs: Any,
    ) -> Model:
        if not (folder / "weights.h5").exists():
            write_bundle(folder, **{**FULL, **attrs})
        loaded = Model(folder)
        loaded.ran = []
        for index, (member, pace_s) in enumerate(zip(loaded.members, seconds, strict=True)):

            def run(x: Any, index: int = index, pace_s: float = pace_s, run=member._run) -> Any:
                clock.now_s += len(x) * pace_s + (0 if index in loaded.ran else tuning_s)
                loaded.ran.append(index)
                return run(x)

            member._run, member.batch = run, 2
        return loaded

    return load


@pytest.fixture(name="X")
def tiny_images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (10, PX, PX, 3), dtype=np.uint8)


def blended(loaded: Model, X: np.ndarray, *passes: list[Any]) -> np.ndarray:
    """By hand: each member's mean over its views of `passes`, weighted 1 and 2."""
    total, weights = np.zeros((len(X), 3)), 0.0
    for index in sorted({index for index, _ in passes}):
        views = [view for each, view in passes if each == index]
        probs = np.mean([loaded.members[index].probs(X, view) for view in views], axis=0)
        total, weights = total + (index + 1) * probs, weights + index + 1
    return total / weights


def test_all_the_time_in_the_world_gives_the_full_answer(
    slow: Callable[..., Model], X: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = slow(folder=tmp_path / "plain")
    expected = plain.predict_proba(X)
    assert capsys.readouterr().out == ""
    np.testing.assert_allclose(expected, blended(plain, X, *FULL["passes"]), atol=1e-6)
    unordered = slow(folder=tmp_path / "unordered", passes=None)
    np.testing.assert_allclose(unordered.predict_proba(X), expected, atol=1e-6)
    runtime._CHOSEN.clear()
    timed = slow(folder=tmp_path / "timed", deadline_s=1e9)
    np.testing.assert_array_equal(timed.predict_proba(X), expected)
    assert capsys.readouterr().out.startswith("model.py: 4 of 4 passes done at ")


def test_what_cannot_fit_is_skipped_and_something_cheaper_runs(
    slow: Callable[..., Model],
    X: np.ndarray,
    clock: SlowClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Member 0's first pass ends at 10 s. Member 1 would need 100; 0 again 10."""
    loaded = slow(deadline_s=25)
    found = loaded.predict_proba(X)
    assert loaded.ran == [0] * 10
    assert clock.now_s == 20
    assert capsys.readouterr().out == "model.py: 2 of 4 passes done at 20.0 s, deadline 25 s\n"
    np.testing.assert_allclose(found, blended(loaded, X, PASSES[0], PASSES[2]), atol=1e-6)


def test_a_member_seen_in_fewer_views_keeps_its_weight(
    slow: Callable[..., Model], X: np.ndarray, clock: SlowClock
) -> None:
    """Everything but the last pass: 10, 100, 10 s."""
    loaded = slow(deadline_s=150)
    found = loaded.predict_proba(X)
    assert clock.now_s == 120
    np.testing.assert_allclose(found, blended(loaded, X, *PASSES), atol=1e-6)


def test_tracing_is_paid_for_once(slow: Callable[..., Model], X: np.ndarray) -> None:
    """Member 1 needs 100 s and what tracing took, 5 s, times the margin: 115.5 after 15."""
    loaded = slow(deadline_s=130, tuning_s=5)
    loaded.predict_proba(X)
    assert loaded.ran == [0] * 10
    runtime._CHOSEN.clear()
    loaded.deadline_s = 1000
    loaded.predict_proba(X)
    assert (loaded.ran.count(0), loaded.ran.count(1)) == (10 + 10, 10)


def test_what_tracing_takes_is_not_taken_for_the_pace(
    slow: Callable[..., Model], X: np.ndarray, clock: SlowClock
) -> None:
    """A GPU tunes itself in the first batch, 50 s; 10 s a pass beside that, which fits twice."""
    loaded = slow(deadline_s=75, tuning_s=50)
    found = loaded.predict_proba(X)
    assert clock.now_s == 70
    np.testing.assert_allclose(found, blended(loaded, X, PASSES[0], PASSES[2]), atol=1e-6)


def test_an_unfinished_pass_is_discarded(
    slow: Callable[..., Model], X: np.ndarray, clock: SlowClock
) -> None:
    """Member 1 takes ten times what its operations say: seen after two batches, at 10 + 400 s."""
    loaded = slow((1, 100), deadline_s=600)
    found = loaded.predict_proba(X)
    assert loaded.ran[5:] == [1, 1] + [0] * 5
    assert clock.now_s == 420
    np.testing.assert_allclose(found, blended(loaded, X, PASSES[0], PASSES[2]), atol=1e-6)


def test_a_first_pass_that_does_not_fit_gives_way_to_a_cheaper_one(
    slow: Callable[..., Model], X: np.ndarray, clock: SlowClock
) -> None:
    """Its second batch ends at 20 + 20 s and shows that; member 0 is done at 50 s."""
    loaded = slow(deadline_s=80, passes=[[1, "identity"], [0, "identity"]])
    found = loaded.predict_proba(X)
    assert clock.now_s == 50
    np.testing.assert_allclose(found, blended(loaded, X, PASSES[0]), atol=1e-6)


@pytest.mark.parametrize(
    "start_s", [0.0, 1000.0], ids=["seen while it runs", "late from the start"]
)
def test_when_nothing_fits_the_cheapest_is_finished(
    slow: Callable[..., Model],
    X: np.ndarray,
    clock: SlowClock,
    capsys: pytest.CaptureFixture[str],
    start_s: float,
) -> None:
    clock.now_s = start_s
    loaded = slow(deadline_s=5, passes=[[1, "identity"], [0, "flip"], [0, "identity"]])
    found = loaded.predict_proba(X)
    np.testing.assert_allclose(found, blended(loaded, X, [0, "flip"]), atol=1e-6)
    said = capsys.readouterr().out
    assert said.startswith("model.py: not even one pass fits, the cheapest is done at ")
    assert said.endswith(" s, deadline 5 s\n")


def test_a_single_batch_is_run_once(
    slow: Callable[..., Model],
    X: np.ndarray,
    clock: SlowClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is tried out beforehand: a pass of ten seconds is done after ten."""
    loaded = slow(deadline_s=11, passes=[[0, "identity"]])
    loaded.members[0].batch = 10
    loaded.predict_proba(X)
    assert loaded.ran == [0]
    assert capsys.readouterr().out == "model.py: 1 of 1 passes done at 10.0 s, deadline 11 s\n"


def test_the_only_pass_is_not_given_up_for_itself(
    slow: Callable[..., Model],
    X: np.ndarray,
    clock: SlowClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 s a batch, but 20 from the third of five on: too late for 12 s, and nothing is cheaper."""
    loaded = slow(deadline_s=12, passes=[[0, "identity"], [1, "identity"]])
    member = loaded.members[0]
    run = member._run

    def slower(x: Any) -> Any:
        clock.now_s += 18 if len(loaded.ran) > 1 else 0
        return run(x)

    member._run = slower
    loaded.predict_proba(X)
    assert loaded.ran == [0] * 5
    said = "not even one pass fits, the cheapest is done at 64.0 s, deadline 12 s"
    assert capsys.readouterr().out == f"model.py: {said}\n"


def test_a_later_call_that_is_late_says_so(
    slow: Callable[..., Model],
    X: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded = slow(deadline_s=25)
    loaded.predict_proba(X)
    loaded.predict_proba(X)
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "model.py: late: 2 of 4 passes done at 40.0 s, deadline 25 s"


@pytest.mark.parametrize("later_s", [0, 1e6])
def test_calls_agree_whatever_time_is_left(
    slow: Callable[..., Model], X: np.ndarray, clock: SlowClock, later_s: float
) -> None:
    first = slow(deadline_s=25)
    assert first.predict(X[:0]).shape == (0,)  # no images choose nothing
    expected = first.predict_proba(X)
    clock.now_s = later_s
    first.deadline_s = math.inf if later_s else 1
    np.testing.assert_array_equal(first.predict_proba(X), expected)
    np.testing.assert_allclose(first.predict_proba(X[3:5]), expected[3:5], atol=1e-6)
    np.testing.assert_array_equal(slow().predict_proba(X), expected)  # another Model, same process


def test_the_environment_overrides_the_bundle(
    slow: Callable[..., Model], X: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BCSUB_DEADLINE_S", "25")
    assert slow(folder=tmp_path / "none").deadline_s == 25
    assert slow(folder=tmp_path / "longer", deadline_s=1e9).deadline_s == 25
    monkeypatch.setenv("BCSUB_DEADLINE_S", "inf")
    assert slow(folder=tmp_path / "shorter", deadline_s=1).deadline_s == math.inf
    monkeypatch.setenv("BCSUB_DEADLINE_S", "")
    assert slow(folder=tmp_path / "shorter").deadline_s == 1


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_an_environment_that_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("BCSUB_DEADLINE_S", text)
    expected = f"^BCSUB_DEADLINE_S: expected seconds above 0, got '{text}'. Correct it."
    with pytest.raises(ValueError, match=expected):
        Model(write_bundle(tmp_path))


def test_an_old_member_costs_what_its_arrays_suggest(tmp_path: Path) -> None:
    """144 numbers, each in use on a sixteenth of 16 x 16 pixels, multiplied and added."""
    write_bundle(tmp_path, members=1)
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        member = file["members/00"]
        assert runtime.operations(member) == 100
        program = json.loads(member["program"][()])
        del member["program"], program["operations"]
        member["program"] = json.dumps(program)
        assert runtime.operations(member) == 2 * 144 / 16


def test_the_clock_starts_before_tensorflow_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def dawdling(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "tensorflow":
            time.sleep(0.3)
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", dawdling)
    before_s = time.monotonic()
    started_s = runpy.run_path(str(runtime.__file__))["STARTED_S"]
    assert time.monotonic() - before_s >= 0.3
    assert started_s - before_s < 0.3


CONVOLUTIONS = 12


def convolutions() -> dict[str, Any]:
    """3x3 convolutions of 64 channels on 32 px, then the mean: 0.9e9 operations an image."""
    same = {"strides": 1, "padding": "SAME", "dilation": 1}
    ops = [
        {"op": "conv", "in": [i], "out": i + 1, "arrays": {"kernel": f"k{i > 0:d}"}, "attrs": same}
        for i in range(CONVOLUTIONS)
    ]
    last = len(ops)
    pool = {"op": "global_pool", "in": [last], "out": last + 1, "arrays": {}}
    ops.append({**pool, "attrs": {"kind": "avg"}})
    dense = {"op": "dense", "in": [last + 1], "out": last + 2, "arrays": {"kernel": "head"}}
    ops.append({**dense, "attrs": {}})
    ops.append({"op": "softmax", "in": [last + 2], "out": last + 3, "arrays": {}, "attrs": {}})
    return {"ops": ops, "logits": last + 2, "output": last + 3, "operations": 9e8}


def test_a_really_slow_member_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight passes of about a second each, and time for three."""
    monkeypatch.setattr(runtime, "clock", time.monotonic)
    rng = np.random.default_rng(0)
    views = list(runtime.VIEWS)
    write_bundle(tmp_path, members=1, format_=1, views=views, image_px=32)
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        member = file["members/00"]
        del member["program"], member["arrays"]
        member.attrs["image_px"] = 32
        member["program"] = json.dumps(convolutions())
        for name, shape in (("k0", (3, 3, 3, 64)), ("k1", (3, 3, 64, 64)), ("head", (64, 3))):
            kernel = rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
            member[f"arrays/{name}"] = kernel.astype(np.float32)
    alone = Model(tmp_path).members[0]
    alone.batch = 8
    black = np.zeros((64, 32, 32, 3), np.uint8)
    alone.probs(black)
    pace_s = alone.seconds / alone.images
    X = rng.integers(0, 256, (max(16, round(1 / pace_s)), 32, 32, 3), dtype=np.uint8)

    deadline_s = 3 * len(X) * pace_s + alone.first_s
    monkeypatch.setenv("BCSUB_DEADLINE_S", str(deadline_s))
    loaded = Model(tmp_path)
    loaded.members[0].batch = 8
    start_s = time.monotonic()
    monkeypatch.setattr(runtime, "STARTED_S", start_s)
    found = loaded.predict_proba(X)
    assert time.monotonic() - start_s <= deadline_s
    said = capsys.readouterr().out
    done = int(said.split()[1])
    assert 1 <= done < len(views), said  # 2, where nothing else runs on the machine
    expected = np.mean([alone.probs(X, view) for view in views[:done]], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
