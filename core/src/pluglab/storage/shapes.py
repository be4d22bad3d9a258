"""What the JSON files in a run's folder look like, as far as anything relies on it.

So a file that something else has changed is told of where it is read, and nobody behind has to look again.

A shape is a type; a tuple of shapes, one of which will do; a list with the shape of its items; or a mapping
of keys to shapes, where the key `str` stands for all others. What a mapping does not name may be anything.
Of what it names, the keys at `...` must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pluglab.errors import KeyPath

Shape = dict[Any, Any]
TEXT_OR_NONE = (str, type(None))
NUMBER = (float, type(None))
_NAMED: Shape = {str: str}
_SCALARS: Shape = {str: NUMBER}
_TABLE: Shape = {"columns": [str], "rows": [list], ...: ("columns", "rows")}
_FIGURE: Shape = {"file": str, "caption": str, "data": TEXT_OR_NONE, ...: ("file",)}
_FOUND: Shape = {
    "step": int,
    "scalars": _SCALARS,
    "protocols": {str: (str, {})},
    "tainted": [str],
    "tables": {str: _TABLE},
    "figures": {str: _FIGURE},
    "protocol": {},
    "better": _NAMED,
    "hidden_labels": [str],
    "evaluator": {},
}
EVENT: Shape = {
    "type": str,
    "time": NUMBER,
    "name": str,
    "message": str,
    "afterwards": bool,
    **_FOUND,
    ...: ("type",),
}
_LOOK: Shape = {**_FOUND, "headline": [str], "evaluations": {str: {**_FOUND, ...: ("step",)}}}
RESULTS: Shape = {
    **_LOOK,
    "selected_by": {"step": int, "value": NUMBER, "metric": str, "oracle": bool},
    "last": _LOOK,
    "seconds": {str: float},
    "stopped_early": {"after": int, "of": int},
    "steps": {str: _LOOK},
}
STATE: Shape = {
    "status": str,
    "identity": str,
    "recipe": str,
    "variant": str,
    "started": TEXT_OR_NONE,
    "error": TEXT_OR_NONE,
    "steps": (int, type(None)),
    "step": (int, type(None)),
    "session_seconds": NUMBER,
    "settings": ({}, TEXT_OR_NONE),
    "versions": _NAMED,
    "plugin_files": _NAMED,
    "command": [str],
    "git": {},
    "machine": {},
    "protocol": {"trained_on": ([str], {}), "labels_hidden": [str], "selection": str},
    "data": {str: {"sha256": _NAMED}},
    "parent": {"run": str, "identity": str},
    "changes": [{"identity": str}],
}
TAGS: Shape = {"tags": [str], "note": str}
NEEDED = {"evaluation": ("name", "step", "scalars"), "step": ("step", "scalars"), "checkpoint": ("step",)}


def misfit(value: Any, shape: Any, path: KeyPath = ()) -> KeyPath | None:
    """The path of what is not of its shape; None where all is."""
    if isinstance(shape, tuple):
        found = [misfit(value, one, path) for one in shape]
        return None if None in found else found[-1]
    if isinstance(shape, type):
        return None if _is(value, shape) else path
    if not isinstance(value, dict if isinstance(shape, Mapping) else list):
        return path
    return next((wrong for wrong in _misfits_in(value, shape, path) if wrong is not None), None)


def _misfits_in(value: Any, shape: Any, path: KeyPath) -> list[KeyPath | None]:
    if isinstance(shape, list):
        return [misfit(item, shape[0], (*path, i)) for i, item in enumerate(value)]
    missing = [(*path, key) for key in shape.get(..., ()) if key not in value]
    shapes = ((key, shape.get(key, shape.get(str))) for key in value)
    return missing + [misfit(value[key], one, (*path, key)) for key, one in shapes if one is not None]


def _is(value: Any, kind: type) -> bool:
    """Whether it is of that kind; a whole number is a float too, and true is neither."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def is_event(value: Any) -> bool:
    """Whether it is an event of a run's history."""
    if misfit(value, EVENT) is not None:
        return False
    return all(key in value for key in NEEDED.get(value["type"], ()))
