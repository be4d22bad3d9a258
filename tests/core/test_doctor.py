"""The doctor: right where all is well, helpful where not, and no check spoils another."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pluglab.cli import checks as doctor
from pluglab.plugins.loading import PluginReport

GOOD = PluginReport("gan", "pluglab-gan", "0.2.0", "ok", components=3)
BROKEN = PluginReport("bad", "pluglab-bad", "0.1.0", "broken", "ImportError: no module named 'x'")
OLD = PluginReport("old", "pluglab-old", "0.1.0", "incompatible", "needs pluglab <0.1, this is 0.1.0")
OFF = PluginReport("off", "pluglab-off", "0.1.0", "disabled", "not named in LAB_PLUGINS")


def test_this_machine_is_well_and_every_check_is_there(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    found = doctor.checks(tmp_path, [GOOD], runs=tmp_path / "runs", cache=tmp_path / "a" / "b")
    assert [check.name for check in found] == [
        "python",
        "torch",
        "torchvision",
        "processor",
        "gpu",
        "memory",
        "runs folder",
        "cache",
        "data root",
        "tensorboard",
        "plugin gan",
    ]
    assert [check for check in found if check.status == "fail"] == []
    assert torch.__version__ in found[1].detail
    assert not (tmp_path / "runs").exists() and not (tmp_path / "a").exists()


def test_whatever_is_not_ok_says_the_way_out(tmp_path: Path) -> None:
    found = doctor.checks(tmp_path / "nowhere", [BROKEN, OLD, OFF], runs=tmp_path)
    wrong = {check.name: check for check in found if check.status != "ok"}
    assert {"data root", "plugin bad", "plugin old"} <= set(wrong)
    assert all(check.help for check in wrong.values())
    assert "no module named 'x'" in wrong["plugin bad"].detail
    assert "plugin off" not in wrong


def test_a_check_that_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def explode() -> doctor.Check:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "check_gpu", explode)
    found = {check.name: check for check in doctor.checks(None, [], runs=tmp_path)}
    assert found["gpu"].status == "fail" and "no such device" in found["gpu"].detail
    assert found["torch"].status == "ok" and found["tensorboard"].status == "ok"


def test_old_versions_are_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_python((3, 10, 9)).status == "fail"
    assert doctor.check_python((3, 11, 0)).status == "ok"
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    assert doctor.check_torch().status == "fail"


def test_a_torchvision_of_another_build_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*arguments: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nlong trace")

    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(ops=SimpleNamespace(nms=nms)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    check = doctor.check_torchvision()
    assert check.status == "fail" and check.detail.endswith("operator torchvision::nms does not exist")


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file stands where the folder should be")
    check = doctor.check_folder("runs folder", tmp_path / "runs" / "deeper")
    assert check.status == "fail" and "cannot be written" in check.detail


def test_a_nearly_full_disk_and_little_memory_are_warnings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2e9))
    monkeypatch.setattr(doctor, "available_memory", lambda: 500_000_000)
    assert doctor.check_folder("cache", tmp_path).status == "warn"
    memory = doctor.check_memory()
    assert (memory.status, memory.detail) == ("warn", "0.5 GB available")


def test_few_threads_on_many_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert doctor.check_processor().status == "warn"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert doctor.check_processor().status == "ok"


def test_the_data_root(tmp_path: Path) -> None:
    assert doctor.check_data_root(None).status == "warn"
    assert doctor.check_data_root(tmp_path / "missing").status == "fail"
    assert doctor.check_data_root(tmp_path).status == "ok"


def test_a_plugin_that_every_command_waits_for_is_a_warning() -> None:
    slow, heavy, good = (
        doctor.check_plugin(PluginReport("a", "pluglab-a", "1.0", "ok", "", 3, seconds, brought))
        for seconds, brought in ((0.8, ()), (0.05, ("torch", "numpy")), (0.05, ()))
    )
    assert (slow.status, slow.detail) == ("warn", "1.0, 3 components, imported in 0.80 s")
    assert (heavy.status, heavy.detail) == (
        "warn",
        "1.0, 3 components, imported in 0.05 s, brings in torch, numpy",
    )
    assert "'module:Class'" in slow.help and slow.help == heavy.help
    assert (good.status, good.detail) == ("ok", "1.0, 3 components, imported in 0.05 s")
