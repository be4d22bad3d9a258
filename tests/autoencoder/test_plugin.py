"""Laziness and documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pluglab.components import config_class
from tests.registries import registry_of

PAGE = Path(__file__).parents[2] / "docs" / "autoencoder.md"


def test_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, pluglab_autoencoder.plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "matplotlib"} & set(loaded.split())


def test_every_component_and_option_is_described_and_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for entry in (entry for entry in registry_of("autoencoder") if entry.plugin == "autoencoder"):
        assert entry.summary
        assert entry.documentation()
        assert f"`{entry.name}`" in text
        for name, option in config_class(entry).model_fields.items():
            assert option.description, f"{entry.name}.{name}"
            assert f"`{name}`" in text or f"`{name} =" in text, f"{entry.name}.{name}"
