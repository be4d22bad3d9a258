"""Runs as jobs of submitit's local executor, which does what SLURM would, on this machine."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.launchers.conftest import NAMES, PATIENCE, checkpoints, lab, only, scores, started, state, wait_for

LOCAL = "--set", "run.launcher={ name = 'slurm', cluster = 'local' }"
pytestmark = pytest.mark.timeout(600)


def jobs_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """What SLURM would send its signals to: a process a job."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [one for one in below if "submitit.core._submit" in one.cmdline()]


def test_the_runs_are_jobs_and_one_that_is_preempted_goes_on(whole: dict[str, float]) -> None:
    process = started("run", "slow.toml", "--set", "trainer.pause=0.05", *LOCAL)
    wait_for(lambda: all(checkpoints(name) for name in NAMES), process)
    first = jobs_of(process)[0]
    first.send_signal(signal.SIGUSR2)  # what submitit asks SLURM to send before the end
    assert process.wait(PATIENCE) == 0, Path("log.txt").read_text()
    folder, log = only(), Path("log.txt").read_text()
    assert scores(folder) == whole
    assert sum(state(folder, name)["resumed_at"] is not None for name in NAMES) == 1
    assert "slurm: running on" not in log and "local: up to 16 runs at a time" in log
    assert log.count("resuming after step") == 1
    assert "was lost" not in log, "its job was submitted again"
    assert "submitit INFO" not in log, "its own words stay in its own files"


@pytest.mark.slow
def test_ctrl_c_saves_all(whole: dict[str, float]) -> None:
    process = started("run", "slow.toml", "--set", "trainer.pause=0.3", *LOCAL)
    wait_for(lambda: all(checkpoints(name) for name in NAMES), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130, Path("log.txt").read_text()
    folder = only()
    assert {state(folder, name)["status"] for name in NAMES} == {"interrupted"}
    assert lab("resume", folder, "--launcher", "in_turn", "--set", "trainer.pause=0.0") == 0
    assert scores(folder) == whole


def test_where_there_is_no_slurm_that_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert lab("run", "slow.toml", "--launcher", "slurm") != 0
    assert "error: there is no SLURM on this machine" in capsys.readouterr().err
