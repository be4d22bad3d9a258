"""An experiment on disk: a recipe's variants times its seeds, each an ordinary run in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluglab
from pluglab.data.run_data import Recorded
from pluglab.errors import LabError, UserError
from pluglab.experiments.prepare import Prepared, prepare
from pluglab.experiments.session import Session
from pluglab.plugins.registry import Registry
from pluglab.protocols import RunInfo
from pluglab.recipe.positions import TomlSource
from pluglab.recipe.recipe import Recipe, RecipeFile, load_recipe, together
from pluglab.storage.run_folder import (
    ExperimentFolder,
    RunFolder,
    claim_folder,
    is_experiment,
    is_run,
    run_folders,
    slug,
    write_recipe,
)

OF_THE_REST = frozenset(
    ("run", "evaluate", "select", "axes", "table", "reported", "title", "log_every", "checkpoint_every")
)
"""Keys of a recipe that its training does not depend on."""
REPEATS = "resolved by pluglab {version}; `lab run` on this file repeats the run"


@dataclass
class Experiment:
    """A folder with one or several runs. `runs` holds each run's folder in order; `sets` are options that
    were given for this session, as `--set` gives them."""

    folder: Path
    runs: list[RunFolder]
    prepared: list[Prepared]
    sets: tuple[str, ...] = ()
    failures: dict[str, LabError] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.prepared[0].recipe.title

    def named_runs(self) -> list[tuple[str, RunFolder]]:
        """Each run with the name of its row: its variant, or the title of a recipe without."""
        pairs = zip(self.runs, self.prepared, strict=True)
        return [(item.recipe.variant or item.recipe.title, run) for run, item in pairs]

    def info(self, index: int) -> RunInfo:
        """What observers are told about a run."""
        run, item = self.runs[index], self.prepared[index]
        recipe, steps = item.recipe, item.data.total_steps()
        size = recipe.options.batch_size * len(item.data.roles)
        table = recipe.to_dict()
        place = index, len(self.runs)
        return RunInfo(
            run.path, recipe.title, recipe.variant, recipe.seed, steps, size, *place, options=table
        )


def start(file: RecipeFile, recipes: Sequence[Recipe], root: Path, session: Session) -> Experiment:
    """Prepare the runs and lay out their folders: one run is the folder itself, several are inside it."""
    fabric = session.launch(recipes[0].options.run)
    with fabric.rank_zero_first():  # it fills the cache for the others
        prepared = prepare(recipes, session)
    folder = lay_out(
        prepared, root, session, whole=f"{file.path} resolved; `lab run` on this file repeats the experiment"
    )
    return Experiment(folder, run_folders(folder), prepared)


def lay_out(
    prepared: Sequence[Prepared],
    root: Path,
    session: Session,
    *,
    whole: str,
    words: str = REPEATS,
    more: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Make the folders of runs that have not started; one process makes them for all.

    `whole` is what the experiment's recipe begins with, `words` what that of a run does; `more` is what
    run.json holds of each run besides.
    """
    assert session.fabric is not None
    folder = str(_lay_out(prepared, root, session, whole, words, more)) if session.is_main_process else ""
    return Path(session.fabric.broadcast(folder))


def _lay_out(
    prepared: Sequence[Prepared],
    root: Path,
    session: Session,
    whole: str,
    words: str,
    more: Sequence[Mapping[str, Any]],
) -> Path:
    recipes = [item.recipe for item in prepared]
    folder = claim_folder(root, recipes[0].title)
    names = run_names(recipes) if len(recipes) > 1 else [""]
    make_runs(folder, names, prepared, session, words, more)
    if len(recipes) > 1:
        facts = {"recipe": recipes[0].title, "runs": names}
        ExperimentFolder.create(folder, together(recipes), whole, facts)
    return folder


def make_runs(
    folder: Path,
    names: Sequence[str],
    prepared: Sequence[Prepared],
    session: Session,
    words: str = REPEATS,
    more: Sequence[Mapping[str, Any]] = (),
) -> list[RunFolder]:
    """The folders, by their names, of runs that have not started."""
    made = []
    for index, (name, item) in enumerate(zip(names, prepared, strict=True)):
        path = folder / name
        state = run_state(item, session, path) | dict(more[index] if more else {})
        text = words.format(version=pluglab.__version__)
        made.append(RunFolder.create(path, item.recipe.to_dict(), text, state))
    return made


def run_state(item: Prepared, session: Session, path: Path) -> dict[str, Any]:
    """What run.json says of a run from the beginning."""
    recipe = item.recipe
    return {
        "recipe": recipe.title,
        "variant": recipe.variant,
        "seed": recipe.seed,
        **item.identity(),
        "start": item.start,
        "data": item.data.facts(),
        **session.origin(path),
    }


def run_names(recipes: Sequence[Recipe]) -> list[str]:
    """A folder name a run. Variants whose names make the same file name, 'a b' and 'a_b', are numbered."""
    folders: dict[str, str] = {}
    for variant in dict.fromkeys(recipe.variant for recipe in recipes):
        base = f"{slug(variant)}-" if variant else ""
        tries = [base, *(f"{slug(variant)}_{number}-" for number in range(2, len(recipes) + 2))]
        folders[variant] = next(name for name in tries if name not in folders.values())
    return [f"{folders[recipe.variant]}seed{recipe.seed}" for recipe in recipes]


