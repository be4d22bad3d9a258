"""Layouts: which sections a report has, in which order, and what its discussion asks. TOML files.

    sections = ["results", "options", "curves", "samples", "discussion", "provenance"]

    [discussion]
    results = "Which method is ahead, and why?"

A layout of ours also names the `plugins` whose trainers it is for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pluglab import UserError
from pluglab.errors import did_you_mean

KNOWN = "gan", "diffusion", "vae", "adaptation", "general"


@dataclass(frozen=True)
class Layout:
    """`sections` are names of components, `questions` those of the discussion by their keys."""

    name: str
    title: str
    sections: tuple[str, ...]
    questions: Mapping[str, str]
    plugins: tuple[str, ...] = ()


def layout_for(wanted: str, plugin: str) -> Layout:
    """The layout of that name or file; of 'auto' the one for trainers of `plugin`. Raises `UserError`."""
    if wanted == "auto":
        return next((one for one in map(_built_in, KNOWN) if plugin in one.plugins), _built_in("general"))
    if wanted in KNOWN:
        return _built_in(wanted)
    if not Path(wanted).is_file():
        help = filter(None, [did_you_mean(wanted, KNOWN), f"known: auto, {', '.join(KNOWN)}, or a TOML file"])
        raise UserError(f"there is no template '{wanted}'", help=help)
    return _from_file(Path(wanted))


def _built_in(name: str) -> Layout:
    text = (files("pluglab_report") / "layouts" / f"{name}.toml").read_text(encoding="utf-8")
    return _layout(name, tomllib.loads(text))


def _from_file(path: Path) -> Layout:
    try:
        return _layout(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError):
        help = ['write: sections = ["results", "discussion"], and [discussion] with KEY = "question"']
        raise UserError(f"{path} is no template of a report", help=help) from None


def _layout(name: str, table: Mapping[str, Any]) -> Layout:
    questions = {str(key): str(value) for key, value in table.get("discussion", {}).items()}
    names = tuple(table["sections"])
    if isinstance(table["sections"], str) or not all(isinstance(one, str) for one in names):
        raise TypeError("sections are a list of names")
    return Layout(name, str(table.get("title", name)), names, questions, tuple(table.get("plugins", ())))
