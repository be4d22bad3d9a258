"""Networks that cannot be written as asked, and commands that ask for what there is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pluglab_export import formats
from tests.export.conftest import ODD, Trained, config_in, lab


@pytest.fixture
def odd(trained: Trained, tmp_path: Path) -> Any:
    """Exports a trainer with an odd network; its config."""

    def export(oddity: str, *words: str) -> dict[str, Any]:
        run = trained("odd", f'{{ name = "odd", oddity = "{oddity}" }}', "--plugin", ODD)
        assert lab("export", run, "--trust", "--out", tmp_path / "out", *words) == 0
        return config_in(tmp_path / "out")

    return export


def test_a_network_that_is_no_graph(odd: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = odd("branching")["networks"]
    assert set(networks) == {"odd", "plain"}
    (graph,) = networks["odd"]["graphs"]
    assert graph["file"] is None and graph["checked_with_images"] == [] and len(graph["reasons"]) == 1
    assert networks["plain"]["graphs"][0]["file"] == "plain.onnx"
    said = capsys.readouterr().err
    assert f"odd: not written; {graph['reasons'][0]}" in said and "GraphModule" not in said
    assert f"`odd` has no graph: {graph['reasons'][0]}." in (tmp_path / "out" / "README.md").read_text()
    assert "odd.weight" in load_file(tmp_path / "out" / "model.safetensors")


def test_torch_export_where_onnx_cannot(odd: Any, tmp_path: Path) -> None:
    (graph,) = odd("special")["networks"]["odd"]["graphs"]
    assert graph["file"] == "odd.pt2" and graph["format"] == "torch"
    assert graph["reasons"][0].startswith("not as onnx: ")
    assert not (tmp_path / "out" / "odd.onnx").exists()
    weights = load_file(tmp_path / "out" / "model.safetensors")
    x = torch.randn(3, 256)
    (made,) = torch.export.load(tmp_path / "out" / "odd.pt2").module()(x)
    expected = torch.special.bessel_j0(
        torch.nn.functional.linear(x, weights["odd.weight"], weights["odd.bias"])
    )
    torch.testing.assert_close(made, expected)


def test_a_network_that_is_random(odd: Any) -> None:
    (graph,) = odd("random")["networks"]["odd"]["graphs"]
    assert graph["file"] is None and "it draws random numbers" in graph["reasons"][0]


def test_a_network_that_is_called_in_parts(odd: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plain = odd("parts", "--format", "torch")["networks"]["plain"]
    assert plain["graphs"] == [] and plain["not_written"] == "only parts of it are called"
    assert "plain: not written; only parts of it are called" in capsys.readouterr().err


def test_what_computes_something_else_is_not_written(odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path) -> formats.Runner:
        run = right(path)
        return lambda tensors: tuple(tensor + 0.1 for tensor in run(tensors))

    right = formats.TORCH.read
    monkeypatch.setattr(formats, "TORCH", formats.Format("torch", ".pt2", formats.TORCH.write, wrong))
    (graph,) = odd("parts", "--format", "torch")["networks"]["odd"]["graphs"]
    assert graph["file"] is None and "its outputs differ by up to 1.0e-01" in graph["reasons"][0]


# Without what ONNX needs ----------------------------------------------------------------------------------


@pytest.fixture
def _no_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnx" else real(name))


@pytest.mark.usefixtures("_no_onnx")
def test_without_onnx_programs_are_written(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("export", trained("source_only"), "--out", tmp_path / "out") == 0
    assert 'no ONNX: it needs onnx (pip install "pluglab-export[onnx]")' in capsys.readouterr().err
    graph = config_in(tmp_path / "out")["networks"]["features"]["graphs"][0]
    assert graph["file"] == "features.pt2" and graph["checked_with_images"] == [2, 5, 1]
    assert not list((tmp_path / "out").glob("*.onnx"))


@pytest.mark.usefixtures("_no_onnx")
def test_onnx_that_is_asked_for_must_be_installed(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("export", trained("source_only"), "--out", tmp_path / "out", "--format", "onnx") == 2
    said = capsys.readouterr().err
    assert (
        'error: ONNX needs onnx\n  = pip install "pluglab-export[onnx]"\n  = or give --format torch' in said
    )
    assert not (tmp_path / "out").exists()


# Wrong commands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--checkpoint", "7"), "has no whole checkpoint of step 7; there are: 2"),
        (("--set", "run"), "--set run: write key=value"),
        (("--set", "run.device=gpu"), "should be 'auto', 'cpu', 'cuda' or 'mps'"),
        (("--set", "trainer.encoder.width=8"), "the run was trained with another trainer.encoder.width"),
        (("--format", "tf"), "'tf' is not one of"),
        (("--data-root", "nowhere"), "the data root nowhere is not a folder"),
    ],
)
def test_what_cannot_be_asked(
    words: tuple[str, ...],
    message: str,
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lab("export", trained("source_only"), "--out", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("export", tmp_path, "--out", tmp_path / "out") == 2
    assert "is no run folder\n  = give a folder that `lab run` made" in capsys.readouterr().err


@pytest.mark.parametrize("trainer", ['"idle"', '{ name = "odd", oddity = "blind" }'])
def test_a_model_that_calls_no_network(
    trainer: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("idle", trainer, "--plugin", ODD)
    assert lab("export", run, "--trust", "--out", tmp_path / "out") == 2
    assert "calls no network to sample, predict, embed or reconstruct" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("export", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "lab export runs/mine/20261121-093000-a1b2 --out mine" in said and "--init" in said