# From disk -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Changes:
    """What is other than the runs recorded it: options as `--set` gives them, and data that may differ."""

    sets: tuple[str, ...] = ()
    sources: tuple[TomlSource, ...] = ()
    accept_data: bool = False


UNCHANGED = Changes()


def reread(run: RunFolder, registry: Registry, changes: Changes = UNCHANGED) -> tuple[Recipe, Recipe]:
    """The recipe of a run as it was recorded, and as it is with the changes.

    Raises `UserError` if what it was trained with was changed in its recipe.toml since.
    """
    recorded = load_recipe(run.recipe).resolve_all(registry)[0]
    if run.read()["training"] not in (recorded.training_digest(), recorded.training_digest(written=True)):
        help = [
            "undo the change; `lab resume RUN --set KEY=VALUE` and `lab extend` go on with another value",
            "or start a new run with `lab run` on the changed file",
        ]
        raise UserError(f"{run.recipe} was changed after the run started", help=help)
    if not changes.sets and not changes.sources:
        return recorded, recorded
    return recorded, load_recipe(run.recipe, changes.sets, changes.sources).resolve_all(registry)[0]


def hashes_of(run: RunFolder, *, accept: bool = False) -> Recorded:
    """The hashes of a run's data, as it recorded them."""
    data = run.read().get("data", {})
    return Recorded({role: dict(facts.get("sha256", {})) for role, facts in data.items()}, accept)


def reopen(
    folder: Path, session: Session, changes: Changes = UNCHANGED, *, training: bool = False
) -> Experiment:
    """The experiment or run in `folder`, from its own resolved recipes and with the changes.

    Raises `UserError` for changes of what the runs were trained with, unless they are to go on `training`.
    """
    runs = run_folders(folder)
    pairs = [reread(run, session.plugins.registry, changes) for run in runs]
    for before, after in pairs:
        if not training and before.training_digest() != after.training_digest():
            raise untimely(before, after)
    prepared = _prepared_again(runs, [after for _, after in pairs], session, changes, training=training)
    return Experiment(folder, runs, prepared, changes.sets)


def take_up(folder: Path, recipes: Sequence[Recipe], session: Session) -> Experiment:
    """The unfinished experiment in `folder`, to go on as the recipes say, which train what it does: their
    evaluators, observers and the like may be others."""
    runs = run_folders(folder)
    prepared = _prepared_again(runs, recipes, session, UNCHANGED, training=True)
    for run, item in zip(runs, prepared, strict=True):
        if session.is_main_process:
            write_recipe(run.recipe, item.recipe.to_dict(), REPEATS.format(version=pluglab.__version__))
            run.update(**session.origin(run.path), training=item.recipe.training_digest())
    return Experiment(folder, runs, prepared)


def _prepared_again(
    runs: Sequence[RunFolder],
    recipes: Sequence[Recipe],
    session: Session,
    changes: Changes,
    *,
    training: bool,
) -> list[Prepared]:
    """Runs that are there already, their data checked against what they recorded."""
    recorded = [hashes_of(run, accept=changes.accept_data) for run in runs]
    starts = [run.read()["start"] for run in runs]
    with session.launch(recipes[0].options.run).rank_zero_first():
        return prepare(recipes, session, recorded, starts, to_train=training)


def untimely(before: Recipe, after: Recipe) -> UserError:
    named = ", ".join(changed_options(before, after)) or "the training"
    help = [
        "`lab resume RUN --set ...` goes on with another value, `lab extend RUN --set ...` in a new folder"
    ]
    return UserError(f"the run was trained with another {named}", help=help)


def changed_options(before: Recipe, after: Recipe) -> list[str]:
    """The dotted keys of what training depends on, apart from data, and is not the same in both.

    Of a component that is another one, its name stands for all of its options.
    """
    old, new = ({key: value for key, value, _ in recipe.values()} for recipe in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and _of_training(key)]
    other = [f"{key.removesuffix('name')}" for key in keys if key.endswith(".name")]
    return [key for key in keys if key.endswith(".name") or not key.startswith(tuple(other))]


def _of_training(key: str) -> bool:
    first, *rest = key.split(".")
    return first not in OF_THE_REST and (first != "data" or "transforms" in rest[1:2])


def find_unfinished(root: Path, prepared: Sequence[Prepared]) -> Path | None:
    """The newest folder of the same experiment that has not come to its end; damaged ones are passed over."""
    parent = root / slug(prepared[0].recipe.title)
    wanted = [item.identity()["identity"] for item in prepared]
    for folder in sorted(parent.glob("*"), reverse=True) if parent.is_dir() else ():
        try:
            states = (
                [run.read() for run in run_folders(folder)] if is_run(folder) or is_experiment(folder) else []
            )
        except UserError:
            continue
        unfinished = any(state["status"] not in ("finished", "running") for state in states)
        if unfinished and [state["identity"] for state in states] == wanted:
            return folder
    return None
