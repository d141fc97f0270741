"""The wiring, and nothing else: every node hands back to the routing function, which reads the journal.

The nodes' names in the graph are their keys here; routing.Step is the same list as a type.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.agents.routing import Step
from tunewright.agents.state import Node, State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

_MANY_STEPS = 1_000_000
"""LangGraph's own step limit is no budget of ours; the ledger ends a study."""


def build(nodes: Mapping[str, Node], route: Callable[[], Step], checkpoints: Path) -> Graph:
    """The compiled graph with its SQLite checkpoints.

    Args:
        nodes: every ``Step`` but ``end`` -> the node that does it.
        route: where to go next; asked after each node.
        checkpoints: the SQLite file, made if missing.
    """
    from langchain_core.runnables import RunnableLambda
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    targets: dict[Any, str] = {name: name for name in nodes} | {"end": END}
    for name, node in nodes.items():
        graph.add_node(name, RunnableLambda(node))
        graph.add_conditional_edges(name, lambda _: route(), targets)
    graph.add_conditional_edges(START, lambda _: route(), targets)
    # One connection, one writer. WAL and a busy timeout because readers (a status page) may open it too.
    connection = sqlite3.connect(checkpoints, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    return Graph(graph.compile(checkpointer=SqliteSaver(connection)), connection)


class Graph:
    """A study's graph: runs until it ends or a node interrupts to ask a person."""

    def __init__(self, compiled: CompiledStateGraph[Any, Any, Any, Any], connection: sqlite3.Connection) -> None:
        self._compiled = compiled
        self._connection = connection

    def run(self, study: str) -> tuple[str, ...]:
        """Goes on from wherever the journal stands. Returns the targets a person is asked about; empty if none."""
        from langgraph.types import Command

        config: Any = {"configurable": {"thread_id": study}, "recursion_limit": _MANY_STEPS}
        waiting = any(task.interrupts for task in self._compiled.get_state(config).tasks)
        start: Any = Command(resume=True) if waiting else State(study=study)
        # "exit": checkpoints are written when the graph leaves; between nodes the journal is what counts.
        result = self._compiled.invoke(start, config, durability="exit")
        asked = result.get("__interrupt__", ())
        return tuple(target for one in asked for target in one.value["targets"])

    def edges(self) -> set[tuple[str, str]]:
        """(from, to), by the nodes' names and LangGraph's own for its two ends."""
        return {(edge.source, edge.target) for edge in self._compiled.get_graph().edges}

    def close(self) -> None:
        self._connection.close()
