"""Which code it was: the digest sees what a trial runs, git is only asked about our own checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tunewright.tracking.identity import code_changes, code_digest, code_identity, environment_lock


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package laid out like ours: ``domain`` inside, ``tools`` behind a link."""
    root = tmp_path / "house" / "src" / "tunewright"
    (root / "domain").mkdir(parents=True)
    (root / "domain" / "noun.py").write_text("x = 1\n")
    tools = tmp_path / "house" / "tools"
    (tools / "training").mkdir(parents=True)
    (tools / "__init__.py").write_text("")
    (tools / "training" / "lora.py").write_text("rank = 8\n")
    (root / "tools").symlink_to("../../tools")
    return root


@pytest.fixture
def checkout(package: Path) -> Path:
    """That package in a git checkout, with one commit."""
    house = package.parent.parent
    git(house, "init")
    git(house, "add", ".")
    git(house, "commit", "-m", "first")
    return house


class TestDigest:
    def test_it_sees_code_behind_links(self, package: Path) -> None:
        before = code_digest(package)
        (package / "tools" / "training" / "lora.py").write_text("rank = 16\n")
        assert code_digest(package) != before

    @pytest.mark.parametrize("change", ["renamed", "moved to the other folder", "emptied into its neighbour"])
    def test_it_sees_where_code_lies(self, package: Path, change: str) -> None:
        before, lora = code_digest(package), package / "tools" / "training" / "lora.py"
        if change == "renamed":
            lora.rename(lora.with_name("dora.py"))
        elif change == "moved to the other folder":
            lora.rename(package / "domain" / "lora.py")
        else:
            (package / "domain" / "noun.py").write_text("x = 1\nrank = 8\n")
            lora.write_text("")
        assert code_digest(package) != before

    def test_it_does_not_see_caches_and_other_folders(self, package: Path) -> None:
        before = code_digest(package)
        cache = package / "domain" / "__pycache__"
        cache.mkdir()
        (cache / "noun.cpython-311.pyc").write_bytes(b"\0")
        (package / "cli").mkdir()
        (package / "cli" / "door.py").write_text("y = 2\n")
        assert code_digest(package) == before

    def test_it_is_the_same_wherever_the_package_lies(self, package: Path, tmp_path: Path) -> None:
        import shutil

        elsewhere = tmp_path / "site-packages" / "tunewright"
        shutil.copytree(package, elsewhere)  # as an installed wheel has it: links are folders
        assert code_digest(elsewhere) == code_digest(package)


class TestGit:
    def test_commit_and_clean_tree(self, package: Path, checkout: Path) -> None:
        found = code_identity(package)
        assert found.git_commit == git(checkout, "rev-parse", "HEAD") and found.git_dirty is False
        assert code_changes(package) == ""

    def test_a_changed_source_is_dirty_and_told(self, package: Path, checkout: Path) -> None:
        (checkout / "tools" / "training" / "lora.py").write_text("rank = 16\n")
        assert code_identity(package).git_dirty is True
        assert "+rank = 16" in code_changes(package)

    def test_files_git_does_not_know_are_nobodys_business(self, package: Path, checkout: Path) -> None:
        (checkout / "notes.py").write_text("password = 'hunter2'\n")
        assert code_identity(package).git_dirty is False
        assert "hunter2" not in code_changes(package)

    def test_secrets_that_git_knows_are_left_out_of_the_changes(self, package: Path, checkout: Path) -> None:
        for name in (".env", "client_secret.toml", "settings.json"):
            (checkout / name).write_text("token = 'old'\n")
        git(checkout, "add", ".")
        git(checkout, "commit", "-m", "oh no")
        for name in (".env", "client_secret.toml", "settings.json"):
            (checkout / name).write_text("token = 'hunter2'\n")
        assert code_identity(package).git_dirty is True
        assert "hunter2" not in code_changes(package)

    def test_a_huge_change_is_cut(self, package: Path, checkout: Path) -> None:
        (checkout / "tools" / "training" / "lora.py").write_text("".join(f"a{i} = 1\n" for i in range(200_000)))
        assert len(code_changes(package)) < 2**20 + 100 and "[cut at 1 MiB]" in code_changes(package)

    def test_an_environment_inside_someone_elses_project_is_no_checkout(self, package: Path, tmp_path: Path) -> None:
        git(tmp_path, "init")
        (tmp_path / "their.py").write_text("z = 3\n")
        git(tmp_path, "add", "their.py")
        git(tmp_path, "commit", "-m", "theirs")
        found = code_identity(package)
        assert found.git_commit is None and found.git_dirty is None and code_changes(package) == ""

    def test_without_git_it_is_still_known(
        self, package: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        found = code_identity(package)
        assert found.git_commit is None and found.digest == code_digest(package)

    def test_a_git_hook_does_not_lead_astray(
        self, package: Path, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "another.git"))
        commit = code_identity(package).git_commit
        monkeypatch.delenv("GIT_DIR")
        assert commit == git(checkout, "rev-parse", "HEAD")


class TestEnvironment:
    def test_our_own_code_and_what_decides_numbers(self) -> None:
        import platform

        found = code_identity()
        assert {"torch", "transformers", "peft", "trl", "numpy", "safetensors"} <= found.packages.keys()
        assert found.packages["python"] == platform.python_version()
        assert found == code_identity()

    def test_the_lock_is_sorted_pins_and_nothing_else(self) -> None:
        import importlib.metadata

        lock = environment_lock()
        names = [line.partition("==")[0].lower().replace("_", "-").replace(".", "-") for line in lock]
        assert names == sorted(names) and len(names) == len(set(names))
        assert f"mlflow=={importlib.metadata.version('mlflow')}" in lock
        assert not any(sign in line for line in lock for sign in ("@", "://", " ", "\n"))
