"""The texts that base and tasks are made of: passages of dictionaries, a thesaurus and prose that Debian packages."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

WORK = Path(__file__).parent / "scratch"
"""What is fetched and made on the way; not kept in the repository."""

PACKAGES = {
    "wordnet-base": "1:3.0-37",
    "dict-gcide": "0.48.5+nmu2",
    "dict-foldoc": "20230119-1",
    "dict-jargon": "4.4.7-3.1",
    "dict-devil": "1.0-13.1",
    "bible-kjv": "4.38",
    "bible-kjv-text": "4.38",
    "fortunes": "1:1.99.1-7.3",
    "fortunes-min": "1:1.99.1-7.3",
    "anarchism": "15.3-3",
}
"""Of Debian 12, each with its version."""

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[a-z0-9']+")
_FIELD = re.compile(r"\(([A-Z][a-z]+)\.?(?: (?:&|and) [A-Z][a-z]+\.?)?\)")
_SUBJECT = re.compile(r"^(?:\d+\. )?<([a-z ,]+)> ")


@dataclass(frozen=True)
class Passage:
    """A stretch of text about one thing."""

    source: str
    """``noun``, ``verb``, ``gcide``, ``foldoc``, ``kjv``, or another name for what is only pretrained on."""
    text: str
    category: str = ""
    """As its dictionary or its place says it; empty if it does not."""
    title: str = ""
    """What is defined; no part of ``text``."""

    @property
    def whole(self) -> str:
        """Title and text, as the base reads it."""
        return f"{self.title}: {self.text}" if self.title else self.text


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def key(text: str) -> int:
    """A number by which texts are put in an order that depends on nothing else."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def passages() -> Iterator[Passage]:
    """Every passage, in the same order each time. Fetches the packages at the first call."""
    root = fetched() / "usr"
    readers: list[Callable[[Path], Iterator[Passage]]] = [_wordnet, _gcide, _foldoc, _kjv, _entries, _fortunes, _prose]
    for read in readers:
        yield from read(root)


def fetched() -> Path:
    """The folder that the packages are unpacked in; nothing is installed.

    Raises:
        subprocess.CalledProcessError: apt does not have a package in this version.
    """
    root = WORK / "root"
    if not (root / "whole").exists():
        packages = WORK / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        names = [f"{name}={version}" for name, version in PACKAGES.items()]
        subprocess.run(["apt-get", "download", *names], cwd=packages, check=True, capture_output=True)
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        (root / "whole").touch()
    return root


def _wordnet(root: Path) -> Iterator[Passage]:
    """A synset's definition; its examples are passages of their own. The category is the lexicographer's file."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (root / "share/wordnet" / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields, _, gloss = line.partition(" | ")
            at = fields.split()
            names = [re.sub(r"\(\w+\)$", "", at[4 + 2 * i]).replace("_", " ") for i in range(int(at[3], 16))]
            definition, _, examples = gloss.partition('; "')
            yield Passage(part, _plain(definition), at[1], ", ".join(names))
            for example in re.findall(r'[^"]{20,}', examples):
                yield Passage("example", _plain(example))


def _gcide(root: Path) -> Iterator[Passage]:
    """A definition of the Collaborative International Dictionary; the category is its field, such as ``Zool``."""
    text = gzip.decompress((root / "share/dictd/gcide.dict.dz").read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):
        head = re.match(r"[\w' -]+", entry)
        if head is None:
            continue
        for block in re.split(r"\n\s*\n|\n\s+\[[^\]]*\]\n?", re.sub(r"\\[^\\\n]*\\", "", entry)):
            body = _plain(re.sub(r"\[[^\[\]]*\]|--[A-Z].*$|\([^()]*[?\"][^()]*\)", "", block))
            body = body.removeprefix(head[0].strip())
            found = _FIELD.search(body)
            category = found[1] if found is not None else ""
            body = re.sub(
                r"^\W*((n|a|v|adv|t|i|pl|p|prep|imp)\. ?|\d+\. |\([a-z]\) )*", "", _plain(_FIELD.sub("", body))
            )
            if len(words(body)) >= 4:
                yield Passage("gcide", body, category, head[0].strip())


def _foldoc(root: Path) -> Iterator[Passage]:
    """A paragraph of the Free On-line Dictionary of Computing; the category is its first subject."""
    text = gzip.decompress((root / "share/dictd/foldoc.dict.dz").read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text)[20:]:
        head, _, body = entry.partition("\n")
        for number, paragraph in enumerate(re.split(r"\n\s*\n", body)):
            plain = _plain(paragraph)
            found = _SUBJECT.match(plain)
            plain = _plain(re.sub(r"<[a-z ,]+>|\[[^\]]*\]|^\d+\. ", "", plain))
            if len(words(plain)) >= 4:
                yield Passage("foldoc", plain, found[1].split(",")[0] if found else "", "" if number else head.strip())


def _kjv(root: Path) -> Iterator[Passage]:
    """A verse; the category is its book."""
    command = [str(root / "bin/bible"), "-p", str(root / "lib"), "-l9999", "gen1:1-rev22:21"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    book = ""
    for line in said.splitlines():
        verse = re.match(r"\s+(?:\d+:)?\d+ +(\S.*)", line)
        if verse is None:
            book = line.strip().rstrip("0123456789: ") or book
        else:
            yield Passage("kjv", _plain(verse[1]), book)


def _entries(root: Path) -> Iterator[Passage]:
    for name in ("jargon", "devil"):
        text = gzip.decompress((root / f"share/dictd/{name}.dict.dz").read_bytes()).decode("utf-8", "replace")
        for paragraph in re.split(r"\n\s*\n", text):
            yield Passage(name, _plain(re.sub(r"(?m)^ ?/.*$", "", paragraph)))


def _fortunes(root: Path) -> Iterator[Passage]:
    for path in sorted((root / "share/games/fortunes").iterdir()):
        if not path.suffix and path.name not in ("art", "ascii-art", "translate-me"):
            for one in path.read_text(encoding="utf-8", errors="replace").split("\n%\n"):
                yield Passage("fortunes", _plain(one))


def _prose(root: Path) -> Iterator[Passage]:
    for path in sorted((root / "share/doc/anarchism/markdown").glob("*.md.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        for paragraph in re.split(r"\n\s*\n", text):
            plain = _plain(re.sub(r"\]\([^)]*\)|[*#>|\[\]_]", "", paragraph))
            if len(words(plain)) >= 8:
                yield Passage("anarchism", plain)


def _plain(text: str) -> str:
    """Without the marks of links, and every gap one space."""
    return _SPACE.sub(" ", re.sub(r"[{}]", "", text)).strip(" ;")
