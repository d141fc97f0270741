"""The losses of the DPO family, each on what policy and reference say of pairs of answers.

With ``c = log pi(y_c|x) - log pi_ref(y_c|x)`` for the chosen answer, ``r`` likewise for the rejected one,
``m = c - r``, ``s`` the logistic function, ``e`` the label smoothing and ``|y|`` an answer's tokens:

=============  ==========================================================  =============================
sigmoid        -(1-e) log s(beta m) - e log s(-beta m)                     DPO, arXiv 2305.18290, eq. 7
hinge          max(0, 1 - beta m)                                          SLiC, arXiv 2309.06657, eq. 10
ipo            (c/|y_c| - r/|y_r| - 1/(2 beta))^2                          arXiv 2310.12036, eq. 17
exo_pair       KL((s(beta m), s(-beta m)) || (1-e, e))                     arXiv 2402.00856, eq. 16
nca_pair       -log s(beta c) - (log s(-beta c) + log s(-beta r)) / 2      arXiv 2402.05369
robust         (-(1-e) log s(beta m) + e log s(-beta m)) / (1 - 2e)        arXiv 2403.00409
bco_pair       -log s(beta c) - log s(-beta r)                             arXiv 2404.04656
sppo_hard      (c - 1/(2 beta))^2 + (r + 1/(2 beta))^2                     arXiv 2405.00675, eq. 4.7
aot            as sigmoid, m between sorted log-ratios of the batch        arXiv 2406.05882, paired
aot_unpaired   as sigmoid, m between the batch's sorted c and sorted r     arXiv 2406.05882, unpaired
apo_zero       1 - s(beta c) + s(beta r)                                   arXiv 2408.06266, eq. 7
apo_down       s(beta c) + 1 - s(beta m)                                   arXiv 2408.06266, eq. 8
discopop       (1-w) (-log s(beta m)) + w exp(-beta m), w = s(beta m/tau)  arXiv 2406.08414, eq. 5
sft            -log pi(y_c|x), the mean over the batch's chosen tokens     plain fine-tuning
sigmoid_norm   -log s(beta (c/|y_c| - r/|y_r|))                            Tulu 3, arXiv 2411.15124
=============  ==========================================================  =============================

The names and readings are TRL's (``DPOConfig.loss_type``, 1.16). Where it is silent or differs: its ``sigmoid`` has no
smoothing, which is Mitchell's conservative DPO (ericmitchell.ai/cdpo.pdf); that ``ipo`` divides by lengths is TRL's,
agreed with its authors; ``exo_pair`` takes its authors' 1e-3 where no smoothing is set, since at zero it is infinite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

EXO_SMOOTHING = 1e-3


@dataclass(frozen=True)
class Compared:
    """What policy and reference say of n pairs; (n,) each, log-probabilities in nats."""

    chosen: Tensor
    rejected: Tensor
    chosen_before: Tensor
    """Under the reference."""
    rejected_before: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    per_token: Tensor
    """Makes a sum over chosen tokens a sum over pairs of the batch's mean token."""

    @property
    def up(self) -> Tensor:
        """``c``: how much likelier the chosen answer has become."""
        return self.chosen - self.chosen_before

    @property
    def down(self) -> Tensor:
        """``r``: how much likelier the rejected answer has become."""
        return self.rejected - self.rejected_before

    @property
    def margin(self) -> Tensor:
        """``m``."""
        return self.up - self.down

    @property
    def mean_margin(self) -> Tensor:
        """``c/|y_c| - r/|y_r|``."""
        return self.up / self.chosen_tokens - self.down / self.rejected_tokens


PairLoss = Callable[[Compared, Any], Tensor]
"""Pairs and settings (``beta``, ``label_smoothing``, ``tau``) -> (n,)."""


def sigmoid(pairs: Compared, settings: Any) -> Tensor:
    return _smoothed(settings.beta * pairs.margin, settings.label_smoothing)


def hinge(pairs: Compared, settings: Any) -> Tensor:
    return torch.relu(1 - settings.beta * pairs.margin)


