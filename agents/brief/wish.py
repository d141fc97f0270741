"""What the brief says about the search itself: which methods, how large a rank, and limits on what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tunewright.agents.brief.compression import read_compression
from tunewright.agents.brief.depth import read_depth
from tunewright.agents.brief.domain import read_worst_weight
from tunewright.agents.brief.material import read_named, read_replay, read_share
from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.naming import Naming, ordered, spelling
from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.plan import read_plans
from tunewright.agents.brief.reward import claim_verbs, read_rewards
from tunewright.agents.brief.text import Text, like, words
from tunewright.agents.brief.thoroughness import read_every_trial
from tunewright.agents.brief.worth import read_rate
from tunewright.domain.errors import BriefError, unknown_name
from tunewright.domain.recipe import PLAN_ARROW
from tunewright.domain.task import Constraint, Wishes

Stance = Literal["want", "refuse", "mention"]

_REFUSE = like(
    r"(?:\b(?:no|not|nor|without|never|except|excluding|exclude|avoid|skip|but|omit|drop)(?: for)?|n't|\bleave out|"
    r"\bother than|\binstead of|\brather than|\banything but)(?: (?:any|the|a|an|use|try|using|trying|do|run|of))*[ ]*$"
)
_MENTION = like(
    r"\b(?:also(?: (?:try|use))?|including|include|such as|e\.g\.,?|for example,?|like|prefer(?:ably)?|maybe|perhaps|"
    r"possibly|say,?)"
    r"(?: (?:the|a|an))?[ ]*$"
)
_STRUNG = like(
    r"[ ]*(?:,|and|or|nor|vs\.?|versus|against|/|&|\+|both|either|with|then|plain|ordinary|adapters?|the|a|[ ])*[ ]*"
)
_NAMED = like(
    r"\b(?:only|just|use|with) (?:the |an? )?[\"'`]?(?P<a>[A-Za-z][\w-]*)[\"'`]? adapters?\b|"
    r"\badapters?[ ]*(?:[:=]|named|called)[ ]*[\"'`]?(?P<b>[A-Za-z][\w-]*)"
)
_GENERIC = words("a an the some any small smaller tiny one same such best good new all low-rank and or in to")

_APART = like(
    r"\b(?:small |low-rank )?(?P<a>adapters?) only\b|"
    r"\bonly (?:(?:use|using|train|training|with|search|try) )?(?:a |an |small |low-rank )*(?P<b>adapters?)\b|"
    r"\bonly parameter[- ]efficient(?: [a-z-]+)?|\bparameter[- ]efficient(?: [a-z-]+){0,2} only\b|"
    r"\b(?:do not|don't|never|without) (?:touch|chang|train|updat|modify)(?:e|ing)? (?:any of )?(?:the )?"
    r"(?:base |original |model's |model's own |base model's |own )?weights\b|"
    r"\b(?:base |model's |original )?weights (?:stay|remain|are kept|must stay|are to stay) "
    r"(?:frozen|untouched|unchanged|as they are)\b"
)
"""Adapters beside the model's weights, and nothing that trains those."""

_MORE = (
    r"(?:at most|(?:no|not) (?:higher|more|larger|greater|bigger|above)(?: than)?|up to|<=|\u2264|max(?:imum)?|from)"
)
_CAPS = like(_MORE)
_CAPPED = like(rf"{_MORE}[ ]*$")
_LESS = r"(?:below|under|less than|lower than|smaller than|<)"
_RANK = like(
    rf"(?:\b(?:max(?:imum)?|highest|largest)[ _-]+)?(?:\b(?:lora[ -]+)?ranks?|\br(?=[ ]*(?:<|=|\u2264)))[ ]*"
    rf"(?:is|are|of|be|should|must|to|limited|capped|[ ]|[:=(-]|{_MORE}|(?P<less>{_LESS}))*"
    rf"(?P<low>{NUMBER}[ ]*(?:to|-|\.\.+|and|or)[ ]*)?(?P<n>{NUMBER})"
    rf"(?P<after>[ ]*(?:or (?:less|lower|smaller|below)|at (?:the )?most|max(?:imum)?\b))?"
)
_AT_LEAST = like(r"(?:at least|min(?:imum|imal)?(?: of)?|more than|above|over|larger than|>=?|\u2265)[ ]*$")

