"""What a stage draws: shares, general data, which weights are meant, and sources that have lost their rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.training.chosen import task
from tests.training.planted import row

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.recipe import Recipe, Stage
from tunewright.domain.task import DataSource, TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.data.mix import mix
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.batch import StageData, general_rows, stage_data, stage_rows
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.sources import Sources, weights_of


def sources(general: int = 0, replay: float = 0.0, **sizes: int) -> Sources:
    rows: list[Any] = []
    for name, size in [*sizes.items(), ("general", general)]:
        rows += [row(len(rows) + n, name, f"{name} {n}", "yes") for n in range(size)]
    own = len(rows) - general
    return Sources(tuple(sizes), rows, tuple(range(own)), tuple(range(own, len(rows))), replay)


def counts(found: Sources, places: list[int]) -> Counter[str]:
    return Counter(found.rows[place]["source"] for place in places)


def test_shares_are_the_weights() -> None:
    made = sources(a=50, b=10)
    assert counts(made, made.draw((0.25, 0.75), seed=1)) == {"a": 15, "b": 45}
    assert counts(made, made.draw((0.25, 0.75), seed=1, total=8)) == {"a": 2, "b": 6}
    assert counts(made, made.draw((), seed=1)) == {"a": 50, "b": 10}
    assert made.sizes == (50, 10) and made.proportional == pytest.approx((5 / 6, 1 / 6))


def test_a_draw_is_of_its_seed() -> None:
    made = sources(a=50, b=10)
    assert made.draw((0.5, 0.5), seed=1) == made.draw((0.5, 0.5), seed=1) != made.draw((0.5, 0.5), seed=2)
    assert made.laid_out((), 150, 3, 0)[:60] != made.laid_out((), 150, 3, 0)[60:120], "epochs differ"
    assert made.laid_out((), 150, 3, 0)[:60] == made.laid_out((), 60, 3, 0)


def test_without_weights_a_part_is_of_all_rows() -> None:
    rows = sources(a=30, b=30).rows
    some = [{one["id"] for one in mix(rows, (), (), seed=seed, total=20)} for seed in range(40)]
    assert {len(one) for one in some} == {20} and len(set.union(*some)) == 60
    more = Counter(one["id"] for one in mix(rows, (), (), seed=0, total=150))
    assert set(more.values()) == {2, 3}, "whole passes before any row comes again"


@pytest.mark.parametrize(("replay", "general"), [(0.25, 15), (0.1, 6), (0.0, 0)])
def test_general_data_is_a_share_of_each_epoch(replay: float, general: int) -> None:
    made = sources(general=4, replay=replay, a=40, b=20)
    drawn = made.draw((0.5, 0.5), seed=1)
    found = counts(made, drawn)
    assert found["general"] == general and len(drawn) == 60
    assert abs(found["a"] - found["b"]) <= 1
    for start in range(0, 60, 20):
        assert abs(counts(made, drawn[start : start + 20])["general"] - general / 3) <= 1, "evenly over the epoch"


def test_a_stage_takes_its_part_of_the_tasks_weights() -> None:
    made = task(["a", "b", "c"])
    assert weights_of((0.2, 0.3, 0.5), ("a", "b", "c"), made) == (0.2, 0.3, 0.5)
    assert weights_of((0.2, 0.3, 0.5), ("a", "c"), made) == pytest.approx((2 / 7, 5 / 7))
    assert weights_of((0.9, 0.1), ("a", "c"), made) == (0.9, 0.1), "as many as the stage has sources are the stage's"
    assert weights_of((), ("a", "c"), made) == ()
    with pytest.raises(DataError, match="1 data weights for 2 sources"):
        weights_of((1.0,), ("a", "c"), made)
    with pytest.raises(DataError, match="no weight is on a, c") as caught:
        weights_of((0.0, 1.0, 0.0), ("a", "c"), made)
    assert caught.value.hint


def mixed_task(*names: str, general: str = "old", form: Any = None) -> TaskSpec:
    plain = task(names)
    extra = DataSource(path="old.jsonl", name=general, format=form, general=True)
    return plain.model_copy(update={"sources": (*plain.sources, extra)})


ROWS: list[Any] = [row(n, "ab"[n % 2], f"in {n}", "yes") for n in range(20)]
OLD: list[Any] = [row(100 + n, "old", f"in {n}", "no") for n in range(5)]


def stage(**data: Any) -> Stage:
    return Stage.model_validate({"data": data, "optimisation": {"lr": 1e-3, "batch_size": 4, "steps": 10}})


def laid(tiny: Found, about: TaskSpec, rows: list[Any], wanted: Stage, **more: Any) -> StageData:
    _, tokenizer = load_model(tiny.path, device="cpu")
    own = stage_rows(rows, about, wanted)
    return stage_data(own, about, wanted, 0, 1, tokenizer, general=general_rows(rows, about, wanted), **more)


def test_general_data_is_not_trained_on_unless_it_is_replayed(tiny: Found) -> None:
    about = mixed_task("a", "b")
    assert {one["source"] for one in stage_rows([*ROWS, *OLD], about, stage())} == {"a", "b"}
    plain = laid(tiny, about, [*ROWS, *OLD], stage())
    assert not any(plain.rows[place]["source"] == "old" for place in plain.order)
    replayed = laid(tiny, about, [*ROWS, *OLD], stage(replay=0.2, weights=[0.5, 0.5]))
    found = Counter(replayed.rows[place]["source"] for place in replayed.order)
    assert found["old"] == 8 and abs(found["a"] - found["b"]) <= 2
    assert replayed.steps == plain.steps == 10
    assert len(replayed.admitted) == 20, "general data is not selected"


def test_raw_text_is_replayed_beside_answers(tiny: Found) -> None:
    raw = [{**one, "input": "", "target": f"some text {n}", "raw": True} for n, one in enumerate(OLD)]
    replayed = laid(tiny, mixed_task("a", "b", form="text"), [*ROWS, *raw], stage(replay=0.5))
    assert Counter(replayed.rows[place]["source"] for place in replayed.order)["old"] == 20


def test_replay_without_general_data_is_refused(tiny: Found) -> None:
    recipe = Recipe(stages=(stage(replay=0.1),))
    check_recipe(recipe, mixed_task("a"))
    with pytest.raises(UsageError, match="10% of general data is to be mixed in") as caught:
        check_recipe(recipe, task(["a"]))
    assert "general: true" in caught.value.hint
    with pytest.raises(FaultError, match="of general rows there are none"):
        general_rows(ROWS, mixed_task("a", "b"), stage(replay=0.1))


def test_a_weight_on_a_source_without_rows_is_the_datas_fault(tiny: Found) -> None:
    rows = [one for one in ROWS if one["source"] == "a"]
    with pytest.raises(DataError, match="source 'b' has no training rows but a weight"):
        laid(tiny, task(["a", "b"]), rows, stage(weights=[0.5, 0.5]))
    assert laid(tiny, task(["a", "b"]), rows, stage(weights=[1.0, 0.0])).steps == 10


def test_sources_of_other_formats_are_other_stages(tiny: Found) -> None:
    about = task(["a", "b", "c"])
    text = [DataSource(path="b.jsonl", name="b", format="text"), about.sources[0], about.sources[2]]
    rows = [{**one, "source": "ac"[n % 2]} for n, one in enumerate(ROWS)]
    found = laid(tiny, about.model_copy(update={"sources": tuple(text)}), rows, stage(weights=[0.6, 0.1, 0.3]))
    assert Counter(found.rows[place]["source"] for place in found.order) == {"a": 10, "c": 30}


def test_a_weight_on_a_source_that_a_selection_empties_is_the_recipes_fault(tiny: Found) -> None:
    chosen = stage(weights=[0.5, 0.5], selection={"kind": "random", "keep": 0.5})

    def only_a(rows: Any, encoded: Any, form: Any) -> list[int]:
        return [place for place, one in enumerate(rows) if one["source"] == "a"]

    with pytest.raises(FaultError, match="'random' keeps no row of source 'b', which has a weight of") as caught:
        laid(tiny, task(["a", "b"]), ROWS, chosen, select=only_a)
    assert caught.value.fault.kind == "config"
    without = stage(weights=[1.0, 0.0], selection={"kind": "random", "keep": 0.5})
    assert laid(tiny, task(["a", "b"]), ROWS, without, select=only_a).steps == 10
    assert laid(tiny, task(["a", "b"]), ROWS, stage(), select=only_a).steps == 10, "no weights, no claim"


def test_a_selection_that_keeps_nothing_is_the_recipes_fault(tiny: Found) -> None:
    with pytest.raises(FaultError, match="'all' keeps no row") as caught:
        laid(tiny, task(["a", "b"]), ROWS, stage(), select=lambda rows, encoded, form: [])
    assert caught.value.fault.kind == "config"
