"""The page on building on first-party code: its plugins pass all checks and run, its names are there."""

from __future__ import annotations

import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pluglab
from pluglab import evaluating
from pluglab.testing import components, faults
from tests.integration.conftest import ROOT
from tests.integration.test_docs import BLOCK

PAGE = (ROOT / "docs" / "building.md").read_text(encoding="utf-8")
FILES = {block["file"]: block["text"] for block in BLOCK.finditer(PAGE) if block["file"]}
ROWS = re.findall(r"^\|([^|\n]*)\|([^|\n]*)\|[^|\n]*\|$", PAGE.partition("\n## ")[0], re.M)[2:]
SMALL: dict[str, dict[str, Any]] = {
    "trainer/mean_match": {"encoder": "lenet"},
    "trainer/tiny_gan": {"latent_size": 8},
    "trainer/image_flow": {"denoiser": {"name": "plain", "width": 4}, "sampling": {"steps": 2}},
}
DIGITS = {"name": "digits", "size": 28}
SCORE = {"name": "generation_quality", "metrics": ["fid"], "n": 80, "feature_extractor": "pooled"}
RECIPES: dict[str, dict[str, Any]] = {
    "mean_match.py": {
        "trainer": {"name": "mean_match", "encoder": "lenet"},
        "data": {"source": DIGITS, "target": {"name": "digits_m", "size": 28}},
        "evaluate": ["accuracy"],
    },
    "tiny_gan.py": {
        "trainer": {"name": "tiny_gan", "discriminator_steps": 2, "r1": 1.0},
        "data": {"train": DIGITS},
        "evaluate": ["sample_grid"],
    },
    "small_diffusion.py": {
        "trainer": {
            "name": "image_flow",
            "denoiser": {"name": "plain", "width": 4},
            "sampling": {"sampler": {"name": "restart", "share": 0.25}, "steps": 3},
        },
        "data": {"train": DIGITS},
        "evaluate": [{"name": "sampled_with", "sampling": {"sampler": "heun"}, "evaluator": "sample_grid"}],
    },
    "averaged.py": {"trainer": "averaged", "data": {"train": DIGITS}, "evaluate": ["sample_grid"]},
    "pooled.py": {
        "trainer": {"name": "dcgan", "width": 8, "latent_size": 8},
        "data": {"train": {"name": "digits", "size": 32}},
        "evaluate": [{**SCORE, "reference": 80}],
    },
}
MACHINE = {"threads": 1, "precision": "32"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_wrong_with_a_plugin_of_the_page(name: str) -> None:
    found = components(name, options=SMALL)
    assert found and [fault for part in found for fault in faults(part)] == []


@pytest.mark.parametrize("name", FILES)
def test_a_plugin_of_the_page_runs(name: str) -> None:
    recipe = {"steps": 2, "batch_size": 8, "run": MACHINE, **RECIPES[name]}
    runs = pluglab.run(recipe, plugins=[name])
    events = map(json.loads, (runs.folder / "metrics.jsonl").read_text().splitlines())
    assert [event["step"] for event in events if event["type"] == "evaluation"] == [2]
    assert runs.figures() or runs.scalars


def test_every_public_name_is_on_the_page_and_every_name_of_the_page_is_there() -> None:
    told: dict[str, set[str]] = {}
    package = ""
    for place, names in ROWS:
        package = place.strip().split("`")[1] if place.strip() else package
        told.setdefault(package, set()).update(re.findall(r"`(\w+)`", names))
    firsts = [name for name in told if name.startswith("pluglab_")]
    assert len(firsts) == 5
    for name in firsts:
        assert told[name] == set(import_module(name).__all__), name
        for one in told[name]:
            getattr(import_module(name), one)
    assert told["pluglab"] <= set(pluglab.__all__)


def test_the_toolkit_of_evaluators_is_on_the_page_with_its_parameters() -> None:
    """All that a plugin may call: what the engine itself calls, `sharing`, is left out."""
    section = PAGE.partition("## The toolkit of evaluators")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"`(\w+)(?:\(([^)]*)\))?`", section.partition("`pluglab.figures`")[0]))
    own = {
        name: value
        for name, value in vars(evaluating).items()
        if getattr(value, "__module__", "") == evaluating.__name__ and not name.startswith("_")
    }
    assert set(own) - {"sharing"} <= set(listed)
    for name, value in own.items():
        if name in listed and inspect.isfunction(value) and listed[name]:
            names = [word.strip() for word in listed[name].split(",")]
            assert len(names) <= len(inspect.signature(value).parameters), name
