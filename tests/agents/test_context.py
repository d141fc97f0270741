"""Compressing a history: what holds for any passages and any budget, and what the graph is there for."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tunewright.agents.context.compress import MOST, Compressed, compress
from tunewright.agents.context.graph import HybridGraph, bridges, clusters, cycles, hybrid_graph
from tunewright.agents.context.passage import Passage
from tunewright.agents.context.pins import cut
from tunewright.agents.context.selection import Taste, select
from tunewright.agents.context.tokens import line_tokens, tokens
from tunewright.agents.context.vectors import vectors

WORDS = (
    "lora",
    "dora",
    "rank",
    "rate",
    "memory",
    "refund",
    "label",
    "éclair",
    "步骤",
    "epoch 3",
    "lr=0.0002",
    '"quoted"',
)
SHORT = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failure is told as it was found: a smaller one takes minutes to find."""
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)


def passage(id: str, text: str, order: int = 0, **more: Any) -> Passage:
    return Passage(id, more.pop("kind", "trial"), (order,), partial(str, text), **more)


def passages(*texts: str) -> list[Passage]:
    return [passage(f"t{at}", text, at) for at, text in enumerate(texts)]


@st.composite
def histories(draw: st.DrawFn) -> list[Passage]:
    made = []
    for at in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from(["trial", "trial", "verdict", "lesson", "fault", "budget", "note"]))
        pin = {"fault": 5, "budget": 0}.get(kind, draw(st.sampled_from([None, None, None, 1])))
        made.append(
            passage(
                f"t{at}", draw(texts), draw(st.integers(0, 20)), kind=kind, pin=pin, prior=draw(st.floats(0, 1)),
                cause=draw(st.sampled_from(["memory", "config"])), family=draw(st.sampled_from(["lora", "full"])),
                score=draw(st.none() | st.floats(0, 1)), about=draw(st.sampled_from([(), ("t0",), ("t3", "gone")])),
            )
        )  # fmt: skip
    return made


@given(histories(), st.integers(0, 1500), st.sampled_from(["", "rank of lora"]), st.booleans())
@settings(max_examples=100, deadline=None, phases=SHORT)
def test_budget_ids_order_and_sum_hold_for_any_history(
    history: list[Passage], budget: int, query: str, askable: bool
) -> None:
    found = compress(history, budget, query=query, askable=askable)
    assert found.tokens <= budget
    lines = [line.text for line in found.lines] + list(found.left_out)
    assert sum(map(line_tokens, lines)) == found.tokens, "what is counted is what is said"
    kept, dropped = sorted(id for line in found.lines for id in line.ids), sorted(found.ledger.ids)
    assert sorted(kept + dropped) == sorted(one.id for one in history), "kept and dropped are all, each once"
    assert [line.order for line in found.lines] == sorted(line.order for line in found.lines)
    by_id = {one.id: one for one in history}
    for line in found.lines:
        assert all(id in line.text.replace(":", " ").split() for id in line.ids), "ids are never altered"
        if line.ids and by_id[line.ids[0]].pin is None:
            assert line.text == by_id[line.ids[0]].line, "what is kept is kept as it is"
    again = compress(list(reversed(history)), budget, query=query, askable=askable)
    assert (again.lines, again.left_out) == (found.lines, found.left_out), "whatever the order it was given in"


@given(histories())
@settings(max_examples=50, deadline=None, phases=SHORT)
def test_pins_are_in_and_a_budget_for_all_gives_all(history: list[Passage]) -> None:
    total = sum(one.tokens for one in history)
    whole = compress(history, total)
    assert not whole.ledger.dropped and not whole.left_out
    assert sorted(line.text for line in whole.lines) == sorted(one.line for one in history)
    firm = sum(one.tokens for one in history if one.pin is not None and one.kind != "fault")
    faults = sum(line_tokens(one.id) for one in history if one.kind == "fault")
    enough = 8 * (firm + faults + 40)
    found = compress(history, enough)
    assert {one.id for one in history if one.pin is not None} <= found.ids


def test_faults_are_listed_where_they_do_not_fit_whole_and_the_newest_stays() -> None:
    faults = [
        passage(f"t{at}", f"failed in step {at} " * 8, at, kind="fault", pin=5, cause="memory", family="full")
        for at in range(60)
    ]
    budget = passage("budget", "3 left", -1, kind="budget", pin=0)
    found = compress([budget, *faults], 2_400)
    lines = [line.text for line in found.lines]
    assert lines[0] == "budget: 3 left" and any(line.startswith("t59: failed") for line in lines)
    (listed,) = [line for line in lines if line.startswith("59 faults of kind memory:")]
    assert all(f" t{at}" in listed for at in range(59)) and not found.ledger.dropped
    short = compress([budget, *faults], 600)
    assert any(line.text.startswith("t59: failed") for line in short.lines)
    (listed,) = [line.text for line in short.lines if "faults of kind" in line.text]
    assert listed.startswith("59 faults of kind memory: t58 t57") and listed.endswith("older")
    assert short.ledger.counts["fault"] == 60 - sum(len(line.ids) for line in short.lines if line.kind == "fault")
    (listed,) = [line.text for line in compress([budget, *faults], 100).lines if line.kind == "fault"]
    assert listed.startswith("60 faults of kind memory: t59 ") and listed.endswith("older")


