"""Records made by hand: what runs would tell, without a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pluglab.records import Record

NOT_TRAINED = ("title", "seeds", "axes", "table", "evaluate", "select")  # of a recipe


def record(
    variant: str = "",
    seed: int = 0,
    *,
    title: str = "t",
    trainer: Mapping[str, Any] | None = None,
    data: Mapping[str, str] | None = None,
    trained_on: tuple[str, ...] | None = None,
    hidden: tuple[str, ...] = (),
    test_hashes: Mapping[str, str] | None = None,
    scalars: Mapping[str, float] | None = None,
    protocol: str = "p",
    settings: Mapping[str, Any] | None = None,
    better: Mapping[str, str] | None = None,
    picked_by: str | None = None,
    oracle: bool = False,
    **options: Any,
) -> Record:
    """A finished run. `protocol` is the hash of each scalar's protocol, `settings` what it is a hash of."""
    data = data or {"train": "digits"}
    recipe = {
        "title": title,
        "seeds": [seed],
        "steps": 100,
        "trainer": {"name": "toy", **(trainer or {})},
        "data": {role: {"name": name, "transforms": []} for role, name in data.items()},
        "evaluate": [],
        **options,
    }
    if picked_by:
        recipe["select"] = {"metric": picked_by, "mode": "max"}
    model = {key: value for key, value in recipe.items() if key not in NOT_TRAINED}
    state = {
        "settings": repr([model, test_hashes]),
        "protocol": {
            "trained_on": dict.fromkeys(trained_on or tuple(data), "train"),
            "labels_hidden": list(hidden),
        },
        "data": {role: {"sha256": {"test": found}} for role, found in (test_hashes or {}).items()},
    }
    scalars = dict(scalars or {})
    found = {
        "scalars": scalars,
        "protocol": dict(settings or {}),
        "protocols": {},
        "better": dict(better or {}),
    }
    results = {
        "step": 100,
        "scalars": scalars,
        "protocols": dict.fromkeys(scalars, protocol) if protocol else {},
        "headline": list(scalars),
        "evaluations": {"measured": found},
        **({"selected_by": {"oracle": True}} if oracle else {}),
    }
    path = Path(f"{title}/{variant}{seed}")
    return Record(path, title, variant, seed, "finished", recipe, state, results)
