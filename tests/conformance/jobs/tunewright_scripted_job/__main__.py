"""Runs the behaviour named in ``in/script.json``. Writes events as lines of JSON, as any job does.

Standard library only: it runs in an image that holds nothing else.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


class Script:
    """The job's folder and settings."""

    def __init__(self, argv):
        self.entered = time.time()
        self.folder = Path(argv[0])
        self.argv = argv
        self.settings = json.loads((self.folder / "in" / "script.json").read_text())
        self.events = (self.folder / "out" / "events.jsonl").open("a")

    def write(self, **event):
        self.events.write(json.dumps(event) + "\n")
        self.events.flush()

    def note(self, **facts):
        """A fact for the test, as the message of an event."""
        self.write(kind="noted", message=json.dumps(facts))


def finish(script):
    for step in range(script.settings.get("steps", 3)):
        script.write(kind="progressed", step=step, of=3)
        time.sleep(script.settings.get("pause_s", 0))
    return script.settings.get("code", 0)


def obedient(script):
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    script.write(kind="started", device="cpu", threads=1)
    while not asked.wait(0.02):
        pass
    script.write(kind="checkpointed", step=7)
    return 10


def climb(script):
    """Adds up its steps; at every rung it is measured and writes a checkpoint, from which it goes on.

    With ``hold_at``, a run from the start goes no further until it is told to stop: what the test does to it in the
    middle comes in the middle, on however slow a machine.
    """
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    home = script.folder / "out" / "checkpoint"
    home.mkdir(exist_ok=True)
    kept = sorted(home.iterdir())
    state = json.loads(kept[-1].read_text()) if kept else {"step": 0, "sum": 0}
    script.write(kind="started", device="cpu", threads=1, resumed_from=state["step"])
    while state["step"] < script.settings["steps"] and not asked.is_set():
        state = {"step": state["step"] + 1, "sum": state["sum"] + state["step"]}
        script.write(kind="progressed", step=state["step"], of=script.settings["steps"])
        if state["step"] % script.settings["every"] == 0:
            score = {"step": state["step"], "value": state["sum"], "rows": 1, "seconds": 0}
            script.write(kind="measured", measurement=score)
            _keep(script, home, state)
        held = state["step"] == script.settings.get("hold_at") and not kept
        asked.wait(None if held else script.settings["pause_s"])
    if asked.is_set():
        _keep(script, home, state)
    (script.folder / "out" / "sum.json").write_text(json.dumps(state))
    return 10 if asked.is_set() else 0


def _keep(script, home, state):
    kept = home / f"step-{state['step']:04d}"
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(state))
    partial.replace(kept)
    for other in home.iterdir():
        if other != kept:
            other.unlink()
    script.write(kind="checkpointed", step=state["step"])


def stubborn(script):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    script.write(kind="started", device="cpu", threads=1)
    time.sleep(600)


def hog(script):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 8))


def hog_in_a_child(script):
    subprocess.run([sys.executable, "-c", "x = []\nwhile True: x.append(b'x' * (1 << 23))"], check=False)
    time.sleep(600)


def look_around(script):
    script.note(
        environment=dict(os.environ),
        entered=script.entered,
        uid=os.getuid(),
        cwd=str(Path.cwd()),
        argv=script.argv,
        stdin=sys.stdin.read() if sys.stdin else None,
        model=sorted(path.name for path in Path(script.argv[2]).iterdir()),
        modules=sorted(name for name in sys.modules if "." not in name),
    )
    return 0


def phone_home(script):
    reached = []
    for address in script.settings["addresses"]:
        try:
            with socket.create_connection(tuple(address), timeout=3):
                reached.append(address)
        except OSError:
            continue
    script.note(reached=reached)
    return 0


def trespass(script):
    written = []
    targets = [script.folder / "spec.json", script.folder / "in" / "script.json", script.folder / "new"]
    targets += [script.folder / "in" / "new", Path(script.argv[2]) / "new", Path("/new"), Path("/usr/new")]
    for target in targets:
        try:
            with target.open("a"):
                written.append(str(target))
        except OSError:
            continue
    (script.folder / "out" / "mine").write_text("allowed")
    script.note(written=written)
    return 0


def flood(script):
    line = "x" * 1023 + "\n"
    for _ in range(script.settings["mib"] * 1024):
        sys.stdout.write(line)
    print("the end of the flood", file=sys.stderr)
    return 1


def garbage(script):
    script.write(kind="progressed", step=1, of=2)
    with (script.folder / "out" / "events.jsonl").open("ab") as file:
        file.write(b"not json\n\xff\xfe\n" + b'{"kind": "unheard-of"}\n' + b"y" * 200_000 + b"\n")
    script.write(kind="progressed", step=2, of=2)
    with (script.folder / "out" / "events.jsonl").open("ab") as file:
        file.write(b"z\n" * 100)
    return 0


def parent(script):
    """Leaves a grandchild in a session of its own behind."""
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600'], stdout=-3, start_new_session=True).pid)"
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    script.note(pid=os.getpid(), grandchild=int(said.stdout))
    if script.settings.get("stay"):
        time.sleep(600)
    return 0


def fill_disk(script):
    for number in range(1000):
        (script.folder / "out" / f"{number}.bin").write_bytes(b"x" * (1 << 20))
        time.sleep(0.02)
    time.sleep(600)


def crowd(script):
    for _ in range(script.settings["threads"]):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    time.sleep(600)


def crash(script):
    raise RuntimeError("a bug of the job's own")


def fall(script):
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def main(argv):
    script = Script(argv)
    return globals()[script.settings["do"]](script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
