"""The search as a tree: its decisions as branches, and on each the trials, every one under the trial it descends from.

A long study shows what led to its good trials; the rest of each branch is folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewright.domain.frozen import Json
from tunewright.domain.lineage import branch
from tunewright.domain.path import label
from tunewright.domain.record import JobRecord
from tunewright.domain.space import Choice
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.tools.analysis.runs import DASH, changes_of, default_recipe, kind_of, score_of, status_of
from tunewright.tools.analysis.words import number_words, recipe_words, score_words

WHOLE = 24
"""Proposals up to which all are shown."""
_GOOD = 5
"""Best scores that are on the way to be shown, beside the winner, those trained again and the default."""
_SAID = {"better": "better than", "worse": "worse than", "undecided": "not told apart from"}


@dataclass
class Node:
    """A branch of decisions, or a trial."""

    words: str
    """What was decided, or what the trial changes of its parent."""
    id: str = ""
    """Of the trial; empty for a branch."""
    kind: str = ""
    status: str = ""
    parent: str = ""
    """Where the parent lies in another branch: its id."""
    trials: int = 0
    """Of a branch: trials that were launched."""
    score: str = DASH
    """Of a branch the best."""
    rungs: str = ""
    """Scores at the rungs that it has passed, in turn."""
    verdict: str = ""
    good: bool = False
    """Whether a good trial is here, or descends from here."""
    children: list[Node] = field(default_factory=list)
    folded: list[Node] = field(default_factory=list)
    """Of a branch of a long study: what leads to nothing good."""

    @property
    def hidden(self) -> int:
        """Proposals that are folded away here."""
        return sum(_count(node) for node in self.folded)


def tree(study: Study) -> list[Node]:
    """The first decisions and what lies below them; where nothing was to be decided, the trials themselves."""
    root = Node("", good=True)
    leaves: dict[tuple[str, ...], Node] = {}
    nodes: dict[str, Node] = {}
    homes: dict[str, tuple[str, ...]] = {}
    good = _good(study)
    for id in study.proposals:
        decided = _decided(study, id)
        homes[id] = tuple(decided)
        leaf = _leaf(root, leaves, homes[id])
        parent = study.recipe_of(id).idea.parent
        within = parent is not None and homes.get(parent) == homes[id]
        nodes[id] = _trial(study, id, "" if within else parent or "", decided, id in good)
        (nodes[parent] if within and parent else leaf).children.append(nodes[id])
    _join(root)
    _sum_up(study, root)
    if len(study.proposals) > WHOLE:
        _fold(root)
    else:
        _open(root)
    return root.children


def _decided(study: Study, id: str) -> dict[str, str]:
    """What was decided of a proposal, in words -> what people call the setting."""
    if study.plan is None:
        return {}
    found = branch(study.plan.space, study.recipe_of(id).recipe)
    if found is None:
        return {"outside the space": ""}
    return {_option(choice, value): label(choice.path) for choice, value in found}


def _option(choice: Choice, value: Json) -> str:
    return f"{label(choice.path)} {number_words(value)}"


def _leaf(root: Node, known: dict[tuple[str, ...], Node], path: tuple[str, ...]) -> Node:
    """The branch at ``path``; what is missing on the way to it is made."""
    here = root
    for depth, words in enumerate(path, start=1):
        if path[:depth] not in known:
            known[path[:depth]] = Node(words)
            here.children.append(known[path[:depth]])
        here = known[path[:depth]]
    return here


def _join(node: Node) -> None:
    """Writes decisions between which nothing branches off on one line."""
    for child in node.children:
        while not child.id and len(child.children) == 1 and not child.children[0].id:
            (only,) = child.children
            child.words, child.children = f"{child.words}, {only.words}", only.children
        _join(child)


def _trial(study: Study, id: str, elsewhere: str, decided: Mapping[str, str], good: bool) -> Node:
    proposal, job = study.recipe_of(id), study.jobs.get(id)
    parent = proposal.idea.parent
    against = None if proposal.idea.origin == "default" else default_recipe(study)
    if parent in study.proposals:
        against = study.recipe_of(parent).recipe
    words = changes_of(proposal.recipe, against, without=set(decided.values()))
    return Node(
        recipe_words(proposal.recipe) if words == DASH else words,
        id=id,
        kind=kind_of(study, id),
        status=status_of(study, id),
        parent=elsewhere,
        trials=int(job is not None),
        score=score_of(study, id),
        rungs=_rungs(job),
        verdict=_verdict(study, id),
        good=good,
    )


def _rungs(job: JobRecord | None) -> str:
    if job is None:
        return ""
    return " ".join(score_words(m.value) for m in job.measurements if m.rung is not None)


def _verdict(study: Study, id: str) -> str:
    """In a few words; the table of all runs has it in full."""
    if id in study.barred:
        return "past a limit"
    found = next((one for one in reversed(study.verdicts) if one.trial == id), None)
    return f"{_SAID[found.answer]} {found.against}" if found else ""


def _good(study: Study) -> set[str]:
    assert study.task is not None or not study.proposals, "a brief is understood before anything is proposed"
    scored = [job for job in study.trials if job.score is not None and job.id not in study.barred]
    if study.task is not None:
        sign = study.task.metric.sign
        scored.sort(key=lambda job: -sign * (job.score or 0.0))
    found = {job.id for job in scored[:_GOOD]} | {job.proposal or "" for job in study.confirmations}
    found |= {one.trial for one in summarise(study).front} | {job.id for job in study.running}
    return found | {study.default or "", study.finished.winner or "" if study.finished else ""}


def _sum_up(study: Study, node: Node) -> list[float]:
    """Counts and best scores of branches, and what is on the way to something good. The scores below the node."""
    found: list[float] = []
    for child in node.children:
        found += _sum_up(study, child)
        node.good = node.good or child.good
        if not node.id:
            node.trials += child.trials if not child.id else _launched(child)
    job = study.jobs.get(node.id)
    if job is not None and job.score is not None and node.id not in study.barred:
        found.append(job.score)
    if not node.id and found and study.task is not None:
        node.score = score_words(max(found) if study.task.metric.direction == "max" else min(found))
    return found


def _launched(node: Node) -> int:
    return node.trials + sum(_launched(child) for child in node.children)


def _open(branch: Node) -> None:
    branch.good = True
    for child in branch.children:
        if not child.id:
            _open(child)


def _fold(branch: Node) -> None:
    """Puts what leads to nothing good away, at the end of its branch; the branch itself stays, with its best score."""
    for child in branch.children:
        if child.id:
            branch.folded += _pruned(child)
        else:
            _fold(child)
    branch.folded += [child for child in branch.children if child.id and not child.good]
    branch.folded.sort(key=lambda node: int(node.id.lstrip("t")))
    branch.children = [child for child in branch.children if not child.id or child.good]


def _pruned(trial: Node) -> list[Node]:
    """Cuts off a good trial's descendants that are not good; each of them names its parent."""
    if not trial.good:
        return []
    cut = [child for child in trial.children if not child.good]
    trial.children = [child for child in trial.children if child.good]
    for child in cut:
        child.parent = trial.id
    return cut + [found for child in trial.children for found in _pruned(child)]


def _count(node: Node) -> int:
    return int(bool(node.id)) + sum(_count(child) for child in (*node.children, *node.folded))
