"""Data files and hub datasets named in the brief, and where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewright.agents.brief.role import Role, read_roles
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
_UNREADABLE = like(rf"[^\s\"'`<>|(),;\0]+{_OTHER}(?![\w/])")


def read_sources(text: Text, brief: Brief, notes: list[str]) -> tuple[DataSource, ...]:
    """Every data source the brief names, in its order, each once. Claims what it reads.

    Raises:
        BriefError: a file of a kind that cannot be read is named and no other.
        DataError: a file is to be fetched from the web.
    """
    roles = read_roles(text, _same(sorted(_hub_names(text) + _files(text, brief))))
    found = [path for path, said in roles.items() if said != {"held out"}] or list(roles)
    for path in roles.keys() - set(found):
        notes.append(f"{path} is not used: validation and test rows are split off the training data and sealed")
    if not found and (other := _UNREADABLE.search(text.rest)):
        raise BriefError(
            f"'{text.says(*other.span())}' is no kind of data file that can be read",
            "give a .jsonl, .json, .csv, .tsv, .parquet or .txt file, or a dataset as hub:NAME",
        )
    return tuple(_for(source, roles, found, notes) for source in named(found))


def _same(mentions: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """The mentions, those of a file by its bare name with the path by which the brief names it elsewhere."""
    paths = {path for _, path in mentions if Path(path).name != path}
    return [
        (at, whole[0] if len(whole) == 1 and not Path(path).exists() else path)
        for at, path in mentions
        for whole in [[one for one in paths if Path(one).name == path]]
    ]


def _for(source: DataSource, roles: Mapping[str, set[Role]], found: Sequence[str], notes: list[str]) -> DataSource:
    """The source with what it is for.

    Where the brief says which of several files to measure on, the others are trained on alone.

    Raises:
        BriefError: no file is left to measure on.
    """
    apart = {path for path in found if roles[path] & {"trained", "general"}}
    if apart == set(found):
        verb = "is" if len(found) == 1 else "are"
        raise BriefError(
            f"there is no file left to measure on: {', '.join(found)} {verb} for training only",
            "name a file whose rows are of the task and say nothing else of it",
        )
    chosen = {path for path in found if "held out" in roles[path]}
    if "general" in roles[source.path]:
        return source.model_copy(update={"general": True})
    if source.path in apart or (chosen and source.path not in chosen):
        notes.append(f"{source.path} is trained on and never measured")
        return source.model_copy(update={"measured": False})
    return source


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
