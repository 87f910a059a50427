import h5py
import numpy as np
import pytest

from ensemble.members import VIEW_NAMES
from ensemble.order import by_gain_per_cost, order_passes
from ensemble.runs import find_members


def order(probs, weights=None, costs=None, classes=3):
    """probs: {(network, view): probability of the true class, one number or one a row}."""
    networks, views = (1 + max(key[axis] for key in probs) for axis in (0, 1))
    rows = np.broadcast_arrays(*probs.values())
    table = np.empty((networks, views, rows[0].size))
    for key, values in zip(probs, rows, strict=True):
        table[key] = values
    weights = np.ones(networks) if weights is None else np.array(weights)
    return by_gain_per_cost(table, weights, np.array(costs or [1] * networks), classes)


def test_the_largest_gain_comes_first():
    assert order({(0, 0): 0.5, (1, 0): 0.9, (2, 0): 0.7}) == [(1, 0), (2, 0), (0, 0)]


def test_gain_counts_per_operation():
    """From 1/3, .9 gains ln 2.7 = .99 and .5 gains ln 1.5 = .41: at twice the cost it is less."""
    probs = {(0, 0): 0.9, (1, 0): 0.5}
    assert order(probs, costs=[2, 1]) == [(0, 0), (1, 0)]
    assert order(probs, costs=[3, 1]) == [(1, 0), (0, 0)]


def test_gain_is_what_a_pass_adds_to_those_before_it():
    """Alone, 1 is better than 2, but it is right where 0 is; 2 is right where 0 is wrong."""
    first, same, other = np.array([0.9, 0.2]), np.array([0.8, 0.2]), np.array([0.1, 0.9])
    found = order({(0, 0): first, (1, 0): same, (2, 0): other})
    assert found == [(0, 0), (2, 0), (1, 0)]


def test_a_members_views_are_averaged_before_members_are():
    """0 in view 0, then: with its view 1 the blend is (.6 + .4) / 2 = .5, with member 1 (weight 3)
    (.6 + 3 * .55) / 4 = .5625; both harm, and the one that harms less comes first."""
    assert order({(0, 0): 0.6, (0, 1): 0.4, (1, 0): 0.55, (1, 1): 0.1}, [1, 3]) == [
        *[(0, 0), (1, 0), (0, 1), (1, 1)]
    ]


def test_what_harms_comes_last_the_cheaper_first():
    """Joined to .9, both .5 make .7; the dear one would look better per operation."""
    found = order({(0, 0): 0.5, (1, 0): 0.9, (2, 0): 0.5}, costs=[10, 1, 5])
    assert found == [(1, 0), (2, 0), (0, 0)]


def test_between_equals_the_cheaper_then_the_earlier():
    same = {(network, view): 0.7 for network in range(3) for view in range(2)}
    # the first pass gains, per operation most for the cheapest; nothing after it gains any more
    assert order(same, costs=[2, 1, 2]) == [(1, 0), (1, 1), (0, 0), (0, 1), (2, 0), (2, 1)]


def test_a_network_counts_on_the_rows_that_it_held_out():
    """Fold models 0 and 1 see half the rows each: the second covers rows still unseen, at 1/3."""
    nan = np.nan
    halves = {
        (0, 0): np.array([0.8, 0.8, nan, nan]),
        (1, 0): np.array([nan, nan, 0.7, 0.7]),
        (2, 0): np.array([0.6, 0.6, 0.6, 0.6]),
    }
    # 2: ln(.6 * 3) = .588 on all rows; 0: ln(.8 * 3) / 2 = .438; 1: ln(.7 * 3) / 2 = .371
    # then, blended with the .6: 0 gains ln(.7 / .6) / 2 = .077, 1 ln(.65 / .6) / 2 = .040
    assert order(halves) == [(2, 0), (0, 0), (1, 0)]
    assert order(halves, costs=[1, 1, 3]) == [(0, 0), (1, 0), (2, 0)]


def test_every_pass_appears_once_whatever_the_numbers(rng):
    probs = rng.uniform(0, 1, (4, 3, 50))
    probs[2, :, :30] = np.nan
    found = by_gain_per_cost(probs, rng.uniform(0.1, 1, 4), rng.uniform(1, 9, 4), 8)
    assert sorted(found) == [(network, view) for network in range(4) for view in range(3)]
    zeros = by_gain_per_cost(np.zeros((2, 2, 5)), np.ones(2), np.ones(2), 8)
    assert sorted(zeros) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(("cost", "first"), [(1e3, (1, "flip")), (1e9, (0, "identity"))])
def test_from_files_clean_and_shifted_count_and_the_program_says_the_cost(root, cost, first):
    """b-cpu, flipped, is the better by more on clean images than it is the worse on shifted ones.

    .95 and .5 gain (ln 2.85 + ln 1.5) / 2 = .73, a-cpu's .6 gain ln 1.8 = .59.
    """

    def flipped(labels):
        probs = root.sure(labels, 0.6)
        probs[:, VIEW_NAMES.index("flip")] = root.sure(labels, 0.95)[:, 0]
        return probs

    root.run("a-cpu", probs=lambda y: root.sure(y, 0.6))
    folder = root.run("b-cpu", probs=flipped)
    with h5py.File(folder / "predictions.h5", "a") as file:
        file["shifted"][:] = root.sure(root.dataset.labels[file["rows"][:]], 0.5)
    with h5py.File(folder / "member.h5", "a") as file:
        program = file["program"][()].decode()
        del file["program"]
        file["program"] = program[:-1] + f', "operations": {cost}}}'
    members = find_members(
        root.path / "runs", root.dataset, remake=lambda *_: None, report=lambda line: None
    )
    networks = [member.models[0] for member in members]
    views = ("identity", "flip")
    rows = root.dataset.held_out_rows(0)
    found = order_passes(networks, np.array([0.5, 0.5]), views, rows, root.dataset)
    assert found[0] == first
    assert sorted(found) == sorted((index, view) for index in range(2) for view in views)
    assert order_passes(networks, np.array([0.5, 0.5]), views, rows, root.dataset) == found