_SIZES = {"k": 1e3, "m": 1e6, "g": 1e9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = like(
    rf"(?P<n>{NUMBER})[ -]*(?:(?P<u>[kmg]i?)b|(?P<w>kilo|mega|giga)bytes?)(?![A-Za-z])"
    r"(?: of (?:gpu )?(?:memory|v?ram))?"
)
_PARAMETERS = like(rf"(?P<n>{NUMBER})[ ]*(?:trainable|tunable|learnable) (?:param(?:eter)?s|weights)")
_MEMORY = like(r"\b(?:memory|v?ram)\b")
_ADAPTER = like(r"\badapters?\b(?:[ ']*s?[ ]*(?:file|size|weights))?")
_LENGTH = like(
    rf"\b(?:max(?:imum)?[ _-]+)?(?:sequence[ -]+|context[ -]+|prompt[ -]+|token[ -]+)?(?:length|window|context)[ ]*"
    rf"(?:is|of|at most|up to|[:=]|[ ])*(?P<n>{NUMBER})(?:[ -]*tokens?)?(?![ ]*(?:char|word|[\w]))"
)


def read_wishes(text: Text, menu: Menu, notes: list[str]) -> Wishes:
    """What is to be searched: objectives and their order, rewards, data, depths, adapters, ranks, compression.

    Raises:
        UnknownNameError: an adapter is asked for by a name that is in no registry.
        BriefError: no adapter is left, or a plan that cannot be.
    """
    rank = _rank(text, notes)
    depth = read_depth(text, notes)
    compress = read_compression(text)
    worst = read_worst_weight(text)
    keep, replay, rate = read_share(text), read_replay(text), read_rate(text)
    claim_verbs(text)
    plans = read_plans(text, menu.objectives, notes)
    rolling = any(kind in menu.rolling for plan in plans for kind in plan.split(PLAN_ARROW))
    rewards = read_rewards(text, menu) if rolling else ()
    selectors = read_named(text, menu.selectors)
    mixes = read_named(text, menu.mixes)
    adapters = menu.adapters
    wanted, refused = _adapters(text, adapters, notes)
    refused = _with_apart(text, menu, refused, notes)
    for match in text.find(_NAMED):
        name = match["a"] or match["b"]
        if name.lower() not in _GENERIC:
            raise unknown_name("adapter", name, list(adapters))
    wanted = tuple(name for name in wanted if name not in refused)
    if adapters and not [name for name in wanted or adapters if name not in refused]:
        raise BriefError("the brief rules out every adapter there is", f"leave at least one of {', '.join(adapters)}")
    return Wishes(
        adapters=wanted,
        without=refused,
        max_rank=rank,
        compress=compress,
        plans=plans,
        rewards=rewards,
        selectors=selectors,
        mixes=mixes,
        keep=keep,
        replay=replay,
        least_gain_per_hour=rate,
        worst_weight=worst,
        every_trial=read_every_trial(text),
        **depth,
    )


def _adapters(text: Text, adapters: Mapping[str, Naming], notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    mentions: list[tuple[int, int, str]] = []
    for name in ordered(adapters):
        for match in text.find(spelling(name, adapters[name])):
            mentions.append((match.start(), match.end(), name))
            text.claim(*match.span())
    stances: dict[str, Stance] = {}
    last: tuple[int, Stance] | None = None
    for start, end, name in sorted(mentions):
        sentence = text.sentence(start)[0]
        before = text.rest[sentence:start]
        if _REFUSE.search(before):
            stance: Stance = "refuse"
        elif _MENTION.search(before):
            stance = "mention"
        elif last is not None and last[0] >= sentence and _STRUNG.fullmatch(text.rest[last[0] : start]):
            stance = last[1]
        else:
            stance = "want"
        stances[name] = stance if stances.get(name) != "refuse" else "refuse"
        last = (end, stance)
    mentioned = [name for name in adapters if stances.get(name) == "mention"]
    wanted = tuple(name for name in adapters if stances.get(name) == "want")
    if mentioned and not wanted:
        notes.append(f"{', '.join(mentioned)} is taken for an example; every adapter is searched")
    elif mentioned:
        wanted = tuple(name for name in adapters if stances.get(name) in ("want", "mention"))
    return wanted, tuple(name for name in adapters if stances.get(name) == "refuse")


def _with_apart(text: Text, menu: Menu, refused: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """What is ruled out, and with it what trains the model's own weights where the brief wants adapters only."""
    found = _APART.search(" ".join(text.text.split()))  # also where a limit on the size has claimed some of it
    for match in list(text.find(_APART)):  # not the word itself, which a limit on its size is read by
        word = match.span("a") if match["a"] else match.span("b") if match["b"] else (match.end(), match.end())
        text.claim(match.start(), word[0])
        text.claim(word[1], match.end())
    both = tuple(kind for kind in menu.adapters if kind in refused or (found is not None and kind in menu.in_place))
    if len(both) > len(refused):
        said = ", ".join(kind for kind in both if kind not in refused)
        notes.append(f"adapters only: {said} would train the model's own weights")
    return both


def _rank(text: Text, notes: list[str]) -> int | None:
    for match in text.find(_RANK):
        before = text.rest[text.sentence(match.start())[0] : match.start()]
        if _AT_LEAST.search(before) or match["n"].lower() in ("a", "an"):
            continue
        value = int(parse(match["n"])) - (1 if match["less"] else 0)
        said = text.says(*match.span())
        if value < 1:
            raise BriefError(f"'{said}' leaves no rank to search", "say for example: rank at most 16")
        exact = not (match["low"] or match["less"] or match["after"] or _CAPS.search(match.group()))
        if match["low"] or (exact and not _CAPPED.search(before)):
            notes.append(f"'{said}' is read as a rank of at most {value}")
        text.claim(*match.span())
        return value
    return None


def read_constraints(text: Text) -> tuple[Constraint, ...]:
    """Limits on what a trial yields: the adapter's size, its parameters, the memory it trains in.

    Raises:
        BriefError: a limit that nothing keeps.
    """
    found: list[Constraint] = []
    for match in text.find(_SIZE):
        start, end = text.clause(match.start())
        clause = text.rest[start:end]
        if _AT_LEAST.search(text.rest[start : match.start()]):
            continue
        size = parse(match["n"]) * _SIZES[(match["u"] or match["w"][0]).lower()]
        adapter = _ADAPTER.search(clause)
        if _MEMORY.search(clause):
            if size <= 0:
                raise BriefError(f"'{text.says(*match.span())}' is no memory to train in", "say for example: 8 GB")
            found.append(Constraint(quantity="peak_memory_gib", relation="<=", value=size / 2**30))
            text.claim(*match.span())
        elif adapter:
            if size <= 0:
                said = text.says(min(match.start(), start + adapter.start()), max(match.end(), start + adapter.end()))
                raise BriefError(f"'{said}' leaves no adapter to train", "say for example: adapter under 5 MB")
            found.append(Constraint(quantity="adapter_bytes", relation="<=", value=size))
            text.claim(min(match.start(), start + adapter.start()), max(match.end(), start + adapter.end()))
    for match in text.find(_PARAMETERS):
        if not _AT_LEAST.search(text.rest[text.sentence(match.start())[0] : match.start()]):
            if parse(match["n"]) < 1:
                raise BriefError(f"'{text.says(*match.span())}' leaves nothing to train", "raise the limit")
            found.append(Constraint(quantity="trainable_parameters", relation="<=", value=parse(match["n"])))
            text.claim(*match.span())
    return tuple(dict.fromkeys(found))


def read_length(text: Text) -> int | None:
    """The longest example in tokens, where the brief says it."""
    for match in text.find(_LENGTH):
        value = int(parse(match["n"]))
        if value > 1:
            text.claim(*match.span())
            return value
    return None
