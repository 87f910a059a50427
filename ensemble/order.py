"""In which order the bundle's passes run: what gains most for its operations comes first.

It matters only where a deadline may leave out the last of them. A pass is one network seeing the
images in one view. Its gain is measured as everything else is, on held-out images, clean and
shifted: how much the log loss of the blend falls when the pass joins those before it.
"""

import h5py
import numpy as np

from cells.dataset import Dataset
from ensemble.members import VIEW_NAMES, FoldModel
from ensemble.scores import TINY
from submission.model import operations


def order_passes(
    networks: list[FoldModel],
    weights: np.ndarray,
    views: tuple[str, ...],
    rows: np.ndarray,
    dataset: Dataset,
) -> list[tuple[int, str]]:
    """Every pass of a bundle, as (position in `networks`, view), best gain per operation first.

    weights: (networks,), > 0. views: names of VIEWS. rows: (n,) that some network of each member
    held out; a network counts on those of them that it held out itself.
    """
    indices = [VIEW_NAMES.index(view) for view in views]
    probs = np.full((len(networks), len(views), 2, len(rows)), np.nan)
    for own, network in zip(probs, networks, strict=True):
        _, here, there = np.intersect1d(rows, network.rows, return_indices=True)
        labels = dataset.labels[rows[here]]
        for kind, held_out in enumerate((network.clean, network.shifted)):
            seen = held_out[there][:, indices]  # (images, views, classes)
            own[:, kind, here] = seen[np.arange(len(here)), :, labels].T
    flat = probs.reshape(len(networks), len(views), -1)
    costs = np.array([_operations(network) for network in networks])
    order = by_gain_per_cost(flat, weights, costs, len(dataset.classes))
    return [(network, views[view]) for network, view in order]


def by_gain_per_cost(
    probs: np.ndarray, weights: np.ndarray, costs: np.ndarray, classes: int
) -> list[tuple[int, int]]:
    """All (network, view), each the largest gain of the blend per cost, given those before it.

    probs: (networks, views, rows), of the true class; NaN where a network learned from the row.
    weights: (networks,), > 0. costs: (networks,), > 0, of one pass, any unit. A row that no pass
    has seen yet counts as 1 / classes. A pass that harms comes after all that gain, the cheaper and
    less harmful first; between equals the cheaper comes first, then the earlier.
    """
    held_out = ~np.isnan(probs)
    probs, shares = np.where(held_out, probs, 0), weights[:, None] * held_out[:, 0]
    sums, done = np.zeros(shares.shape), np.zeros(len(weights), int)
    total, weight = np.zeros(probs.shape[2]), np.zeros(probs.shape[2])  # of the blend so far

    def joined(network: int, view: int) -> tuple[np.ndarray, np.ndarray]:
        """The blend's weighted sum and its weights, were this pass in it."""
        old = sums[network] / max(done[network], 1)
        new = (sums[network] + probs[network, view]) / (done[network] + 1)
        first = 0 if done[network] else shares[network]
        return total + shares[network] * (new - old), weight + first

    def rank(which: tuple[int, int]) -> tuple[float, float]:
        gain = _log_loss(total, weight, classes) - _log_loss(*joined(*which), classes)
        gain = round(gain, 12)  # or rounding errors would decide between equals
        cost = float(costs[which[0]])
        return (-gain / cost if gain > 0 else -gain * cost), cost

    left = [(network, view) for network in range(len(probs)) for view in range(probs.shape[1])]
    order: list[tuple[int, int]] = []
    while left:
        best = min(left, key=rank)
        total[:], weight[:] = joined(*best)
        sums[best[0]] += probs[best]
        done[best[0]] += 1
        left.remove(best)
        order.append(best)
    return order


def _log_loss(total: np.ndarray, weight: np.ndarray, classes: int) -> float:
    """Mean of -log(probability of the true class) in nats; 1 / classes where nothing was seen."""
    true = np.divide(total, weight, out=np.full(len(total), 1 / classes), where=weight > 0)
    return float(-np.log(np.maximum(true, TINY)).mean()) if len(true) else 0.0


def _operations(network: FoldModel) -> float:
    with h5py.File(network.folder / "member.h5") as file:
        return operations(file)