def test_pins_that_do_not_fit_are_cut_and_keep_their_ids() -> None:
    pins = [passage(id, f'it said "{"long words " * 40}"', at, pin=at) for at, id in enumerate(("budget", "t7", "t0"))]
    found = compress(pins, 90)
    assert [line.ids for line in found.lines] == [("budget",), ("t7",), ("t0",)] and found.tokens <= 90
    assert all(line.text.count('"') % 2 == 0 and " ..." in line.text for line in found.lines), "quotations are closed"


@given(st.text(max_size=120), st.integers(3, 60))
def test_a_cut_is_within_its_bound(text: str, most: int) -> None:
    assert line_tokens(cut(text, most)) <= max(most, line_tokens(""))


@given(st.text(max_size=60), st.text(max_size=60))
def test_more_text_is_never_fewer_tokens(one: str, other: str) -> None:
    assert tokens(one + "\n" + other) >= max(tokens(one), tokens(other))
    assert tokens(one) >= len(one.encode()) / 3


def test_what_is_left_out_is_told_in_one_line_and_in_sums() -> None:
    history = [
        passage(f"t{at}", f"score=0.{at} rank {at} of the {at % 7} kind", at, family="lora", score=at / 100)
        for at in range(100)
    ]
    found = compress(history, 400, askable=True)
    line, *families = found.left_out
    dropped = found.ledger.counts["trial"]
    assert line.startswith(f"left out: {dropped} trials (t") and line.endswith("more); ask for them by id")
    assert families[0].startswith(f"left out of lora: {dropped} trials, score best 0.") and ", sd 0." in families[0]
    worst = compress(history, 400, lower_is_better=True).ledger.families[0]
    assert worst.best is not None and worst.mean is not None and worst.best < worst.mean


def test_relevance_alone_takes_the_nearest_to_the_question() -> None:
    history = passages("alpha beta", "gamma delta", "alpha gamma", "beta beta", "delta epsilon", "alpha alpha zeta")
    only = Taste(1, 0, 0, 0, 0, redundancy=0, too_close=2, length_power=0, cover=False)
    made = vectors(history)
    nearest = np.argsort(-np.round(made.rows @ made.of_text("alpha"), 9), kind="stable")
    room = sum(history[at].tokens for at in nearest[:3])
    assert select(history, room, query="alpha", taste=only) == sorted(int(at) for at in nearest[:3])
    by_id = select(history, history[4].tokens, query=["t4"], taste=only)
    assert by_id == [4]


def test_a_passage_that_bridges_topics_outranks_an_equal_one_inside() -> None:
    left = ["apple pear plum fruit", "apple pear fruit tree", "pear plum fruit tree", "apple plum fruit tree"]
    right = ["bolt nut screw metal", "bolt nut metal rust", "nut screw metal rust", "bolt screw metal rust"]
    history = passages(*left, "fruit tree metal rust", *right)
    made = vectors(history)
    label = clusters(made.rows)
    graph = hybrid_graph(history, made.rows @ made.rows.T)
    found = bridges(graph, label)
    assert int(np.argmax(found)) in (3, 4, 5), "the middle carries the paths"
    assert found[0] == 0 or found[0] < found[4]


def test_a_cycle_needs_an_edge_of_likeness() -> None:
    none = np.zeros((4, 4))
    chain = none.copy()
    for a, b in ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3)):
        chain[a, b] = chain[b, a] = 1.0
    assert not cycles(HybridGraph(none, chain)).any()
    alike = none.copy()
    alike[0, 3] = alike[3, 0] = 0.8
    assert cycles(HybridGraph(alike, chain))[[0, 3]].all()


def test_every_topic_is_heard_where_the_budget_allows() -> None:
    topics = ("orange lemon lime", "bolt nut screw", "cello viola violin")
    history = passages(*(f"{topic} {word}" for topic in topics for word in ("one", "two", "six", "ten", "old", "new")))
    chosen = select(history, 90, query="orange lemon lime")
    assert {at // 6 for at in chosen} == {0, 1, 2}


def test_of_what_says_the_same_one_is_taken_before_a_second() -> None:
    history = passages("bolt nut screw", "bolt nut screw", "bolt nut screw", "cello viola", "orange lemon")
    chosen = select(history, 3 * max(one.tokens for one in history), query="bolt")
    assert len({history[at].text for at in chosen}) == 3


def test_a_long_history_is_thinned_before_it_is_read() -> None:
    written: list[str] = []

    def write(at: int) -> str:
        written.append(f"t{at}")
        return f"score {at % 97} rank {at % 13} kind {at % 5}"

    history = [
        Passage(
            f"t{at}",
            "trial",
            (at,),
            partial(write, at),
            prior=at / 40_000 + float(at == 40) / 2,
            pin=1 if at == 7 else None,
        )
        for at in range(20_000)
    ]
    found = compress(history, 2_000)
    assert len(written) <= MOST + 1 and found.tokens <= 2_000 and {"t7", "t40"} <= found.ids
    assert len(found.ids) + len(found.ledger.dropped) == 20_000
    assert max(int(id[1:]) for id in found.ids) > 19_000 and min(int(id[1:]) for id in found.ids) < 2_000


@pytest.mark.parametrize("budget", [0, 1, 5, 9])
def test_no_budget_is_no_text(budget: int) -> None:
    found: Compressed = compress(passages("a b c", "d e f"), budget)
    assert found.tokens <= budget and len(found.ledger.dropped) == 2 - len(found.lines)


def test_nothing_is_nothing() -> None:
    assert compress([], 100).lines == () and json.dumps(compress([], 0).ledger.counts) == "{}"
