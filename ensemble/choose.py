"""The honest choice: all candidates on rows unseen by their weights, then one standard error.

Candidates are each member alone and all members weighted uniformly, greedily and by log loss, each
seen as it is and through all eight views. The score is the accuracy on the shifted held-out rows,
which is what the platform's accuracy follows. The simplest candidate within one standard error of
the best is shipped. Simple means, in this order: few passes (networks x views); alone before
uniform before greedy before simplex; no views before all; and between equals the more accurate.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from cells.errors import EnsembleError
from ensemble.blend import blend, mean_views
from ensemble.crossfit import PARTS, bootstrap_se, crossfit, deal_parts
from ensemble.members import VIEW_NAMES, Aligned
from ensemble.scores import accuracy
from ensemble.weights import WEIGHTINGS, optimality_gap, without_crumbs

VIEW_SETS = {"none": (VIEW_NAMES.index("identity"),), "all": tuple(range(len(VIEW_NAMES)))}
_ORDER = ("alone", *WEIGHTINGS)


@dataclass(frozen=True)
class Candidate:
    """A way to combine the members, and what it predicts on held-out rows.

    weighting: "alone", "uniform", "greedy" or "simplex". views: a key of VIEW_SETS.
    weights: (members,), fitted on all held-out rows; these would be shipped.
    shifted, clean: (rows, classes) float32, cross-fitted.
    gap: of simplex weights, how far at most their log loss lies above the optimum, in nats.
    """

    weighting: str
    views: str
    weights: np.ndarray
    passes: int
    shifted: np.ndarray
    clean: np.ndarray
    gap: float | None = None


@dataclass(frozen=True)
class Choice:
    """Which candidate is shipped, and what it was compared with.

    shipped, best: positions in the list of candidates. `best` is the most accurate among those
    that were allowed. differences: (candidates,), shifted accuracy minus the best's. se: their
    standard errors. forced: the user left no choice but one.
    """

    shipped: int
    best: int
    differences: np.ndarray
    se: np.ndarray
    allowed: np.ndarray
    forced: bool


def candidates(data: Aligned, rng: np.random.Generator) -> list[Candidate]:
    """All candidates, members alone first; with a single member there is nothing else."""
    parts = deal_parts(data.labels, data.groups, PARTS, rng)
    members = len(data.shifted)
    out = []
    for views, indices in VIEW_SETS.items():
        shifted = np.stack([mean_views(member, indices) for member in data.shifted])
        clean = np.stack([mean_views(member, indices) for member in data.clean])
        for number in range(members):
            weights = np.eye(members)[number]
            passes = int(data.models[number]) * len(indices)
            out.append(Candidate("alone", views, weights, passes, shifted[number], clean[number]))
        for weighting in WEIGHTINGS if members > 1 else ():
            fit = partial(fit_weights, weighting)
            weights = fit(shifted, data.labels)
            cross = crossfit(fit, shifted, clean, data.labels, parts)
            passes = int(data.models[weights > 0].sum()) * len(indices)
            simplex = weighting == "simplex"
            gap = optimality_gap(shifted, data.labels, weights) if simplex else None
            out.append(Candidate(weighting, views, weights, passes, *cross, gap))
    return sorted(out, key=lambda each: _ORDER.index(each.weighting))


def fit_weights(weighting: str, probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights (members,) of sum 1 as they are shipped: without negligible members.

    probs: (members, rows, classes). labels: (rows,) int.
    """
    return without_crumbs(WEIGHTINGS[weighting](probs, labels))


def choose(
    tried: list[Candidate],
    labels: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    weighting: str = "auto",
    views: str = "auto",
) -> Choice:
    """The simplest candidate within one standard error of the best.

    labels, groups: (rows,) int. weighting: "auto", or the only one of WEIGHTINGS allowed; a single
    member counts as any of them. views: "auto", or the only key of VIEW_SETS allowed.
    Raises EnsembleError for another word.
    """
    _check_word("--weights", weighting, ("auto", *WEIGHTINGS))
    _check_word("--views", views, ("auto", *VIEW_SETS))
    single = len(tried[0].weights) == 1
    allowed = np.array(
        [
            (weighting in ("auto", each.weighting) or single) and views in ("auto", each.views)
            for each in tried
        ]
    )
    scores = np.array([accuracy(each.shifted, labels) for each in tried])

    def simplicity(number: int) -> tuple[int, int, int, float]:
        each = tried[number]
        order = _ORDER.index(each.weighting), list(VIEW_SETS).index(each.views)
        return each.passes, *order, -scores[number]

    may = np.flatnonzero(allowed)
    best = min(may[scores[may] == scores[may].max()], key=simplicity)
    right = np.array([each.shifted.argmax(axis=1) == labels for each in tried], np.float64)
    differences = scores - scores[best]
    se = bootstrap_se(right - right[best], groups, rng)
    near = may[differences[may] >= -se[may]]
    shipped = min(near, key=simplicity)
    return Choice(int(shipped), int(best), differences, se, allowed, forced=len(may) == 1)


def choose_unseen(
    data: Aligned, rng: np.random.Generator, weighting: str = "auto", views: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """What the choice is worth: every part predicted by the candidate that the others chose.

    The shipped candidate's own score is a little too good, since it was picked for it. Here both
    weights and choice come from the other parts' rows. Source: nested cross-validation,
    Varma & Simon 2006, doi:10.1186/1471-2105-7-91.
    Returns (shifted, clean), each (rows, classes) float32. Raises EnsembleError as `choose` does.
    """
    parts = deal_parts(data.labels, data.groups, PARTS, rng)
    shape = (len(data.rows), data.shifted.shape[-1])
    shifted, clean = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for part in np.unique(parts):
        left_out = parts == part
        rest = data.on(~left_out)
        tried = candidates(rest, rng)
        chosen = tried[choose(tried, rest.labels, rest.groups, rng, weighting, views).shipped]
        for out, probs in ((shifted, data.shifted), (clean, data.clean)):
            seen = [mean_views(member[left_out], VIEW_SETS[chosen.views]) for member in probs]
            out[left_out] = blend(np.stack(seen), chosen.weights)
    return shifted, clean


def explain(choice: Choice, names: list[str], passes: list[int]) -> str:
    """One sentence on why the shipped candidate was chosen.

    names, passes: of all candidates, in their order.
    """
    shipped, best = choice.shipped, choice.best
    if choice.forced:
        return f"{names[shipped]}: asked for."
    among = "" if choice.allowed.all() else " of those allowed"
    if shipped == best:
        return (
            f"{names[best]}: the most accurate{among} on shifted held-out images, "
            "and nothing simpler is within one standard error of it."
        )
    cost = f"takes {passes[best]} passes instead of {passes[shipped]}"
    if passes[best] == passes[shipped]:
        cost = "takes as many passes"
    return (
        f"{names[shipped]}: the simplest{among} within one standard error of the most accurate. "
        f"{names[best]} is {-choice.differences[shipped]:.4f} ± {choice.se[shipped]:.4f} better "
        f"on shifted held-out images and {cost}."
    )


def _check_word(option: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise EnsembleError(f"{option}: expected one of {', '.join(words)}, got {word}.")
