"""What every adapter must hold, on a tiny Llama and a tiny GPT-2. Subclasses give the fixture ``kind``, of scope
``class``.

``SETTINGS`` are an adapter's settings for models this small; ``REFUSES`` names the models a method says it does not
fit, and then saying so is what is tested.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter, Optimisation, Recipe, Stage
from tunewright.tools.models.adapter import adapter_bytes, attach, merged, prompted, save_adapter
from tunewright.tools.models.facts import facts
from tunewright.tools.models.size import least_adapter_bytes, trained_parameters
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training.checkpoint import Counters
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import AdapterMethod, Start
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.trainer import make_optimiser

VOCABULARY, STEPS = 60, 12
ONE = Optimisation(lr=1e-3, steps=1)
IDS = torch.tensor([[5, 9, 2, 40, 31, 8], [1, 3, 5, 7, 11, 13]])
SETTINGS: dict[str, dict[str, Any]] = {
    "fourierft": {"coefficients": 100, "scale": 10.0},
    "randlora": {"rank": 8},
    "road": {"group_size": 16},
    "unilora": {"sharing": 8},
    "vblora": {"vectors": 16},
    "vera": {"rank": 32},
    "waveft": {"coefficients": 100},
}
"""Kind -> settings that fit hidden 32, MLP 64, keys and values 16 wide."""
LEARNING_RATES: dict[str, float] = {}
"""Kind -> a rate at which the loss falls within a few steps, where ten times the default is not one."""


def llama() -> PreTrainedModel:
    """Two layers, four heads on two key-value heads, tied embeddings."""
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def gpt2() -> PreTrainedModel:
    """Two layers with fused projections, transposed weights and biases; without dropout."""
    torch.manual_seed(12)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


MODELS: dict[str, Callable[[], PreTrainedModel]] = {"llama": llama, "gpt2": gpt2}


def rows(count: int) -> list[Mapping[str, Any]]:
    """Batches of four: the first half of a row repeats in its second half, where the loss is."""
    torch.manual_seed(5)
    first = torch.randint(1, VOCABULARY, (4, 5))
    ids = torch.cat([first, first], dim=1)
    labels = ids.clone()
    labels[:, :5] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return [batch] * max(1, count // 4)


def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    """(rows, tokens, vocabulary), without the positions of a prompt adapter."""
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return found[:, -ids.shape[1] :].clone()


class Run:
    """A model in training, as a stage trains it, without the trainer around it."""

    def __init__(
        self, method: AdapterMethod, chosen: Adapter, model: Any, *, lr: float, steps: int = STEPS, seed: int = 3
    ) -> None:
        start = Start(seed=seed, steps=steps, rows=rows)
        self.model = method.build(model, chosen, start).train()
        self.loop: Loop = method.loop(self.model, chosen, start)
        plan = Optimisation(lr=lr, steps=steps, schedule="constant", warmup_ratio=0, precision="fp32")
        self.optimiser, self.scheduler = make_optimiser(
            self.model, plan, steps, lambda name: method.lr_factor(name, chosen)
        )
        self.losses: list[float] = []

    def step(self, number: int) -> None:
        self.loop.before_step(number)
        batch = self.loop.batch(dict(rows(4)[0]))
        loss = loss_of(self.model, batch)
        self.losses.append(float(loss.detach()))
        penalty = self.loop.penalty()
        (loss if penalty is None else loss + penalty).backward()
        self.loop.after_backward(number)
        self.optimiser.step()
        self.loop.after_step(number, self.optimiser)
        self.scheduler.step()
        self.optimiser.zero_grad()

    def steps(self, first: int, last: int) -> Run:
        """Steps ``first`` to ``last``, the latter not included."""
        for number in range(first, last):
            self.step(number)
        return self

    @property
    def parts(self) -> tuple[Any, Any, Any, Loop]:
        return self.model, self.optimiser, self.scheduler, self.loop


@dataclass(frozen=True)
class Trained:
    """A run after its last step. Tests look at it and leave it as it is."""

    run: Run
    base: Mapping[str, torch.Tensor]
    """What ``frozen`` gave before the first step."""
    weights: Mapping[str, torch.Tensor]
    """What ``trainable`` gives after the last."""


@dataclass(frozen=True)
class Finished:
    """A model after ``finish``, as it is measured and saved. Tests look at it and leave it as it is."""

    model: Any
    losses: list[float]
    before: torch.Tensor
    """Its logits before ``finish``."""


@cache
def base_logits(family: str) -> torch.Tensor:
    """Of the base model."""
    return logits(MODELS[family]())


def loss_of(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """The mean over the labelled tokens."""
    found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    found = found[:, -batch["input_ids"].shape[1] :][:, :-1].float()
    return torch.nn.functional.cross_entropy(found.flatten(0, 1), batch["labels"][:, 1:].flatten())


class AdapterConformance:
    """Inherit it and give the fixture ``kind``; ``family`` is the base model's."""

    @pytest.fixture(params=sorted(MODELS), scope="class")
    def family(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(scope="class")
    def method(self, kind: str) -> AdapterMethod:
        return find_adapter(kind)

    @pytest.fixture(scope="class")
    def chosen(self, kind: str, method: AdapterMethod) -> Adapter:
        return Adapter(kind=kind, placement=method.placements[0], **SETTINGS.get(kind, {}))

    @pytest.fixture(scope="class")
    def lr(self, kind: str, method: AdapterMethod) -> float:
        return LEARNING_RATES.get(kind, min(10 * method.lr[2], method.lr[1] * 3))

    @pytest.fixture(scope="class")
    def begin(self, method: AdapterMethod, chosen: Adapter, family: str, lr: float) -> Callable[[], Run]:
        """Builds a run that has taken no step."""
        if family == "gpt2" and not getattr(method, "fits_conv1d", True):
            pytest.skip("says that it does not take transposed layers: tested once, below")
        return lambda: Run(method, chosen, MODELS[family](), lr=lr)

    @pytest.fixture(scope="class")
    def begun(self, begin: Callable[[], Run]) -> Run:
        """A run before its first step, for all tests that only look at it."""
        return begin()

    @pytest.fixture(scope="class")
    def trained(self, begin: Callable[[], Run]) -> Trained:
        """Trained once for all tests that only look at it."""
        run = begin()
        before = frozen(run.model)
        run.steps(0, STEPS)
        return Trained(run, before, {name: weight.clone() for name, weight in trainable(run.model).items()})

    @pytest.fixture(scope="class")
    def finished(self, method: AdapterMethod, chosen: Adapter, begin: Callable[[], Run]) -> Finished:
        """Trained once more, and finished."""
        torch.manual_seed(99)  # whatever chance was before
        run = begin().steps(0, STEPS)
        before = logits(run.model.eval())
        return Finished(method.finish(run.model, chosen).eval(), run.losses, before)

    @pytest.fixture
    def own(self, method: AdapterMethod, chosen: Adapter, begin: Callable[[], Run]) -> Any:
        """A finished model that the test may take apart."""
        return method.finish(begin().steps(0, STEPS).model, chosen).eval()

    @pytest.fixture(autouse=True, scope="class")
    def one_thread(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    def test_says_where_it_comes_from_and_what_it_costs(self, method: AdapterMethod, kind: str) -> None:
        assert method.kind == kind and method.summary and method.paper
        low, high, default = method.lr
        assert 0 < low < default < high
        assert method.step_cost >= 1 and method.scoring_cost >= 1 and method.activation_cost > 0

    def test_starts_as_the_base_model(self, method: AdapterMethod, begun: Run, family: str) -> None:
        if not method.identity:
            pytest.skip("trained positions before the input are no identity")
        assert torch.allclose(logits(begun.model.eval()), base_logits(family), atol=2e-5)

    def test_trains_exactly_what_it_declares(
        self, method: AdapterMethod, chosen: Adapter, family: str, begun: Run, tmp_path: Path
    ) -> None:
        MODELS[family]().save_pretrained(tmp_path)
        count = sum(weight.numel() for weight in begun.model.parameters() if weight.requires_grad)
        assert count == method.trainable_parameters(facts(tmp_path), chosen) > 0
        known = trained_parameters(facts(tmp_path), Recipe(stages=(Stage(adapter=chosen, optimisation=ONE),)))
        assert known in (count, None), "a limit is held by it before anything is trained"

    def test_equal_seeds_give_equal_adapters(self, trained: Trained, finished: Finished) -> None:
        assert finished.losses == trained.run.losses

    def test_leaves_the_base_weights_alone(self, trained: Trained) -> None:
        if not hasattr(trained.run.model, "peft_config"):
            pytest.skip("it trains the weights themselves")
        assert all(torch.equal(weight, trained.base[name]) for name, weight in frozen(trained.run.model).items())

    def test_the_loss_falls(self, trained: Trained) -> None:
        losses = trained.run.losses
        assert all(math.isfinite(loss) for loss in losses)
        assert min(losses[-3:]) < losses[0] * 0.995

    def test_saved_and_loaded_it_is_the_same_to_the_bit(
        self, chosen: Adapter, finished: Finished, family: str, tmp_path: Path
    ) -> None:
        save_adapter(finished.model, tmp_path / "adapter", base="tiny")
        loaded = attach(MODELS[family](), tmp_path / "adapter")
        assert torch.equal(logits(loaded), logits(finished.model))
        assert not torch.allclose(logits(loaded), base_logits(family), atol=1e-4), "nothing was learned"
        MODELS[family]().save_pretrained(tmp_path)
        least = least_adapter_bytes(facts(tmp_path), Recipe(stages=(Stage(adapter=chosen, optimisation=ONE),)))
        assert (least or 0) <= adapter_bytes(tmp_path / "adapter"), "what fits a limit is not refused for it"

    def test_finishing_changes_no_output(self, finished: Finished) -> None:
        assert torch.allclose(logits(finished.model), finished.before, atol=1e-4)

    def test_exported_as_lora_it_loads_without_us(
        self, method: AdapterMethod, finished: Finished, family: str, tmp_path: Path
    ) -> None:
        if not method.exports_lora:
            pytest.skip("not a LoRA checkpoint")
        from peft import LoraConfig, PeftConfig, PeftModel

        save_adapter(finished.model, tmp_path / "adapter", base="tiny")
        config = PeftConfig.from_pretrained(str(tmp_path / "adapter"))
        assert type(config) is LoraConfig
        assert config.init_lora_weights in (True, False), "another initialisation would change the base on loading"
        loaded = PeftModel.from_pretrained(MODELS[family](), str(tmp_path / "adapter")).eval()
        assert torch.allclose(logits(loaded), logits(finished.model), atol=1e-5)

    def test_merged_it_computes_the_same_or_it_refuses(self, method: AdapterMethod, own: Any) -> None:
        before = logits(own)
        if not method.mergeable:
            with pytest.raises(AttributeError if prompted(own) else ValueError):
                merged(own)
            return
        assert torch.allclose(logits(merged(own).eval()), before, atol=2e-4)

    def test_switched_off_it_is_the_base_model(self, trained: Trained, family: str) -> None:
        if not hasattr(trained.run.model, "peft_config"):
            pytest.skip("it is no adapter")
        model = trained.run.model.eval()
        adapted = logits(model)
        with model.disable_adapter():
            assert torch.allclose(logits(model), base_logits(family), atol=2e-5)
        assert torch.equal(logits(model), adapted)

    def test_two_adapters_switch(self, method: AdapterMethod, own: Any) -> None:
        if not hasattr(own, "peft_config"):
            pytest.skip("it is no adapter")
        adapted = logits(own)
        own.add_adapter("other", copy.deepcopy(own.peft_config["default"]))
        own.set_adapter("other")
        if method.identity:
            assert not torch.allclose(logits(own), adapted, atol=1e-4)
        own.set_adapter("default")
        assert torch.equal(logits(own), adapted)

    def test_bf16_autocast_gives_numbers(self, begin: Callable[[], Run]) -> None:
        run = begin()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            run.steps(0, 2)
        assert all(loss < 1e4 for loss in run.losses)

    def test_a_resumed_run_is_the_run_that_never_stopped(
        self, begin: Callable[[], Run], trained: Trained, tmp_path: Path
    ) -> None:
        broken = begin().steps(0, 7)
        checkpoints.save(tmp_path, 0, 7, Counters(step=7), broken.parts)
        resumed = begin()
        found = checkpoints.latest(tmp_path)
        assert found is not None
        found.restore(*resumed.parts)
        found.restore_random()
        resumed.steps(7, STEPS)
        assert broken.losses + resumed.losses == trained.run.losses
        after = trainable(resumed.model)
        assert trained.weights.keys() == after.keys()
        assert all(torch.equal(weight, after[name]) for name, weight in trained.weights.items())

    def test_a_method_that_does_not_fit_says_so(self, method: AdapterMethod, chosen: Adapter, tmp_path: Path) -> None:
        if getattr(method, "fits_conv1d", True):
            pytest.skip("it fits both models")
        gpt2().save_pretrained(tmp_path)
        with pytest.raises(UsageError, match=method.kind):
            method.trainable_parameters(facts(tmp_path), chosen)
        with pytest.raises(UsageError, match=method.kind):
            method.build(gpt2(), chosen, Start(rows=rows))


def frozen(model: Any) -> dict[str, torch.Tensor]:
    """Copies of the weights that are not trained and belong to the base model."""
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if not weight.requires_grad and not prompted(model)
    }


def trainable(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
