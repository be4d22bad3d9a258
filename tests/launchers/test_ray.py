"""Runs on a real Ray cluster of two machines, one of which is lost while it trains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from pluglab import UserError
from pluglab_launchers.on_ray import SETTINGS, Ray, connected, room
from tests.launchers.conftest import NAMES, PATIENCE, checkpoints, lab, only, scores, started, state, wait_for

pytestmark = pytest.mark.timeout(600)
SMALL = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines with one CPU each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        made = Cluster()
        try:
            for _ in range(2):
                add_machine(made)
            yield made
        finally:
            made.shutdown()


def add_machine(cluster: Cluster) -> None:
    """Ray waits for half a minute; this machine may do much else."""
    for last in (False, False, True):
        try:
            cluster.add_node(**SMALL)
            return
        except Exception:
            if last:
                raise


def launcher(cluster: Cluster, more: str = "") -> tuple[str, str]:
    return "--set", f"run.launcher={{ name = 'ray', address = '{cluster.address}'{more} }}"


@pytest.mark.slow
def test_what_is_under_way_is_saved_and_sent_back(cluster: Cluster, whole: dict[str, float]) -> None:
    """Without shared storage, Ctrl-C ends with checkpoints here, and the runs go on without Ray."""
    slow = "--set", "trainer.pause=0.3"
    process = started("run", "slow.toml", *slow, *launcher(cluster, ", send_back = true"))
    wait_for(lambda: all(checkpoints(name) for name in NAMES), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130, Path("log.txt").read_text()
    folder, log = only(), Path("log.txt").read_text()
    assert {state(folder, name)["status"] for name in NAMES} == {"interrupted"}
    assert f"go on with: lab resume {folder}" in log
    assert "a, seed 0: running on " in log and "a, seed 0: 0 of 120" in log
    # They ran in copies that are gone, and which nothing here names.
    assert state(folder, NAMES[0])["command"][1:3] != ["resume", str(folder / NAMES[0])]
    assert lab("resume", folder, "--jobs", "1", "--set", "trainer.pause=0.0") == 0
    assert scores(folder) == whole


def test_a_run_whose_machine_is_lost_goes_on_elsewhere(cluster: Cluster, whole: dict[str, float]) -> None:
    process = started("run", "slow.toml", "--set", "trainer.pause=0.1", *launcher(cluster))
    wait_for(lambda: all(checkpoints(name) for name in NAMES), process)
    folder, lost = only(), next(iter(cluster.worker_nodes))
    raylet = lost.all_processes["raylet"][0].process.pid
    pids = {name: state(folder, name)["pid"] for name in NAMES}
    (there,) = [
        name for name, pid in pids.items() if raylet in [one.pid for one in psutil.Process(pid).parents()]
    ]
    cluster.remove_node(lost, allow_graceful=False)
    os.kill(pids[there], signal.SIGKILL)  # as where the power goes
    assert process.wait(PATIENCE) == 0, Path("log.txt").read_text()
    log = Path("log.txt").read_text()
    label = there.replace("-seed0", ", seed 0")
    assert f"{label}: " in log and "was lost: goes on elsewhere" in log
    assert f"{label}: resuming after step" in log
    assert scores(folder) == whole
    assert state(folder, there)["resumed_at"] > 0


def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**options: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(UserError, match=r"there is no Ray cluster at .*: nobody answers"):
        connected("10.0.0.9:6379")


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, 6),  # one a CPU
        ({"cpus": 3}, 1),
        ({"gpus": 0.5}, 2),  # those that share the GPU of the one machine that has one
        ({"gpus": 1, "cpus": 2}, 1),
        ({"resources": {"big": 1}}, 1),
        ({"cpus": 64}, 1),  # a machine may join
        ({"jobs": 40}, 40),
    ],
)
def test_shares_of_machines_say_how_many_runs_there_is_room_for(options: dict[str, Any], runs: int) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "big": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    assert room(SimpleNamespace(nodes=lambda: nodes), Ray.Config(**options)) == runs


def test_neither_ray_nor_submitit_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, json\n"
        "from pluglab.plugins.loading import load_plugins\n"
        "p = load_plugins(only='launchers')\n"
        "from pluglab.components import config_class\n"
        "[config_class(entry) for entry in p.registry.entries('launcher')]\n"
        "print(json.dumps([name for name in ('ray', 'submitit') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
