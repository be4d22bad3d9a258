"""Where components come from that are not installed: `known.toml` lists the first-party ones.

It is read for an error message alone. tests/core/test_known.py writes it anew.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files


def distribution_of(kind: str, name: str) -> str:
    """The distribution that brings a component ('gan/dcgan' or 'dcgan'); empty for an unknown one."""
    found = tomllib.loads(files(__package__).joinpath("known.toml").read_text("utf-8"))
    plain = name.rpartition("/")[2]
    return next((one for one, kinds in found.items() if plain in kinds.get(kind, ())), "")


def way_to(kind: str, name: str) -> str:
    """How to get a component that no loaded plugin has; empty for an unknown one."""
    found = distribution_of(kind, name)
    if not found:
        return ""
    if is_installed(found):
        return f"it comes with {found}, which is not loaded: `lab list plugins` says why"
    return f"it comes with another distribution: pip install {found}"


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
