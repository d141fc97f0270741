"""Datasets by name, against a small hub on this machine that speaks the real one's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "a" * 40
FILES = {
    "README.md": b"""---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': sport
          '1': politics
---
""",
    "train.jsonl": b'{"text": "a goal", "label": 0}\n{"text": "a vote", "label": 1}\n{"text": "?", "label": -1}\n',
}
READ = """
import json, sys
from tunewright.domain.errors import DataError
from tunewright.domain.task import DataSource
from tunewright.tools.data.read import read_source
try:
    print(json.dumps(read_source(DataSource(path=sys.argv[1], name="n")).rows))
except DataError as error:
    print(error)
"""


class Hub(BaseHTTPRequestHandler):
    """One dataset, ``owner/news``."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        name = path.rsplit("/", 1)[1]
        if "/resolve/" in path and name in FILES:
            self._answer(200, FILES[name], {"ETag": f'"{hashlib.sha1(FILES[name]).hexdigest()}"'})
        elif "/resolve/" in path:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif path.startswith("/api/datasets/owner/news/tree"):
            files = [{"type": "file", "path": n, "size": len(c), "oid": "b" * 40} for n, c in FILES.items()]
            self._answer(200, json.dumps(files).encode())
        elif path.startswith("/api/datasets/owner/news"):
            facts = {"id": "owner/news", "sha": COMMIT, "siblings": [{"rfilename": n} for n in FILES]}
            self._answer(200, json.dumps(facts).encode())
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def read(name: str, endpoint: str, home: Path) -> str:
    """What a fresh process prints: the clients read their endpoint and cache when they are imported."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}  # a job's offline switch
    environment = {**plain, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, name], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_a_dataset_is_read_by_name_with_its_class_names_and_then_from_the_cache(hub: str, tmp_path: Path) -> None:
    rows = [{"text": "a goal", "label": "sport"}, {"text": "a vote", "label": "politics"}, {"text": "?", "label": None}]
    assert json.loads(read("hub:owner/news", hub, tmp_path)) == rows
    assert json.loads(read("hub:owner/news:train", "http://127.0.0.1:9", tmp_path)) == rows
    assert "Should be one of ['train']" in read("hub:owner/news:val", hub, tmp_path)


def test_a_name_the_hub_does_not_know_is_said_to_be_unknown(hub: str, tmp_path: Path) -> None:
    assert read("hub:owner/gone", hub, tmp_path).startswith("there is no dataset 'owner/gone' on the hub")


def test_without_a_hub_one_line_comes_quickly(tmp_path: Path) -> None:
    began = time.monotonic()
    said = read("hub:owner/news", "http://127.0.0.1:9", tmp_path).splitlines()
    assert said[0] == "no dataset hub can be reached to load 'owner/news', and it is not in the local cache"
    assert len(said) == 2
    assert time.monotonic() - began < 20
