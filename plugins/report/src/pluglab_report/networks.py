"""The networks that runs recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pluglab.architecture.networks import Architecture
from pluglab.comparison import Group
from pluglab_report.chapters import Chapter, first_told, is_inside, read_json

FILE = "architecture.json"


def architectures_of(chapter: Chapter) -> list[tuple[list[str], Architecture]]:
    """Each architecture once, with the names of the groups that have it."""
    found: dict[str, tuple[list[Group], Architecture]] = {}
    for group in chapter.groups:
        record = first_told(group)
        path = record.path / FILE
        value = read_json(path) if is_inside(path, record.path) else None
        try:
            one = Architecture.of(value) if value else None
        except (KeyError, TypeError, ValueError):
            continue  # damaged, or of another version
        if one is not None:
            groups, _ = found.setdefault(json.dumps(value, sort_keys=True), ([], one))
            groups.append(group)
    return [(_names(chapter, groups), one) for groups, one in found.values()]


def _names(chapter: Chapter, groups: Sequence[Group]) -> list[str]:
    """Of the methods, where each has these networks in all of its scenarios; else of the groups."""
    methods = dict.fromkeys(chapter.methods[group] for group in groups)
    whole = [group for group in chapter.groups if chapter.methods[group] in methods]
    return list(methods) if len(whole) == len(groups) else [chapter.names[group] for group in groups]
