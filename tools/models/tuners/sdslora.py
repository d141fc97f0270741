"""SDS-LoRA: low-rank adaptation whose gradients pass through orthonormal bases. Oh, Baik and Lee, arXiv 2606.16454.

Until it is activated a layer is LoRA, ``dW = s B A``. From then on ``dW = s (Q_B A + B Q_A)`` with ``Q_B``
(outputs, r) of orthonormal columns and ``Q_A`` (r, inputs) of orthonormal rows, both constants, so that
``dL/dA = s Q_B^T G`` and ``dL/dB = s G Q_A^T`` hold none of the factors' singular values (``G = dL/dW``).
``s = alpha / sqrt(r)``. ``tools/training/adapters/sdslora.py`` says when layers are activated and refreshed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.factors import Factor
from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "sdslora"
    r: int = field(default=8)
    alpha: float = field(default=8.0)


class Layer(DeltaLayer):
    """A linear module with SDS-LoRA beside it."""

    adapter_layer_names = ("sdslora_A", "sdslora_B")
    other_param_names = ("sdslora_Q_A", "sdslora_Q_B", "sdslora_phase")

    def prepare(self, config: Config) -> None:
        self.sdslora_A, self.sdslora_B = nn.ParameterDict(), nn.ParameterDict()
        self.sdslora_Q_A, self.sdslora_Q_B = BufferDict(persistent=True), BufferDict(persistent=True)
        self.sdslora_phase = BufferDict(persistent=True)
        self.scale: dict[str, float] = {}
        self.activated: dict[str, bool] = {}
        # Which formula holds is asked at every pass: reading it from the buffer would wait for the device.
        self.register_load_state_dict_post_hook(_read_phases)

    def add(self, name: str, config: Config) -> None:
        if config.r > min(self.in_features, self.out_features):
            raise ValueError(
                f"a rank of at most {min(self.in_features, self.out_features)} was expected for {self.key} "
                f"({self.in_features} to {self.out_features}), got {config.r}"
            )
        self.sdslora_A[name] = nn.Parameter(torch.empty(config.r, self.in_features))
        self.sdslora_B[name] = nn.Parameter(torch.zeros(self.out_features, config.r))
        if self.sdslora_A[name].device.type != "meta":
            nn.init.kaiming_uniform_(self.sdslora_A[name], a=math.sqrt(5))
        self.sdslora_Q_A[name] = torch.zeros(config.r, self.in_features)
        self.sdslora_Q_B[name] = torch.zeros(self.out_features, config.r)
        self.sdslora_phase[name] = torch.zeros((), dtype=torch.int64)
        self.scale[name] = config.alpha / math.sqrt(config.r)
        self.activated[name] = False

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """``A'`` (rank, inputs) and ``B'`` (outputs, rank) of ``dW = s B' A'``: the rank is r before the activation
        and 2r after it."""
        down, up = self.sdslora_A[name], self.sdslora_B[name]
        if not self.activated[name]:
            return down, up
        q_in, q_out = self.sdslora_Q_A[name], self.sdslora_Q_B[name]
        return torch.cat([down, q_in.to(down.dtype)]), torch.cat([q_out.to(up.dtype), up], dim=1)

    def lora(self, name: str) -> Factor:
        """``dW`` in LoRA's form."""
        down, up = self.factors(name)
        return Factor(down.detach().clone(), up.detach() * self.scale[name])

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        # One product of rank 2r each way instead of two of rank r: the input is read once.
        down, up = self.factors(name)
        latent = nn.functional.linear(x.to(down.dtype), down) * self.scale[name]
        return result + nn.functional.linear(latent, up).to(result.dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        down, up = self.factors(adapter)
        return up.float() @ down.float() * self.scale[adapter]

    def activate(self, name: str) -> bool:
        """Goes over to the second formula without a change of ``dW``; False where A or B is not of full rank.

        The bases are ``dW``'s left and right singular vectors, and A and B share its singular values evenly.
        """
        down, up = _exact(self.sdslora_A[name]), _exact(self.sdslora_B[name])
        q_in, r_in = torch.linalg.qr(down.T)
        q_out, r_out = torch.linalg.qr(up)
        if _deficient(r_in, self.in_features) or _deficient(r_out, self.out_features):
            return False
        left, values, right = torch.linalg.svd(r_out.double() @ r_in.double().T)
        left, right = (q_out.double() @ left).float(), (right @ q_in.double().T).float()
        half = (values / 2).float()
        with torch.no_grad():
            self.sdslora_A[name].copy_(half[:, None] * right)
            self.sdslora_B[name].copy_(left * half)
        self.take(name, right, left)
        return True

    def refresh(self, name: str) -> tuple[float, float]:
        """Takes the bases anew from A and B, each vector on its old one's side. This changes ``dW``.

        Returns:
            Squared Frobenius norms of the change of ``dW`` and of ``dW`` before it.
        """
        old_down, old_up = (factor.detach().clone() for factor in self.factors(name))
        rows = _aligned(torch.linalg.qr(_exact(self.sdslora_A[name]).T).Q, _exact(self.sdslora_Q_A[name]).T).T
        columns = _aligned(torch.linalg.qr(_exact(self.sdslora_B[name])).Q, _exact(self.sdslora_Q_B[name]))
        self.take(name, rows, columns)
        down, up = (factor.detach() for factor in self.factors(name))
        change = _square(torch.cat([up, -old_up], dim=1), torch.cat([down, old_down]))
        return self.scale[name] ** 2 * change, self.scale[name] ** 2 * _square(old_up, old_down)

    def take(self, name: str, q_a: torch.Tensor, q_b: torch.Tensor) -> None:
        """Has these bases, (r, inputs) and (outputs, r), and is activated."""
        self.sdslora_Q_A[name].copy_(q_a)
        self.sdslora_Q_B[name].copy_(q_b)
        self.sdslora_phase[name].fill_(1)
        self.activated[name] = True


class Model(Tuner):
    """A model with SDS-LoRA on its target modules."""

    prefix = "sdslora_"
    tuner_layer_cls = Layer


def _read_phases(layer: Any, keys: Any) -> None:
    layer.activated = {name: bool(layer.sdslora_phase[name]) for name in layer.activated}


def _exact(weight: torch.Tensor) -> torch.Tensor:
    """In fp32 on the CPU, where a decomposition is the same every time."""
    return weight.detach().float().cpu()


def _deficient(triangle: torch.Tensor, longest: int) -> bool:
    """Whether a matrix is not of full rank, by the factor R (r, r) of its QR decomposition."""
    values = torch.linalg.svdvals(triangle)
    return bool(values[-1] <= values[0] * longest * torch.finfo(values.dtype).eps)


def _aligned(basis: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """The columns of ``basis`` (n, r), those turned round that point away from ``old``'s."""
    return basis * torch.where((basis * old).sum(0) < 0, -1.0, 1.0)


def _square(up: torch.Tensor, down: torch.Tensor) -> float:
    """``|up down|^2`` in Frobenius' norm, without the product."""
    up, down = up.double(), down.double()
    return max(0.0, float(((up.T @ up) * (down @ down.T)).sum()))
