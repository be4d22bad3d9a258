"""The state of the source code that a run records."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pluglab.storage.commit import commit_of


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "method.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_tree(repository: Path) -> None:
    assert commit_of(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_new_files_such_as_runs_do_not_count_and_changed_ones_do(repository: Path) -> None:
    (repository / "runs").mkdir()
    (repository / "runs" / "metrics.jsonl").write_text("{}\n")
    assert commit_of(repository)["dirty"] is False
    (repository / "method.py").write_text("x = 2\n")
    assert commit_of(repository)["dirty"] is True


def test_from_a_folder_within(repository: Path) -> None:
    (repository / "deep").mkdir()
    assert commit_of(repository / "deep")["commit"] == git(repository, "rev-parse", "HEAD")


def test_nothing_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) == {}


def test_nothing_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) == {}


def test_nothing_where_there_is_no_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository / "empty"))
    assert commit_of(repository) == {}
