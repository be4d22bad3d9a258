"""The documentation names every component and every option that the plugin has."""

from pathlib import Path

import pytest

from pluglab.components import config_class
from tests.registries import registry_of

ENTRIES = [entry for entry in registry_of("metrics") if entry.plugin == "metrics"]
PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_component_and_its_options_are_documented(entry):
    assert f"`{entry.name}`" in PAGE
    options = config_class(entry).model_fields
    assert not [name for name in options if f"`{name}`" not in PAGE]
    assert not [name for name, info in options.items() if not info.description]
