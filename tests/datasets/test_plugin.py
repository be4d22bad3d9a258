from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pluglab.components import config_class, dump_options
from pluglab.plugins.registry import Registry

HEAVY = {"torch", "numpy", "sklearn", "scipy", "PIL", "urllib.request"}


def test_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, pluglab_datasets.plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


def test_every_component_is_documented_and_loads(registry: Registry) -> None:
    for entry in registry:
        assert entry.summary
        assert entry.documentation()
        for name, option in getattr(entry.load(), "Config", entry).__dict__.get("model_fields", {}).items():
            assert option.description, f"{entry.name}.{name}"


def test_every_component_and_every_option_of_a_transform_is_in_the_docs(registry: Registry) -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    headings = {line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")}
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(registry.names("dataset")) <= headings
    for name in config_class(registry.find("dataset", "image_folder")).model_fields:
        assert name in rows
    for entry in registry.entries("transform"):
        for name, value in dump_options(config_class(entry)()).items():
            assert f"`{name} = {json.dumps(value).removesuffix('.0')}`" in rows[entry.name]
