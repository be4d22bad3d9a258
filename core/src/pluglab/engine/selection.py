"""Which checkpoint is reported, and which scores may decide it.

A score is *tainted* if it was computed from labels that are hidden from the trainer, or from what was. It
picks no checkpoint, unless the recipe allows that, and then the result is marked as an oracle's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluglab.errors import KeyPath, did_you_mean
from pluglab.recipe.keys import Selection
from pluglab.recipe.recipe import EvaluatorUse, Recipe

METRIC = ("select", "metric")
Promises = Mapping[str, Mapping[str, Collection[str]] | None]
"""What each evaluator, by its label, has said it will report: scalars, and the roles whose labels each reads.
None for one that does not say."""


_read_before: dict[str, set[str]] = {}
"""Of each evaluator, by its name, the hashes of the splits whose labels it has read in this process."""


@dataclass(frozen=True)
class Tainted:
    """What one look of an evaluator has computed from hidden labels.

    These are `scalars`, by name. What else it says, such as its tables, is so if it has read labels of any of
    these `roles`.
    """

    scalars: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


class Taint:
    """Which scores were computed from hidden labels.

    What an evaluator has promised about a scalar counts, as long as it reads no other role's labels. All else
    that it reports is tainted once it has read a hidden label, or seen what is tainted. It could have kept
    what it read: an earlier look counts, and so does one in another run of this process.
    """

    def __init__(self, hidden: Mapping[str, Collection[str]], promises: Promises) -> None:
        """`hidden`: for each role with hidden labels the hashes of its splits."""
        self.hidden, self.promises = hidden, promises

    def of(
        self,
        use: EvaluatorUse,
        scalars: Iterable[str],
        read: Mapping[str, Collection[str]],
        seen: Iterable[Mapping[str, Any]],
    ) -> Tainted:
        """What is tainted of what an evaluator says.

        `read`: for each role whose labels it has read just now the hashes of its splits. `seen`: the events
        that it was shown.
        """
        memory = _read_before.setdefault(use.component.entry.qualified, set())
        memory |= {digest for digests in read.values() for digest in digests}
        leaked = {role for role, digests in self.hidden.items() if role in read or memory & set(digests)}
        leaked |= {role for event in seen for role in event.get("hidden_labels", ())}
        promised = self.promises.get(use.label) or {}
        declared = {role for roles in promised.values() for role in roles}
        trusted = promised if set(read) <= declared else {}
        hidden = set(self.hidden)
        names = (n for n in scalars if (set(trusted[n]) & hidden if n in trusted else leaked))
        return Tainted(frozenset(names), frozenset(leaked))


def check_selection(recipe: Recipe, promises: Promises, hidden: Collection[str]) -> None:
    """What `select` and `table` name must be reported, and reported in time; by labels that may be known.

    Raises `RecipeError` before the training, as far as the evaluators say beforehand what they report.
    """
    select, during = recipe.options.select, [use for use in recipe.evaluators if use.every]
    if select is not None:
        if not during:
            help = ["give the evaluator that reports it an `every`, the steps between two looks"]
            message = "no evaluator runs during training, so there is nothing to select by"
            raise recipe.error(METRIC, message, help=help)
        for key in ("metric", "oracle"):
            if name := getattr(select, key):
                check_reported(recipe, ("select", key), name, promises, during=True)
        roles = roles_behind(select.metric, during, promises)
        if roles & set(hidden):
            _refuse(recipe, select, roles & set(hidden))
    oracle = f"oracle {select.oracle}" if select and select.oracle else ""
    for index, name in enumerate(recipe.options.table):
        if name != oracle:
            check_reported(recipe, ("table", index), name, promises)


def roles_behind(name: str, uses: Iterable[EvaluatorUse], promises: Promises) -> set[str]:
    """The roles whose labels a scalar is computed from, as the evaluators have promised."""
    return {role for use in uses for role in (promises.get(use.label) or {}).get(name, ())}


def check_reported(
    recipe: Recipe, path: KeyPath, name: str, promises: Promises, *, during: bool = False
) -> None:
    """Raises `RecipeError` where no evaluator reports what stands at `path`, or none `during` training does,
    as far as they say it beforehand."""
    uses = [use for use in recipe.evaluators if use.every or not during]
    said = [promises.get(use.label) for use in uses]
    reported = {use.label: promises.get(use.label) or () for use in recipe.evaluators}
    known = [name for use in uses for name in names_of(recipe, use, reported[use.label], reported).values()]
    if None in said or name in known:
        return
    message = f"no evaluator {'that runs during training ' if during else ''}reports '{name}'"
    help = [did_you_mean(name, known), f"reported: {', '.join(dict.fromkeys(known)) or 'nothing'}"]
    raise recipe.error(path, message, help=filter(None, help))


def names_of(
    recipe: Recipe, use: EvaluatorUse, scalars: Iterable[str], reported: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """What the scalars of an evaluator are called in the results, by their own names: '<label>/<name>' where
    an evaluator before it in the recipe reports one of that name. `reported`: those of each, by its label."""
    labels = [other.label for other in recipe.evaluators]
    earlier = labels[: labels.index(use.label)] if use.label in labels else []
    taken = {name for label in earlier for name in reported.get(label, ())}
    return {name: f"{use.label}/{name}" if name in taken else name for name in scalars}


def _refuse(recipe: Recipe, select: Selection, roles: Collection[str]) -> None:
    if not select.allow_hidden_labels:
        words = ", ".join(sorted(roles))
        message = f"'{select.metric}' is computed from the labels of '{words}', which are hidden"
        help = ["select by a label-free metric, or set select.allow_hidden_labels = true (an oracle)"]
        raise recipe.error(METRIC, message, help=help)


class Selector:
    """Remembers the best step so far, and for how many looks it has been the best."""

    def __init__(self, recipe: Recipe, hidden: Collection[str], promises: Promises) -> None:
        self.recipe, self.hidden = recipe, set(hidden)
        self.select = recipe.options.select
        self.best: dict[str, Any] = {}
        self.looks_since = 0
        self._uses = {use.label: use for use in recipe.evaluators}
        said = {label: promises.get(label) for label in self._uses}
        self._reported = {label: set(names) for label, names in said.items() if names is not None}
        self._pending = {use.label for use in recipe.evaluators if use.every}

    def state_dict(self) -> dict[str, Any]:
        reported = {label: sorted(names) for label, names in self._reported.items()}
        return {"best": self.best, "looks_since": self.looks_since, "reported": reported}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what was best, unless another metric counts now."""
        for label in state["reported"].keys() & self._uses:
            self._note(label, state["reported"][label])
        best = dict(state["best"])
        metric = best.get("metric"), best.get("mode")
        same = self.select and (not best or metric == (self.select.metric, self.select.mode))
        self.best, self.looks_since = (best, state["looks_since"]) if same else ({}, 0)

    def names(self, use: EvaluatorUse, scalars: Iterable[str]) -> dict[str, str]:
        """What the scalars of an evaluator are called in the results, by their own names."""
        return names_of(self.recipe, use, scalars, {label: self._known_of(label) for label in self._uses})

    def _known_of(self, label: str) -> set[str]:
        """What an evaluator reports; of one that has said nothing so far, what others of its kind do."""
        if label in self._reported:
            return self._reported[label]
        entry = self._uses[label].component.entry
        kin = (known for known in self._reported if self._uses[known].component.entry is entry)
        return {name for known in kin for name in self._reported[known]}

    def _note(self, label: str, scalars: Iterable[str]) -> None:
        self._reported[label] = self._reported.get(label, set()) | set(scalars)

    def observe(self, use: EvaluatorUse, scalars: Collection[str], tainted: Collection[str]) -> None:
        """Note what an evaluator reports during training. Raises `RecipeError` if the metric is tainted, or
        if all evaluators of the training have spoken and none has reported it or the oracle's."""
        new = set(scalars) - self._known_of(use.label)
        self._note(use.label, scalars)
        self._pending.discard(use.label)
        if self.select is None:
            return
        if self.select.metric in self.names(use, new).values():
            self.best, self.looks_since = {}, 0  # what went by this name was a later evaluator's
        if self.select.metric in self.names(use, tainted).values():
            _refuse(self.recipe, self.select, self.hidden)
        if not self._pending:
            self._check_reported(self.select)

    def _check_reported(self, select: Selection) -> None:
        during = [use for use in self.recipe.evaluators if use.every]
        known = {name for use in during for name in self.names(use, self._known_of(use.label)).values()}
        for key in ("metric", "oracle"):
            name = getattr(select, key)
            if name and name not in known:
                message = f"no evaluator that runs during training reports '{name}'"
                help = [f"reported: {', '.join(sorted(known)) or 'nothing'}"]
                raise self.recipe.error(("select", key), message, help=help)

    def improves(self, step: int, scalars: Mapping[str, float], tainted: Collection[str]) -> bool:
        """Whether `step` is the best so far; then it is remembered."""
        if self.select is None or self.select.metric not in scalars:
            return False
        name, value = self.select.metric, scalars[self.select.metric]
        sign = 1 if self.select.mode == "max" else -1
        self.looks_since += 1
        if not math.isfinite(value) or (self.best and sign * value <= sign * self.best["value"]):
            return False
        picked = {"step": step, "value": value, "metric": name, "mode": self.select.mode}
        self.best, self.looks_since = {**picked, "oracle": name in tainted}, 0
        return True

    @property
    def metric(self) -> str:
        """The scalar that decides; nothing where none does."""
        return self.select.metric if self.select else ""

    @property
    def exhausted(self) -> bool:
        """Whether the training should stop early: as many looks as the recipe says found nothing better."""
        return bool(self.select and self.select.patience and self.looks_since >= self.select.patience)

    def oracle(self, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The largest `select.oracle` among the evaluations of a run's history, as 'oracle <name>'."""
        if self.select is None or self.select.oracle is None:
            return {}
        name = self.select.oracle
        looks = [e for e in history if e["type"] == "evaluation" and e["name"] in self._uses]
        values = [
            value
            for event in looks
            for own, called in self.names(self._uses[event["name"]], event["scalars"]).items()
            if called == name and (value := event["scalars"][own]) is not None
        ]
        return {f"oracle {name}": max(values)} if values else {}


def visible_history(
    history: Sequence[Mapping[str, Any]], label: str, everything: bool
) -> list[Mapping[str, Any]]:
    """The events that an evaluator may see: without tainted scores of others, unless it reports no scores."""
    if everything:
        return list(history)
    return [event if event.get("name") == label else _without_tainted(event) for event in history]


def _without_tainted(event: Mapping[str, Any]) -> Mapping[str, Any]:
    if not event.get("tainted") and not event.get("hidden_labels"):
        return event
    kept = {name: value for name, value in event["scalars"].items() if name not in event["tainted"]}
    return {**event, "scalars": kept, "tables": {}}
