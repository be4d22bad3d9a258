from __future__ import annotations

import subprocess
import sys

from pluglab.registry import Registry

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
