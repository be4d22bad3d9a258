"""What a sweep has found, as `sweep.json` in its folder: to show it takes neither Optuna nor a storage."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab.protocols import Table
from pluglab.storage.atomic import write_file
from pluglab_sweep.observer import PRUNED
from pluglab_sweep.search import OURS, WHY, name_of

if TYPE_CHECKING:
    import optuna

    from pluglab_sweep.search import Search

FILE = "sweep.json"
ENOUGH = 4
"""Finished trials that the importance of parameters is computed from, at least."""
SEED = 0  # of the forest behind the importance
Summary = dict[str, Any]


def summary_of(search: Search) -> Summary:
    """All of a sweep as plain data: objectives, parameters, trials, the best, what matters."""
    trials, study = search.study.get_trials(deepcopy=False), search.study
    objectives = [{"metric": one.metric, "mode": one.mode} for one in search.objectives]
    parameters = {key: _parameter(one) for key, one in search.sweep.parameters.items()}
    return {
        "study": study.study_name,
        "objectives": objectives,
        "parameters": parameters,
        "sampler": search.sweep.config.sampler.name,
        "pruner": search.sweep.config.pruner.name if search.sweep.config.pruner else None,
        "trials": [_trial(one, search) for one in trials],
        "best": best_of(study),
        "importance": [importance(study, place) for place in range(len(objectives))],
    }


def _parameter(one: Any) -> dict[str, Any]:
    return {"words": one.words(), "log": getattr(one, "log", False), "numbers": hasattr(one, "low")}


def _trial(one: optuna.trial.FrozenTrial, search: Search) -> dict[str, Any]:
    values = one.values if one.state.name == "COMPLETE" else None
    return {
        "number": one.number,
        "state": {"COMPLETE": "finished", "FAIL": "failed"}.get(one.state.name, one.state.name.lower()),
        "values": values,
        "params": {key: one.params[key] for key in search.sweep.parameters if key in one.params},
        "looks": [[step, value] for step, value in sorted(one.intermediate_values.items())],
        "why": one.user_attrs.get(WHY, ""),
        "pruned_at": one.user_attrs.get(PRUNED),
        "sweep": one.user_attrs.get(OURS, ""),
        "seconds": one.duration.total_seconds() if one.duration else None,
    }


def best_of(study: optuna.Study) -> list[int]:
    """The number of the best trial, or those that no other is better than in everything."""
    finished = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
    if not finished:
        return []
    if len(study.directions) > 1:
        return [one.number for one in study.best_trials]
    return [study.best_trial.number]


def importance(study: optuna.Study, objective: int) -> dict[str, float]:
    """The share of each parameter in the variance of an objective, by fANOVA (Hutter et al. 2014).

    Empty where too few trials have finished, or no parameter varied.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    finished = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
    if len(finished) < ENOUGH or len({one.values[objective] for one in finished}) < 2:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = FanovaImportanceEvaluator(seed=SEED)
            found = get_param_importances(
                study, evaluator=evaluator, target=lambda trial: float(trial.values[objective])
            )
    except (RuntimeError, ValueError):  # parameters that never varied
        return {}
    return {key: value for key, value in found.items() if math.isfinite(value)}


def write_summary(search: Search) -> Summary:
    """Into the folder of the sweep."""
    found = summary_of(search)
    text = json.dumps(found, indent=2, default=str) + "\n"
    write_file(search.growing.folder / FILE, text.encode())
    return found


def read_summary(folder: Path) -> Summary | None:
    """That of a sweep's folder; None for a folder that holds none."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and {"objectives", "parameters", "trials", "best"} <= set(found)
    return found if whole else None


# For people --------------------------------------------------------------------------------------------


def table_of(summary: Summary, most: int = 10) -> Table:
    """The best trials first, at most so many; those that did not finish last."""
    metrics = [one["metric"] for one in summary["objectives"]]
    keys = list(summary["parameters"])
    rows = [_row(one, summary, keys) for one in ranked(summary)[:most]]
    return Table(["trial", *metrics, *keys, "state"], rows)


def _row(trial: Mapping[str, Any], summary: Summary, keys: Sequence[str]) -> list[str | float | int]:
    values = trial["values"] or ["-"] * len(summary["objectives"])
    mark = "best" if trial["number"] in summary["best"] else trial["state"]
    state = f"pruned at {trial['pruned_at']}" if trial["pruned_at"] else mark
    return [
        trial["number"],
        *map(_short, values),
        *(_short(trial["params"].get(key, "-")) for key in keys),
        state,
    ]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ranked(summary: Summary) -> list[dict[str, Any]]:
    """The trials: the best, then the others that finished by their first objective, then the rest."""
    sign = -1 if summary["objectives"][0]["mode"] == "max" else 1

    def place(trial: Mapping[str, Any]) -> tuple[bool, bool, float]:
        best = trial["number"] in summary["best"]
        return trial["values"] is None, not best, sign * (trial["values"] or [0.0])[0]

    return sorted(summary["trials"], key=place)


def counts(summary: Summary) -> str:
    """'12 trials: 8 finished, 3 pruned, 1 failed'."""
    states = [trial["state"] for trial in summary["trials"]]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"{len(states)} trials: {', '.join(parts)}" if states else "no trials"


def folders_of(summary: Summary, folder: Path) -> Iterator[tuple[int, Path]]:
    """Each of the best trials with the folder of its first run, where that is in this folder."""
    for number in summary["best"]:
        found = sorted(folder.glob(f"{name_of(number).replace(' ', '_')}-seed*"))
        if found and summary["trials"][number]["sweep"] == folder.name:
            yield number, found[0]
