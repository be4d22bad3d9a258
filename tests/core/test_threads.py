"""How many threads compute and how they wait is chosen before torch is loaded, where nobody has chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pluglab.cli import threads


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*threads.WAITING, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, also where it was not there
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def limited(folder: Path, quota: str, *, version: int = 2) -> Path:
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} 100000\n")
    else:
        (folder / "cpu").mkdir()
        (folder / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu/cpu.cfs_period_us").write_text("100000\n")
    return folder


@pytest.mark.parametrize(
    ("quota", "version", "chosen"),
    [
        ("250000", 2, "2"),
        ("50000", 2, "1"),
        ("max", 2, None),
        ("900000", 2, None),
        ("300000", 1, "3"),
        ("-1", 1, None),
    ],
)
def test_a_container_has_as_many_threads_as_it_may_use_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, version: int, chosen: str | None
) -> None:
    monkeypatch.setattr(threads, "CGROUP", limited(tmp_path, quota, version=version))
    threads.choose()
    assert os.environ.get("OMP_NUM_THREADS") == chosen


def test_what_somebody_has_chosen_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CGROUP", limited(tmp_path, "200000"))
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.choose()
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_a_machine_without_control_groups_sets_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "CGROUP", tmp_path / "nothing")
    threads.choose()
    assert "OMP_NUM_THREADS" not in os.environ


def test_openmp_is_told_before_torch_is_there(tmp_path: Path) -> None:
    """OpenMP reads its environment once, when it is loaded: it says itself what it read."""
    code = "import sys; from pluglab.cli import main; main(); "
    environment = {k: v for k, v in os.environ.items() if k not in threads.WAITING}
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        env={**environment, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
    )
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" in done.stderr
