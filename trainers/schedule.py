"""Learning rates, and when a phase ends: pure functions and one small state."""

import math
from dataclasses import dataclass

from trainers.recipe import Phase


def rate_at(phase: Phase, epoch: float, reductions: int) -> float:
    """The learning rate `epoch` epochs (fractions count) into a phase.

    Linear warm-up to phase.peak_lr. Then cosine to phase.final_lr at phase.epochs (Loshchilov and
    Hutter, arXiv:1608.03983), or times phase.decay an epoch, or constant, times
    phase.plateau_factor for each of `reductions`; none of them below phase.final_lr.
    """
    if epoch < phase.warmup_epochs:
        return phase.peak_lr * epoch / phase.warmup_epochs
    if phase.schedule == "plateau":
        return max(phase.final_lr, phase.peak_lr * phase.plateau_factor**reductions)
    if phase.schedule == "exponential":
        return max(phase.final_lr, phase.peak_lr * phase.decay ** (epoch - phase.warmup_epochs))
    length = phase.epochs - phase.warmup_epochs
    done = min(1.0, (epoch - phase.warmup_epochs) / length) if length > 0 else 1.0
    share = 0.5 * (1 + math.cos(math.pi * done))
    return phase.final_lr + (phase.peak_lr - phase.final_lr) * share


def stages(phase: Phase) -> list[tuple[int, float]]:
    """The epoch at which each part of a phase ends, and the share of its layers that train by then.

    Ten epochs in three stages: [(3, 1/3), (7, 2/3), (10, 1)].
    """
    parts = range(1, phase.stages + 1)
    return [(round(phase.epochs * part / phase.stages), part / phase.stages) for part in parts]


def last_stage(phase: Phase) -> int:
    """The epoch (from 0) at which the last part of a phase begins."""
    ends = [0, *(end for end, _ in stages(phase))]
    return ends[-2]


@dataclass
class Watch:
    """What early stopping and the plateau schedule remember of one phase; JSON-able."""

    best: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    reductions: int = 0

    def see(self, phase: Phase, epoch: int, loss: float) -> bool:
        """Take in the inner loss after `epoch` (from 0); True when it is the best so far.

        Before the last stage of a phase nothing is waited for.
        """
        better = loss < self.best
        if better:
            self.best, self.best_epoch = loss, epoch
        if better or epoch < last_stage(phase):
            self.waited = 0
            return better
        self.waited += 1
        if phase.schedule == "plateau" and self.waited % phase.plateau_patience == 0:
            self.reductions += 1
        return False

    def over(self, phase: Phase) -> bool:
        """True when the patience of the phase is used up."""
        return 0 < phase.patience <= self.waited
