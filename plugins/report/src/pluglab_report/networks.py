"""The networks that runs recorded."""

from __future__ import annotations

import json

from pluglab.architecture.networks import Architecture
from pluglab_report.chapters import Chapter, first_told, is_inside, read_json

FILE = "architecture.json"


def architectures_of(chapter: Chapter) -> list[tuple[list[str], Architecture]]:
    """Each architecture once, with the names of the groups that have it."""
    found: dict[str, tuple[list[str], Architecture]] = {}
    for group in chapter.groups:
        record = first_told(group)
        path = record.path / FILE
        value = read_json(path) if is_inside(path, record.path) else None
        try:
            one = Architecture.of(value) if value else None
        except (KeyError, TypeError, ValueError):
            continue  # damaged, or of another version
        if one is not None:
            names, _ = found.setdefault(json.dumps(value, sort_keys=True), ([], one))
            names.append(chapter.names[group])
    return list(found.values())
