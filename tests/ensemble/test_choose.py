import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.choose import Candidate, candidates, choose, choose_unseen, explain, fit_weights
from ensemble.members import Aligned
from ensemble.scores import accuracy

N = 400
LABELS = np.arange(N) % 2
GROUPS = np.arange(N)


def right_on(rows: int, start: int = 0) -> np.ndarray:
    """(N, 2) probabilities that are right on `rows` images from `start` on."""
    right = np.zeros(N, bool)
    right[start : start + rows] = True
    probs = np.full((N, 2), 0.2)
    probs[np.arange(N), np.where(right, LABELS, 1 - LABELS)] = 0.8
    return probs


def made(weighting, views, passes, probs, members=2) -> Candidate:
    return Candidate(weighting, views, np.full(members, 1 / members), passes, probs, probs)


def pick(tried, **options):
    return choose(tried, LABELS, GROUPS, np.random.default_rng(0), **options)


def test_the_simpler_one_within_one_standard_error_is_shipped():
    # 3 of 400 worse, all on other rows: d = .0075, se = sqrt(.0075 (1 - .0075) / 400) = .0043.
    # 1 of 400 worse: d = .0025, se = .0025: within one standard error.
    best = made("simplex", "all", 16, right_on(380))
    near, far = made("alone", "none", 1, right_on(379)), made("alone", "none", 1, right_on(377))
    choice = pick([far, near, best])
    assert choice.best == 2
    assert choice.shipped == 1
    np.testing.assert_allclose(choice.differences, [-0.0075, -0.0025, 0])
    np.testing.assert_allclose(choice.se, [0.0043, 0.0025, 0], atol=4e-4)
    assert pick([far, best]).shipped == 1


def test_fewer_passes_come_before_a_simpler_weighting():
    same = right_on(380)
    tried = [made("uniform", "all", 16, same), made("simplex", "none", 2, same)]
    assert pick(tried).shipped == 1


def test_at_equal_passes_weightings_then_views_decide():
    same = right_on(380)
    order = [
        made("alone", "none", 8, same),
        made("alone", "all", 8, same),
        made("uniform", "none", 8, same),
        made("greedy", "none", 8, same),
        made("simplex", "none", 8, same),
    ]
    for first in range(len(order)):
        tried = order[first:][::-1]
        assert pick(tried).shipped == len(tried) - 1


def test_between_equals_the_more_accurate():
    tried = [made("alone", "none", 1, right_on(379)), made("alone", "none", 1, right_on(380))]
    assert pick(tried).shipped == 1
    assert pick(tried[::-1]).shipped == 0


def test_copies_make_a_difference_less_sure():
    # 20 rows worse and 12 better, d = .02. Each row its own group: se = sqrt(32) / 400 = .014.
    # The 20 in one group: se = sqrt(20² + 12) / 400 = .05, so that is within one standard error.
    best, simple = right_on(380), right_on(360)
    simple[380:392] = right_on(12, 380)[380:392]
    tried = [made("alone", "none", 1, simple), made("simplex", "all", 16, best)]
    assert pick(tried).shipped == 1
    groups = np.where((GROUPS >= 360) & (GROUPS < 380), 360, GROUPS)
    assert choose(tried, LABELS, groups, np.random.default_rng(0)).shipped == 0


def test_the_user_decides():
    tried = [
        made("alone", "none", 1, right_on(390)),
        made("uniform", "none", 2, right_on(390)),
        made("simplex", "none", 2, right_on(300)),
        made("simplex", "all", 16, right_on(390)),
    ]
    assert pick(tried).shipped == 0
    assert pick(tried, weighting="simplex").shipped == 3
    assert pick(tried, weighting="simplex", views="none").shipped == 2
    assert pick(tried, weighting="uniform").forced
    assert pick(tried, views="all").shipped == 3


def test_a_single_member_counts_as_any_weighting():
    tried = [made("alone", "none", 1, right_on(390), members=1)]
    assert pick(tried, weighting="simplex").shipped == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"weighting": "equal"},
            "--weights: expected one of auto, uniform, greedy, simplex, got equal.",
        ),
        ({"views": "8"}, "--views: expected one of auto, none, all, got 8."),
    ],
)
def test_unknown_words(options, text):
    with pytest.raises(EnsembleError) as error:
        pick([made("alone", "none", 1, right_on(390))], **options)
    assert str(error.value) == text


