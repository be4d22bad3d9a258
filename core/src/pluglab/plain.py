"""Values as files hold them, and copies of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any


def plain(value: Any, *, finite: bool = True) -> Any:
    """Arrays, tensors, tuples and ranges as lists, their numbers as Python's, paths as texts.

    None for what is not finite, which JSON has no word for, unless `finite` is False.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, finite=finite) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item, finite=finite) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), finite=finite)
    if isinstance(value, Path):
        return str(value)
    return None if finite and isinstance(value, float) and not math.isfinite(value) else value


def copied(value: Any) -> Any:
    """The same in mappings, lists, arrays and dataclasses of its own, which may be changed."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(map(copied, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: copied(getattr(value, part.name)) for part in fields(value)})
    if hasattr(value, "tolist"):
        return deepcopy(value.detach() if hasattr(value, "detach") else value)
    return value


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What nested mappings and lists hold, by dotted names."""
    if isinstance(value, (Mapping, list, tuple)):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from leaves(one, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
