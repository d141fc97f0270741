"""The replay: the same files and contract as a real job, played in no time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.errors import UsageError
from tunewright.domain.job import (
    CodeIdentity,
    DataIdentity,
    EvaluationSpec,
    Job,
    Limits,
    ModelIdentity,
    Rungs,
    SplitIdentity,
    TrialSpec,
)
from tunewright.domain.outcome import Item, JobResult
from tunewright.domain.protocols import Exit, Handle
from tunewright.domain.recipe import Adapter, Optimisation, Recipe, Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import Checkpointed, Measured, Progressed, Started, TrialEvent
from tunewright.sandbox.replay import ReplayConfig, ReplaySandbox
from tunewright.sandbox.staging import stage

Make = Callable[..., Job]
DIGEST = "0" * 64


def recipe(lr: float = 4e-4, kind: str = "lora", rank: int = 16, seed: int = 0) -> Recipe:
    adapter = Adapter.model_validate({"kind": kind, "rank": rank})
    return Recipe(seed=seed, stages=(Stage(adapter=adapter, optimisation=Optimisation(lr=lr, steps=40)),))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Stages a job on 300 validation rows: a training, or an evaluation if there is no recipe."""
    rows = tmp_path / "val.jsonl"
    rows.write_text("".join(json.dumps({"id": f"{i:016x}", "target": f"label {i % 5}"}) + "\n" for i in range(300)))

    def job(id_: str = "t0", recipe_: Recipe | None = None, adapter: Path | None = None, metric: str = "max") -> Job:
        task = TaskSpec(
            model="m",
            sources=(DataSource(path="d", name="d"),),
            format="label",
            input_field="x",
            target_field="y",
            metric=Metric.model_validate({"name": "accuracy", "direction": metric}),
        )
        common: dict[str, Any] = {
            "id": id_,
            "study": "s",
            "task": task,
            "model": ModelIdentity(ref="m", digest=DIGEST, parameters=1),
            "limits": Limits(wall_s=60, memory_gib=1, threads=1),
            "code": CodeIdentity(version="0", digest=DIGEST),
            "sandbox": "replay",
        }
        split = SplitIdentity(digest=DIGEST, rows=300)
        spec: TrialSpec | EvaluationSpec
        if recipe_:
            data = DataIdentity(train=split, val=split, test=split)
            spec = TrialSpec(**common, recipe=recipe_, data=data, rungs=Rungs(steps=(10, 20), rows=100))
            inputs = {"val.jsonl": rows}
        else:
            spec = EvaluationSpec(**common, split="val", data=split)
            inputs = {"data.jsonl": rows, **({"adapter": adapter} if adapter else {})}
        return Job(spec=spec, folder=stage(tmp_path / id_, spec, inputs), model=tmp_path)

    return job


@pytest.fixture
def replay() -> Iterator[ReplaySandbox]:
    with ReplaySandbox() as sandbox:
        yield sandbox


def run(handle: Handle) -> tuple[list[TrialEvent], Exit]:
    events = list(handle.events(20))
    ended = handle.wait(20)
    assert ended is not None
    return events, ended


def result(job: Job) -> JobResult:
    return JobResult.model_validate_json((job.out / "result.json").read_bytes())


def score(replay: ReplaySandbox, job: Job) -> float:
    assert run(replay.start(job))[1].code == 0
    measured = result(job).measurement
    assert measured
    return measured.value


def test_a_training_writes_all_that_a_real_one_does(replay: ReplaySandbox, make: Make) -> None:
    job = make("t0", recipe())
    events, ended = run(replay.start(job))
    assert ended.code == 0
    assert isinstance(events[0], Started)
    measured = [event.measurement for event in events if isinstance(event, Measured)]
    assert [(m.step, m.rows) for m in measured] == [(10, 100), (20, 100), (40, 300)]
    assert measured[0].value < measured[-1].value
    losses = [event.loss for event in events if isinstance(event, Progressed) and event.loss]
    assert losses[-1] < losses[0]
    items = [Item.model_validate_json(line) for line in (job.out / "items.jsonl").read_text().splitlines()]
    assert [item.id for item in items] == [f"{i:016x}" for i in range(300)]
    assert sum(item.score for item in items) / 300 == pytest.approx(measured[-1].value)
    assert all((item.prediction == item.target) == (item.score == 1) for item in items)
    assert (job.out / "adapter" / "adapter_model.safetensors").stat().st_size == result(job).adapter_bytes
    assert len((job.out / "curve.jsonl").read_text().splitlines()) == 40


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_does_not(replay: ReplaySandbox, make: Make) -> None:
    jobs = [make("a", recipe(seed=1)), make("b", recipe(seed=1)), make("c", recipe(seed=2))]
    scores = [score(replay, job) for job in jobs]
    results = [result(job) for job in jobs]
    assert results[0] == results[1]
    assert results[0].adapter_digest != results[2].adapter_digest
    assert scores[0] == pytest.approx(scores[2], abs=0.1)


def test_the_surface_rewards_what_it_says(replay: ReplaySandbox, make: Make) -> None:
    ridge = score(replay, make("ridge", recipe(lr=4e-4)))
    assert ridge > score(replay, make("far", recipe(lr=4e-2))) + 0.2
    assert ridge > score(replay, make("base")) + 0.4
    assert score(replay, make("full", recipe(lr=3e-5, kind="full"))) > score(replay, make("low", recipe(lr=3e-5)))


