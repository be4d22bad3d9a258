"""One file given with `--plugin`, not packaged at all, adds a trainer that a recipe runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import Lab

PLUGIN = '''
from pluglab_domain_adaptation.baselines import SourceOnly

class SureSource(SourceOnly):
    """Source only, with a price on unsure predictions."""

    def class_loss(self, logits, labels):
        entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        return super().class_loss(logits, labels) + 0.1 * entropy

def lab_register(registry):
    registry.add("trainer", "sure_source", SureSource)
'''

RECIPE = """
steps = 80
batch_size = 32
checkpoint_every = 30
transforms = ["standardize"]
evaluate = ["accuracy"]
[trainer]
name = "sure_source"
encoder = "dann_i"
[data]
source = { name = "digits", size = 28 }
"""


def test_a_ten_line_file_adds_a_trainer(lab: Lab, tmp_path: Path) -> None:
    assert len([line for line in PLUGIN.splitlines() if line.strip()]) <= 10
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "mine.toml").write_text(RECIPE)
    shown = lab("list", "trainers", "--plugin", "mine.py").stdout
    assert "sure_source" in shown
    lab("run", "mine.toml", "--plugin", "mine.py")
    (results,) = (tmp_path / "runs").glob("mine/*/results.json")
    assert json.loads(results.read_text())["scalars"]["accuracy/source"] > 50  # of ten classes


def test_a_run_remembers_its_plugin_file(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "mine.toml").write_text(RECIPE)
    lab("run", "mine.toml", "--plugin", "mine.py", "--set", "steps=2")
    (folder,) = (tmp_path / "runs" / "mine").iterdir()
    results = json.loads((folder / "results.json").read_text())
    (again,) = json.loads(lab("evaluate", folder, "--trust", "--json").stdout)[folder.name]
    assert again["step"] == 2 and again["scalars"] == results["scalars"]
    assert again["protocols"] == results["protocols"] and not again["tainted"]
