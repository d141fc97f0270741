"""Data files and hub datasets named in the brief, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewright.agents.brief.text import Text, like
from tunewright.domain.errors import BriefError, DataError
from tunewright.domain.task import Brief, DataSource

EXAMPLE = 'say for example: "Teach smollm2-135m to label data/messages.jsonl (field topic) ..."'

_KINDS = r"(?:jsonl|ndjson|json|csv|tsv|parquet|txt)"
_READABLE = rf"\.{_KINDS}(?:\.(?:gz|bz2|zip|zst|xz))?"
_OTHER = r"\.(?:xlsx?|xml|ya?ml|db|sqlite3?|arrow|feather|zip|tar|tgz|gz|pdf|docx?|html?)"
_HUB_NAME = r"[A-Za-z0-9][\w.-]*[A-Za-z0-9](?:/[A-Za-z0-9][\w.-]*[A-Za-z0-9])?"
_QUOTED = like(rf"(?P<q>[\"'`])(?P<path>[^\"'`\n]*[^\"'`\n\s]{_READABLE})(?P=q)")
_BARE = like(rf"(?<![\w/\\.~-])(?P<path>[^\s\"'`<>|(),;\0=]+?{_READABLE})(?![\w/\\]|\.\w|-\w)")
_URL = like(rf"https?://[^\s\"'`<>()\0]+?{_READABLE}(?!\w)")
_HUB = (
    like(rf"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/(?P<name>{_HUB_NAME})"),
    like(rf"[\"'`]?\bhub:(?P<name>{_HUB_NAME}(?::[\w\[\]%+-]*[\w\]])?)[\"'`]?"),
    like(
        rf"\b(?:dataset|data[ ]set) (?:named |called )?[\"'`]?(?P<name>{_HUB_NAME})[\"'`]? (?:from|on) "
        r"(?:the )?(?:hugging[ ]?face(?: hub)?|hf hub|hf|hub)\b"),
    like(
        rf"\b(?:hugging[ ]?face|hf|hub) (?:hub )?(?:dataset|data[ ]set) [\"'`]?(?P<name>{_HUB_NAME})[\"'`]?"),
    like(
        rf"[\"'`]?(?P<name>{_HUB_NAME})[\"'`]? (?:dataset|data[ ]set) (?:from|on) (?:the )?"
        r"(?:hugging[ ]?face(?: hub)?|hf hub|hf|hub)\b"),
)  # fmt: skip
_HELD_OUT = like(
    r"\b(?:test(?:ed|ing)?|evaluat(?:e[ds]?|ing|ion)|validat(?:e[ds]?|ing|ion)|held[- ]out|hold[- ]?out|dev|eval)"
    r"(?: (?:it|the \w+|set|data|split|file|rows|is|in))*(?: (?:on|with|against|using|from|in|by))?[ :=]*[\"'`]?$"
)
_UNREADABLE = like(rf"[^\s\"'`<>|(),;\0]+{_OTHER}(?![\w/])")


def read_sources(text: Text, brief: Brief, notes: list[str]) -> tuple[DataSource, ...]:
    """Every data source the brief names, in its order, each once. Claims what it reads.

    Raises:
        BriefError: a file of a kind that cannot be read is named and no other.
        DataError: a file is to be fetched from the web.
    """
    found: dict[str, int] = {}
    held_out: dict[str, int] = {}
    for at, path in sorted(_hub_names(text) + _files(text, brief)):
        before = text.rest[text.sentence(at)[0] : at]
        (held_out if _HELD_OUT.search(before) else found).setdefault(path, at)
    if not found:
        found, held_out = held_out, {}
    for path in held_out.keys() - found.keys():
        notes.append(f"{path} is not used: validation and test rows are split off the training data and sealed")
    if not found and (other := _UNREADABLE.search(text.rest)):
        raise BriefError(
            f"'{text.says(*other.span())}' is no kind of data file that can be read",
            "give a .jsonl, .json, .csv, .tsv, .parquet or .txt file, or a dataset as hub:NAME",
        )
    return named(sorted(found, key=lambda path: found[path]))


def named(paths: Sequence[str]) -> tuple[DataSource, ...]:
    """Each path with a short unique name: the stem, with the folder or a number before it in a tie."""
    sources: list[DataSource] = []
    taken: set[str] = set()
    for path in paths:
        stem = path.removeprefix("hub:").split(":")[0].split("/")[-1] if path.startswith("hub:") else Path(path).stem
        choices = [stem, f"{Path(path).parent.name}-{stem}", *(f"{stem}-{n}" for n in range(2, len(paths) + 2))]
        name = next(choice for choice in choices if choice not in taken)
        taken.add(name)
        sources.append(DataSource(path=path, name=name))
    return tuple(sources)


def _hub_names(text: Text) -> list[tuple[int, str]]:
    found = []
    for pattern in _HUB:
        for match in text.find(pattern):
            found.append((match.start(), f"hub:{text.raw[match.start('name') : match.end('name')]}"))
            text.claim(*match.span())
    return found


def _files(text: Text, brief: Brief) -> list[tuple[int, str]]:
    url = _URL.search(text.rest)
    if url:
        raise DataError(
            f"'{url.group()}' is on the web, and a study reads local files and hub datasets only",
            "download it and name the file, or name a Hugging Face dataset as hub:NAME",
        )
    found = []
    for pattern in (_QUOTED, _BARE):
        for match in text.find(pattern):
            said = text.raw[match.start("path") : match.end("path")]
            found.append((match.start(), _located(said, brief)))
            text.claim(*match.span())
    return found


def _located(said: str, brief: Brief) -> str:
    """The path relative to the working directory, or if nothing is there to the brief's own folder."""
    path = Path(said).expanduser()
    beside = Path(brief.source).parent / path if brief.source else path
    if not path.exists() and beside.exists():
        return str(beside)
    return str(path)
