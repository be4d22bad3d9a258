"""All that can be checked before a training is: evaluators, data, shapes, networks, what will be reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from warnings import catch_warnings, simplefilter

from pluglab.capabilities import Classifies
from pluglab.data.run_data import DatasetCache, Recorded, RunData
from pluglab.data.value_range import check_range
from pluglab.engine.evaluation import check_fit, promises_of
from pluglab.engine.initial_weights import InitialWeights, find_weights
from pluglab.engine.selection import Promises, check_selection
from pluglab.engine.untouched import evaluating
from pluglab.errors import LabError
from pluglab.experiments.session import Session
from pluglab.protocols import run_label
from pluglab.recipe.recipe import Recipe, digest_of
from pluglab.training.trainer import TrainerBase, refuse_hidden


@dataclass
class Prepared:
    """A run whose recipe, data, networks and evaluators have been checked.

    `start` says what its weights are at first, where it is not the seed that makes them.
    """

    recipe: Recipe
    data: RunData
    promises: Promises = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return run_label(self.recipe.variant, self.recipe.seed)

    def initial_weights(self, session: Session) -> InitialWeights | None:
        """The weights that the recipe wants it to start from. Raises `RecipeError` where there are none."""
        asked = self.recipe.options.init
        if asked is None:
            return None
        with self.recipe.error_location(("init",)):
            return find_weights(asked, session.context)

    def identity(self) -> dict[str, str]:
        """Hashes of what the run is: `identity`, `settings` (the same without the seed), and `training` (as
        the recipe says it, without the data)."""
        settings = self.data.settings(self.start)
        identity = digest_of([settings, self.recipe.seed])
        return {"identity": identity, "settings": settings, "training": self.recipe.training_digest()}


def prepare(
    recipes: Sequence[Recipe],
    session: Session,
    recorded: Sequence[Recorded] | None = None,
    starts: Sequence[Mapping[str, Any]] | None = None,
    *,
    to_train: bool = True,
    cache: DatasetCache | None = None,
) -> list[Prepared]:
    """Check the runs, fetch their data, and have every evaluator fetch or make what it needs.

    `recorded` and `starts`: what each run knows from before of its data and of its first weights. What is to
    select a checkpoint is checked where there is something `to_train`. `cache` holds data sets and evaluators
    that are there already. Raises `UserError`; nothing has been
    written by then, and nothing trained.
    """
    check_fit(recipes)
    cache = cache or DatasetCache(session.context)
    known = recorded or [Recorded() for _ in recipes]
    prepared = [
        Prepared(recipe, RunData(recipe, cache, hashes))
        for recipe, hashes in zip(recipes, known, strict=True)
    ]
    for note in dict.fromkeys(note for item in prepared for note in item.data.notes()):
        session.log(note)
    promises: dict[str, Promises] = {}
    for index, item in enumerate(prepared):
        item.data.record_splits()
        weights = item.initial_weights(session) if starts is None else None
        item.start = dict(starts[index]) if starts else {"init": weights.digest} if weights else {}
        if item.recipe.variant not in promises:
            promises[item.recipe.variant] = _promises(item, cache, weights)
        item.promises = promises[item.recipe.variant]
        if to_train:
            check_range(item.data)
            check_selection(item.recipe, item.promises, item.data.hidden())
    return prepared


def _promises(item: Prepared, cache: DatasetCache, weights: InitialWeights | None) -> Promises:
    """Build what the recipe names, see that the weights to start from fit, and ask the evaluators what they
    will report."""
    recipe = item.recipe
    with recipe.error_location(("trainer", "name")):
        trainer = recipe.options.trainer.build(item.data.specs())
        if isinstance(trainer, TrainerBase):
            refuse_hidden(trainer)
    if weights is not None:
        with recipe.error_location(("init",)):
            weights.put_into(trainer)
    _try_further_roles(item, trainer)
    evaluators = []
    for index, use in enumerate(recipe.evaluators):
        with recipe.error_location(("evaluate", index, "name")):
            evaluators.append(cache.evaluator(use.component))
    return promises_of(recipe, evaluators, trainer, item.data)


def _try_further_roles(item: Prepared, trainer: Any) -> None:
    """See that a trainer takes images of roles that it does not learn from, where evaluators will ask it to.

    Raises `RecipeError` where it says that it does not. Nothing else counts: it has not been set up yet.
    """
    learned = {role.name for role in item.data.roles}
    asked = any(Classifies in use.component.target.needs for use in item.recipe.evaluators)
    for role in [role for role in item.recipe.data if role not in learned] if asked else ():
        images = item.data.split(role, "train").spec.blank()
        with item.recipe.error_location(("data", role)), evaluating(trainer, seed=0), catch_warnings():
            simplefilter("ignore")  # of a model that has not learned yet
            try:
                trainer.predict(images, role)
            except LabError:
                raise
            except Exception:
                return
