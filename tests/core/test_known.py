"""A component that is known and not installed: what to install is told."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import tomli_w

import pluglab
from pluglab.errors import UserError
from pluglab.plugins import known
from pluglab.plugins.known import distribution_of
from pluglab.plugins.loading import load_plugins
from tests.core.support import Lab

FILE = Path(pluglab.__file__).parent / "plugins" / "known.toml"


def first_party() -> dict[str, dict[str, list[str]]]:
    """The components of each of our distributions, by kind."""
    registry = load_plugins(only=None).registry
    owners = {
        e.name: e.dist.name for e in entry_points(group="pluglab") if e.dist and "pluglab-" in e.dist.name
    }
    found: dict[str, dict[str, list[str]]] = {}
    for entry in sorted(registry, key=lambda one: (one.plugin, one.kind, one.name)):
        if entry.plugin in owners:
            found.setdefault(owners[entry.plugin], {}).setdefault(entry.kind, []).append(entry.name)
    return found


def test_all_that_comes_along_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_PLUGINS")
    text = tomli_w.dumps(first_party())
    if os.environ.get("LAB_REWRITE"):
        FILE.write_text(text)
    assert FILE.read_text() == text


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if none of our distributions were installed."""
    monkeypatch.setattr(known, "is_installed", lambda name: False)


@pytest.mark.usefixtures("_bare")
def test_what_to_install_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.toml").write_text('steps = 1\ntrainer = "toy"\ndata.train = "usps"\n')
    assert lab("run", "r.toml") == 2
    told = capsys.readouterr().err
    assert "unknown dataset 'usps'" in told
    assert "it comes with another distribution: pip install pluglab-datasets" in told


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(("kind", "name"), [("encoder", "lenet"), ("encoder", "domain_adaptation/lenet")])
def test_of_a_kind_that_nobody_declares_too(kind: str, name: str) -> None:
    with pytest.raises(UserError) as error:
        load_plugins(only="").registry.find(kind, name)
    assert "pip install pluglab-domain-adaptation" in " ".join(error.value.help)


def test_one_that_is_installed_and_not_loaded() -> None:
    with pytest.raises(UserError) as error:
        load_plugins(only="").registry.find("trainer", "dann")
    assert "pluglab-domain-adaptation, which is not loaded: `lab list plugins`" in error.value.help[0]


def test_of_a_strangers_nothing_is_told() -> None:
    assert distribution_of("trainer", "nobodys") == ""
