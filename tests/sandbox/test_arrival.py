"""What travels between host and node, without a cluster: packing, and what the host makes of what comes."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tunewright.domain.errors import SandboxError
from tunewright.sandbox.arrival import Arrival
from tunewright.sandbox.cluster import Needs, Node, amounts
from tunewright.sandbox.freight import Announced, Grown, Piece
from tunewright.sandbox.parcel import CONTENT, digest, listing, pack, pack_files, pieces, unpack


def tree(folder: Path, age: int) -> Path:
    """A model as a hub keeps it: a link to a file elsewhere, a folder, an empty file, one over a piece's size."""
    (folder / "model" / "of").mkdir(parents=True)
    (folder / "blob").write_bytes(b"x" * 5000)
    (folder / "model" / "weights").symlink_to("../blob")
    (folder / "model" / "of" / "a").write_text("a")
    (folder / "model" / "empty").touch()
    os.utime(folder / "model" / "of" / "a", (age, age))
    return folder / "model"


def test_the_same_content_has_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one", 1), tree(tmp_path / "other", 2)
    (other / "of" / "a").chmod(0o600)
    assert digest(pack(one)) == digest(pack(other))
    sent = list(pieces(pack(one), 1000))
    assert {len(piece) for piece in sent[:-1]} == {1000}
    there = tmp_path / "there"
    there.mkdir()
    assert unpack(sent, there) == digest(pack(one))
    assert (there / CONTENT / "weights").read_bytes() == b"x" * 5000
    assert (there / CONTENT / "of" / "a").read_text() == "a"
    assert (there / CONTENT / "empty").read_bytes() == b""
    (other / "of" / "a").write_text("b")
    assert digest(pack(one)) != digest(pack(other))
    with pytest.raises(tarfile.TarError):
        unpack(sent[1:], there)


def send(arrival: Arrival, source: Path, files: tuple[str, ...]) -> None:
    arrival.take(Announced(files))
    for piece in pieces(pack_files(source, [name for name in files if (source / name).exists()]), 700):
        arrival.take(Piece(piece, last=False))
    arrival.take(Piece(b"", last=True))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "job" / "out").mkdir(parents=True)
    return tmp_path / "job" / "out"


def test_a_snapshot_takes_the_place_of_what_was_there(out: Path, tmp_path: Path) -> None:
    (out / "checkpoint").mkdir()
    (out / "checkpoint" / "step-4").write_text("old")
    (out / "adapter").write_text("a file, where a folder comes")
    (out / "kept").write_text("unchanged")
    (out / "events.jsonl").write_text("")
    node = tmp_path / "node"
    (node / "checkpoint").mkdir(parents=True)
    (node / "checkpoint" / "step-8").write_text("new")
    (node / "adapter").mkdir()
    (node / "adapter" / "weights").write_bytes(b"w" * 2000)
    send(Arrival(out.parent), node, ("checkpoint/step-8", "adapter/weights", "kept"))
    assert sorted(listing(out)) == ["adapter/weights", "checkpoint/step-8", "events.jsonl", "kept"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"], "nothing of the transport is left"


def test_what_would_land_outside_is_refused(out: Path, tmp_path: Path) -> None:
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as archive:
        info = tarfile.TarInfo("../../escaped")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    arrival = Arrival(out.parent)
    arrival.take(Announced(("a",)))
    with pytest.raises(SandboxError, match="cannot be unpacked"):
        arrival.take(Piece(evil.getvalue(), last=True))
    assert not list(tmp_path.rglob("escaped"))


def lines(*events: dict[str, object] | bytes) -> bytes:
    return b"".join(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n" for event in events)


def test_what_a_second_attempt_says_again_is_dropped(out: Path) -> None:
    (out / "events.jsonl").write_text('{"kind": "progressed", "step": 99, "of": 99}\n')  # of an earlier launch
    arrival = Arrival(out.parent)
    step = [{"kind": "progressed", "step": number, "of": 9} for number in range(10)]
    rung = [{"kind": "measured", "at": at, "measurement": {"step": at}, "final": False} for at in range(10)]
    note = {"kind": "noted", "message": "half the rows are long"}
    arrival.take(Grown(lines(note, step[1], step[2], rung[2], {"kind": "checkpointed", "step": 2}, step[3], b'{"kin')))
    arrival.take(Announced(("checkpoint/step-4",)))
    arrival.take(Piece(b"half of a snapsh", last=False))
    arrival.again("node n was lost")
    again = {"kind": "started", "resumed_from": 2}
    repeated = {**rung[2], "at": 77}
    arrival.take(Grown(lines(again, note, repeated, step[2], step[3], step[4], rung[4], b"garbage\n")))
    arrival.close()
    said = (out / "events.jsonl").read_bytes().splitlines()[7:]
    assert said[0] == b'{"kin', "the torn line is closed, and the next is not glued to it"
    kinds = [json.loads(line) for line in said[1:-1]]
    assert [one["kind"] for one in kinds] == ["noted", "started", "progressed", "measured"]
    assert "was lost" in kinds[0]["message"]
    assert (kinds[2]["step"], kinds[3]["measurement"]["step"]) == (4, 4)
    assert said[-1] == b"garbage"
    assert not (out.parent / ".arriving.tar").exists()


def test_a_need_is_met_by_a_node_that_has_all_of_it() -> None:
    small = Node("a", "a", {"CPU": 2.0, "memory": 4.0 * 2**30})
    large = Node("b", "b", {"CPU": 8.0, "GPU": 1.0, "memory": 8.0 * 2**30, "disk": 1.0})
    assert Needs(2, 0, 2**30).fits(small) and not Needs(2, 1, 2**30).fits(small)
    assert Needs(8, 1, 8 * 2**30, amounts("disk=0.5")).fits(large)
    assert "0.5 disk" in Needs(8, 1, 8 * 2**30, amounts("disk=0.5")).says()
    assert amounts(" a=1, b = 0.5,") == {"a": 1.0, "b": 0.5}
    with pytest.raises(ValueError, match="NAME=AMOUNT"):
        amounts("a=much")