def ipo(pairs: Compared, settings: Any) -> Tensor:
    return (pairs.mean_margin - 1 / (2 * settings.beta)).square()


def exo_pair(pairs: Compared, settings: Any) -> Tensor:
    wrong = torch.tensor(settings.label_smoothing or EXO_SMOOTHING)
    scaled = settings.beta * pairs.margin
    better = scaled.sigmoid() * (logsigmoid(scaled) - torch.log1p(-wrong))
    return better + (-scaled).sigmoid() * (logsigmoid(-scaled) - wrong.log())


def nca_pair(pairs: Compared, settings: Any) -> Tensor:
    up, down = settings.beta * pairs.up, settings.beta * pairs.down
    return -logsigmoid(up) - (logsigmoid(-up) + logsigmoid(-down)) / 2


def robust(pairs: Compared, settings: Any) -> Tensor:
    scaled, wrong = settings.beta * pairs.margin, settings.label_smoothing
    return (wrong * logsigmoid(-scaled) - (1 - wrong) * logsigmoid(scaled)) / (1 - 2 * wrong)


def bco_pair(pairs: Compared, settings: Any) -> Tensor:
    return -logsigmoid(settings.beta * pairs.up) - logsigmoid(-settings.beta * pairs.down)


def sppo_hard(pairs: Compared, settings: Any) -> Tensor:
    half = 1 / (2 * settings.beta)
    return (pairs.up - half).square() + (pairs.down + half).square()


def aot(pairs: Compared, settings: Any) -> Tensor:
    now = (pairs.chosen - pairs.rejected).sort().values
    before = (pairs.chosen_before - pairs.rejected_before).sort().values
    return _smoothed(settings.beta * (now - before), settings.label_smoothing)


def aot_unpaired(pairs: Compared, settings: Any) -> Tensor:
    apart = pairs.up.sort().values - pairs.down.sort().values
    return _smoothed(settings.beta * apart, settings.label_smoothing)


def apo_zero(pairs: Compared, settings: Any) -> Tensor:
    return 1 - (settings.beta * pairs.up).sigmoid() + (settings.beta * pairs.down).sigmoid()


def apo_down(pairs: Compared, settings: Any) -> Tensor:
    return (settings.beta * pairs.up).sigmoid() + 1 - (settings.beta * pairs.margin).sigmoid()


def discopop(pairs: Compared, settings: Any) -> Tensor:
    scaled = settings.beta * pairs.margin
    weight = (scaled / settings.tau).sigmoid()
    return (1 - weight) * -logsigmoid(scaled) + weight * (-scaled).exp()


def sft(pairs: Compared, settings: Any) -> Tensor:
    return -pairs.chosen * pairs.per_token


def sigmoid_norm(pairs: Compared, settings: Any) -> Tensor:
    return -logsigmoid(settings.beta * pairs.mean_margin)


LOSSES: dict[str, PairLoss] = {
    loss.__name__: loss
    for loss in (
        sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down,
        discopop, sft, sigmoid_norm,
    )
}  # fmt: skip
"""Name -> loss."""


def ranked(loss: str, pairs: Compared) -> tuple[list[int], list[int]]:
    """In which order chosen and rejected answers meet under a loss that sorts the whole batch.

    Of the pairs laid out so, any part has the same partners as in the whole, so that a batch can be cut.

    Returns:
        For ``aot`` the pairs' order by the policy and by the reference; for ``aot_unpaired`` the order of the chosen
        and of the rejected answers.
    """
    if loss == "aot":
        first, second = pairs.chosen - pairs.rejected, pairs.chosen_before - pairs.rejected_before
    else:
        first, second = pairs.up, pairs.down
    return first.argsort(stable=True).tolist(), second.argsort(stable=True).tolist()


def _smoothed(scaled: Tensor, wrong: float) -> Tensor:
    """Binary cross-entropy of a comparison that is wrong with this probability."""
    return -(1 - wrong) * logsigmoid(scaled) - wrong * logsigmoid(-scaled)
