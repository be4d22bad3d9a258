"""What is in an exported folder besides networks, and what becomes of one that was there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pluglab_export import exporting
from tests.export.conftest import Trained, config_in, lab, recipe

Exported = Callable[[str], Path]


def test_the_config_says_what_it_is(trained: Trained, exported: Exported) -> None:
    config, run = config_in(exported("dann")), json.loads((trained("dann") / "run.json").read_text())
    results = json.loads((trained("dann") / "results.json").read_text())
    assert config["trainer"]["name"] == "dann" and config["trainer"]["options"]["encoder"]["width"] == 4
    assert config["step"] == 2 and config["identity"] == run["identity"] and config["seed"] == 0
    assert config["plugins"] == run["plugins"] and config["versions"]["torch"] == run["versions"]["torch"]
    target = config["roles"]["target"]
    assert target["dataset"] == "digits_m" and len(target["classes"]) == 10
    assert target["sha256"] == run["data"]["target"]["sha256"]
    assert (target["channels"], target["height"], target["width"]) == (3, 28, 28)
    scalar = config["scalars"]["accuracy/target"]
    assert scalar["value"] == results["scalars"]["accuracy/target"]
    assert scalar["protocol"] == results["protocols"]["accuracy/target"]
    assert config["protocols"][scalar["evaluator"]]["split"] == "test"


def test_files_are_those_that_the_config_lists(exported: Exported) -> None:
    folder = exported("acgan")
    config = config_in(folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", "README.md", *config["files"]}
    assert {"model.safetensors", "samples.png", "generator.onnx"} < set(config["files"])
    for name, digest in config["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert config["classes"] == list("0123456789")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@pytest.mark.parametrize("name", ["acgan", "dann", "stylegan2_lite"])
def test_the_code_on_the_card_works(
    name: str, trained: Trained, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported(name))
    card = Path("README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", card, re.M | re.S)
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block.replace('"RUN"', repr(str(trained(name)))), name, "exec"), {})


def test_the_card(exported: Exported) -> None:
    card = (exported("dann") / "README.md").read_text()
    assert card.startswith("---\nlicense: FILL-IN\n")
    assert "# dann on digits and digits_m, after 2 steps" in card
    for file, digest in config_in(exported("dann"))["roles"]["source"]["sha256"].items():
        assert f"| source | digits | {file} | 3 x 28 x 28 | `{digest}` |" in card
    assert "| `accuracy/target` |" in card and "samples.png" not in card
    assert "![The first samples, unchosen](samples.png)" in (exported("acgan") / "README.md").read_text()


def test_training_goes_on_from_the_file(exported: Exported, tmp_path: Path) -> None:
    weights = exported("dcgan") / "model.safetensors"
    (tmp_path / "r.toml").write_text(recipe("dcgan"))
    words = ["--init", str(weights), "--run-dir", str(tmp_path), "--set", "steps=1"]
    assert lab("run", tmp_path / "r.toml", *words) == 0
    (facts,) = tmp_path.glob("*/*/run.json")
    start = json.loads(facts.read_text())["init"]
    assert start["taken"] == len(load_file(weights)) and start["unused"] == []
    assert "generator" not in start["kept"]


def test_a_chosen_checkpoint_has_no_scores_of_another(trained: Trained, tmp_path: Path) -> None:
    words = ["--set", "steps=4", "--set", "checkpoint_every=2", "--run-dir", str(tmp_path)]
    assert lab("run", trained("source_only") / "recipe.toml", *words) == 0
    (run,) = [path.parent for path in tmp_path.glob("*/*/run.json")]
    for step, out in ((2, "two"), (4, "four")):
        assert lab("export", run, "--out", tmp_path / out, "--checkpoint", str(step), "--format", "none") == 0
    assert config_in(tmp_path / "two")["step"] == 2 and not config_in(tmp_path / "two")["scalars"]
    assert "accuracy/source" in config_in(tmp_path / "four")["scalars"]
    assert "Nothing was measured at this step." in (tmp_path / "two" / "README.md").read_text()


# A place that is taken ------------------------------------------------------------------------------------


def test_an_earlier_export_is_replaced_when_asked(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "out", ("export", trained("source_only"), "--out", tmp_path / "out")
    assert lab(*words, "--format", "torch") == 0
    assert (out / "features.pt2").is_file()
    (out / "notes.txt").write_text("mine")
    before = (out / "config.json").read_bytes()
    assert lab(*words, "--format", "none") == 2
    assert f"{out} is not empty\n  = name another folder, or give --overwrite" in capsys.readouterr().err
    assert (out / "config.json").read_bytes() == before
    assert lab(*words, "--format", "none", "--overwrite") == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"config.json", "README.md", "model.safetensors", "notes.txt"}


def test_what_no_export_has_written_is_left_alone(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "config.json").write_text('{"files": ["README.md"]}')
    words = ("export", trained("source_only"), "--format", "none", "--overwrite", "--out")
    assert lab(*words, tmp_path) == 2
    assert "holds files that no export has written" in capsys.readouterr().err
    assert lab(*words, tmp_path / "README.md") == 2
    assert "README.md is not a folder" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failed_export(
    error: BaseException, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(exporting, "card_of", fail)
    words = ("export", trained("source_only"), "--format", "none", "--out", tmp_path / "out")
    assert lab(*words) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert list(tmp_path.iterdir()) == []