def test_for_a_loss_lower_is_better(replay: ReplaySandbox, make: Make) -> None:
    assert score(replay, make("ridge", recipe(), metric="min")) < score(replay, make("base", metric="min"))


def test_an_adapter_evaluates_to_what_its_training_measured(replay: ReplaySandbox, make: Make) -> None:
    trained = make("t0", recipe())
    value = score(replay, trained)
    assert score(replay, make("again", adapter=trained.out / "adapter")) == value


def test_asked_at_a_rung_it_stops_with_a_checkpoint_and_goes_on_from_it(replay: ReplaySandbox, make: Make) -> None:
    job = make("t0", recipe())
    handle = replay.start(job)
    for event in handle.events():
        if isinstance(event, Measured) and event.measurement.step == 10:
            handle.ask_to_stop()
    ended = handle.wait()
    assert ended is not None
    assert ended.code == 10
    assert result(job).status == "paused"
    assert result(job).steps == 10
    straight = result(make_and_run(replay, make("straight", recipe())))
    events, ended = run(replay.start(job))
    assert ended.code == 0
    assert isinstance(events[0], Started)
    assert events[0].resumed_from == 10
    assert [e.step for e in events if isinstance(e, Checkpointed)] == [20]
    assert result(job) == straight


def make_and_run(replay: ReplaySandbox, job: Job) -> Job:
    run(replay.start(job))
    return job


@pytest.mark.parametrize(("kind", "code"), [("config", 20), ("data", 21), ("memory", 22), ("budget", 24)])
def test_faults_strike_the_recipes_they_name(make: Make, kind: str, code: int) -> None:
    with ReplaySandbox(ReplayConfig(fault=f"lr>0.01:{kind}, adapter.kind=full:{kind}")) as replay:
        hot = make("hot", recipe(lr=0.02))
        assert run(replay.start(hot))[1].code == code
        fault = result(hot).fault
        assert fault
        assert (fault.kind, fault.step) == (kind, 20)
        assert run(replay.start(make("full", recipe(kind="full"))))[1].code == code
        assert run(replay.start(make("good", recipe())))[1].code == 0


def test_an_infra_fault_strikes_once_and_a_kill_is_without_a_word(make: Make) -> None:
    with ReplaySandbox(ReplayConfig(fault="id=t0:infra, job=evaluation:killed")) as replay:
        job = make("t0", recipe())
        assert run(replay.start(job))[1].code == 23
        assert run(replay.start(make("t0", recipe())))[1].code == 0
        base = make("base")
        ended = run(replay.start(base))[1]
        assert (ended.code, ended.signal) == (None, 9)
        assert not (base.out / "result.json").exists()


@pytest.mark.parametrize("text", ["lr>0.01", "lr>0.01:meteor", ":config", "lr > : config", "lr>hot:config"])
def test_a_fault_that_cannot_be_read_shows_one_that_can(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        ReplaySandbox(ReplayConfig(fault=text))
    assert "lr>0.01:config" in caught.value.hint


def test_a_play_takes_the_time_it_is_given_and_can_be_cut_short(make: Make) -> None:
    with ReplaySandbox(ReplayConfig(seconds=0.4)) as replay:
        begun = time.monotonic()
        handle = replay.start(make("t0", recipe()))
        assert handle.wait(0.05) is None
        assert run(handle)[1].code == 0
        assert time.monotonic() - begun > 0.35
    with ReplaySandbox(ReplayConfig(seconds=60)) as replay:
        handle = replay.start(make("t1", recipe()))
        next(handle.events())
        handle.kill()
        ended = handle.wait()
        assert ended is not None
        assert ended.signal == 9


def test_waiting_alone_plays_to_the_end_and_leaves_the_events(replay: ReplaySandbox, make: Make) -> None:
    handle = replay.start(make("t0", recipe()))
    ended = handle.wait()
    assert ended is not None
    assert ended.code == 0
    assert any(isinstance(event, Measured) and event.final for event in handle.events())


def test_a_recording_is_played_again(replay: ReplaySandbox, make: Make, tmp_path: Path) -> None:
    recorded = make("t0", recipe())
    before, _ = run(replay.start(recorded))
    with ReplaySandbox(ReplayConfig(recording=recorded.out)) as player:
        job = make("t7", recipe(lr=0.5))
        after, ended = run(player.start(job))
    assert after == before
    assert ended.code == 0
    assert result(job) == result(recorded)
    assert (job.out / "items.jsonl").read_bytes() == (recorded.out / "items.jsonl").read_bytes()


def test_a_job_may_be_held_at_its_end(make: Make, tmp_path: Path) -> None:
    config = ReplayConfig(until=tmp_path / "may")
    (tmp_path / "may").mkdir()
    with ReplaySandbox(config) as sandbox:
        held, asked = sandbox.start(make("t0", recipe())), sandbox.start(make("t1", recipe()))
        assert held.wait(timeout_s=0.1) is None
        (tmp_path / "may" / "t0").touch()
        assert held.wait() == Exit(code=0)
        asked.ask_to_stop()
        assert asked.wait() is not None
