"""Learning rates, and when a phase ends: pure functions and one small state."""

import math
from dataclasses import dataclass

from trainers.recipe import Phase

PLATEAU_FACTOR = 0.2


def rate_at(phase: Phase, epoch: float, reductions: int) -> float:
    """The learning rate `epoch` epochs (fractions count) into a phase.

    Linear warm-up to phase.peak_lr, then cosine to 0 at phase.epochs (Loshchilov and Hutter,
    arXiv:1608.03983), or constant, times .2 for each of `reductions`.
    """
    if epoch < phase.warmup_epochs:
        return phase.peak_lr * epoch / phase.warmup_epochs
    if phase.schedule == "plateau":
        return phase.peak_lr * PLATEAU_FACTOR**reductions
    length = phase.epochs - phase.warmup_epochs
    done = min(1.0, (epoch - phase.warmup_epochs) / length) if length > 0 else 1.0
    return phase.peak_lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Watch:
    """What early stopping and the plateau schedule remember of one phase; JSON-able."""

    best: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    reductions: int = 0

    def see(self, phase: Phase, epoch: int, loss: float) -> bool:
        """Take in the inner loss after `epoch`; True when it is the best so far."""
        if loss < self.best:
            self.best, self.best_epoch, self.waited = loss, epoch, 0
            return True
        self.waited += 1
        half = max(1, phase.patience // 2)
        if phase.schedule == "plateau" and self.waited % half == 0:
            self.reductions += 1
        return False

    def over(self, phase: Phase) -> bool:
        """True when the patience of the phase is used up."""
        return 0 < phase.patience <= self.waited