def test_explain():
    tried = [made("alone", "none", 1, right_on(379)), made("simplex", "all", 16, right_on(380))]
    text = explain(pick(tried), ["cnn, no views", "simplex, 8 views"], [1, 16])
    assert text.startswith(
        "cnn, no views: the simplest within one standard error of the most accurate. "
        "simplex, 8 views is 0.0025 ± 0.002"
    )
    assert text.endswith("better on shifted held-out images and takes 16 passes instead of 1.")
    assert explain(pick(tried, views="all"), ["a", "b"], [1, 16]) == "b: asked for."


def aligned(probs: np.ndarray, labels: np.ndarray, models=None) -> Aligned:
    members, rows = probs.shape[:2]
    return Aligned(
        rows=np.arange(rows),
        labels=labels,
        groups=np.arange(rows),
        families=np.zeros(rows, np.int64),
        clean=probs,
        shifted=probs,
        test_labels=labels[:4],
        test_clean=probs[:, :4],
        test_shifted=probs[:, :4],
        models=np.ones(members, np.int64) if models is None else models,
    )


def test_candidates_are_members_alone_and_three_weightings_with_and_without_views():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), size=(2, 60, 8)).astype(np.float32)
    tried = candidates(aligned(probs, rng.integers(0, 3, 60), np.array([1, 3])), rng)
    assert [(each.weighting, each.views) for each in tried] == [
        *[("alone", "none"), ("alone", "none"), ("alone", "all"), ("alone", "all")],
        *[("uniform", "none"), ("uniform", "all")],
        *[("greedy", "none"), ("greedy", "all")],
        *[("simplex", "none"), ("simplex", "all")],
    ]
    assert [each.passes for each in tried[:6]] == [1, 3, 8, 24, 4, 32]
    np.testing.assert_array_equal(tried[1].shifted, probs[1, :, 0])
    np.testing.assert_allclose(tried[5].shifted, probs.mean(axis=(0, 2)), atol=1e-6)


def test_a_member_without_weight_costs_no_passes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    good = np.full((80, 8, 2), 0.1, np.float32)
    good[np.arange(80), :, labels] = 0.9
    tried = candidates(aligned(np.stack([good, 1 - good]), labels), rng)
    assert {each.passes for each in tried if each.weighting in ("greedy", "simplex")} == {1, 8}


def test_fitted_weights_are_without_negligible_members():
    # As in test_weights' interior optimum, with q = .2003: w = (q - .2) / .6 = .0005.
    p = np.where(np.arange(10_000) < 2003, 0.8, 0.2)
    probs = np.stack([np.stack([p, 1 - p], axis=1), np.stack([1 - p, p], axis=1)])
    assert fit_weights("simplex", probs, np.zeros(10_000, np.int64)).tolist() == [0, 1]


def test_fitted_candidates_are_cross_fitted():
    """Noise members: weights fitted on the rows that score them would look far above chance."""
    rng = np.random.default_rng(4)
    probs = rng.dirichlet(np.ones(4), size=(12, 160, 8)).astype(np.float32)
    labels = rng.integers(0, 4, 160)
    tried = candidates(aligned(probs, labels), rng)
    for each in tried:
        if each.weighting == "greedy" and each.views == "none":
            in_sample = np.tensordot(each.weights, probs[:, :, 0], axes=1)
            assert accuracy(in_sample, labels) > accuracy(each.shifted, labels) + 0.03


def noise(members: int, seed: int) -> tuple[Aligned, np.random.Generator]:
    """Members that know nothing, of four classes, on 240 images."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(4), size=(members, 240, 8)).astype(np.float32)
    return aligned(probs, rng.integers(0, 4, 240)), rng


def test_the_score_of_the_choice_saw_neither_its_weights_nor_itself() -> None:
    """Of many members by chance, the best one looks good on the rows that chose it alone."""
    flattered, unseen = [], []
    for seed in range(6):
        data, rng = noise(12, seed)
        tried = candidates(data, rng)
        chosen = tried[choose(tried, data.labels, data.groups, rng).best]
        flattered.append(accuracy(chosen.shifted, data.labels))
        unseen.append(accuracy(choose_unseen(data, rng)[0], data.labels))
    assert np.mean(flattered) > 0.29
    assert np.mean(unseen) < 0.27  # chance is .25


def test_where_nothing_is_left_to_choose_the_two_scores_agree() -> None:
    data, rng = noise(2, 0)
    shifted, clean = choose_unseen(data, rng, weighting="uniform", views="all")
    np.testing.assert_allclose(shifted, data.shifted.mean(axis=(0, 2)), atol=1e-6)
    np.testing.assert_allclose(clean, shifted, atol=1e-6)
