"""An experiment that runs are added to while others are under way: which is next depends on what they reach.

For commands of plugins, such as `lab sweep`. The recipe of such an experiment has a table of the command's
own, a component of kind `recipe_table`, and stands in the experiment's folder with it.

    growing = begin(Path("recipe.toml"), "sweep", run_dir=Path("runs"))
    job, = growing.add("trial 0", {"trainer.optimizer.lr": 3e-4})
    growing.launcher.launch([job], print)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

import pluglab
from pluglab.components import Component
from pluglab.data.run_data import DatasetCache
from pluglab.engine.selection import check_reported, roles_behind
from pluglab.errors import KeyPath, UserError
from pluglab.experiments.execute import RunJob
from pluglab.experiments.experiment import Experiment, make_runs, reopen, run_names
from pluglab.experiments.prepare import Prepared, prepare
from pluglab.experiments.session import Session, new_session, session_of
from pluglab.experiments.summary import write_tables
from pluglab.plugins.loading import load_plugins
from pluglab.protocols import Launcher
from pluglab.recipe.layers import nested
from pluglab.recipe.positions import TomlSource, parse_toml
from pluglab.recipe.recipe import Recipe, RecipeFile, load_recipe
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, claim_folder, is_experiment

WORDS = "resolved by pluglab {version}; `lab {command}` on this file repeats it, `lab run` trains it once"


@dataclass
class Growing:
    """Runs of one recipe, each under a name and values of its own. `variant` is that of the recipe."""

    file: RecipeFile
    recipe: Recipe
    table: Component
    session: Session
    folder: Path = field(default_factory=Path)
    _cache: DatasetCache | None = field(default=None, repr=False)

    @property
    def seeds(self) -> list[int]:
        return self.recipe.options.seeds

    @property
    def launcher(self) -> Launcher:
        launcher: Launcher = self.recipe.options.run.launcher.build()
        return launcher

    @property
    def runs(self) -> list[RunFolder]:
        return ExperimentFolder(self.folder).runs()

    def error(self, path: KeyPath, message: str, *, help: Sequence[str] = ()) -> UserError:
        """An error about the value at `path` of the recipe, to be raised."""
        return self.recipe.error(path, message, help=help)

    def with_values(
        self, name: str, values: Mapping[str, Any], observers: Sequence[Any] = ()
    ) -> list[Recipe]:
        """The recipe under other values, by dotted keys, for each of its seeds; `observers` watch besides.

        Raises `UserError` for values that it cannot have.
        """
        sources = [_source(key, value) for key, value in values.items()]
        said = {**self.recipe.options.axes, **{key: _word(value) for key, value in values.items()}}
        watching = [item.dump() for item in self.recipe.options.run.observers]
        sources.append(_source("axes", said))
        sources.append(_source("run.observers", [*watching, *observers]))
        file = replace(self.file, overrides=(*self.file.overrides, *sources))
        variant = [self.recipe.variant] if self.recipe.variant else []
        return [
            replace(one, variant=name) for one in file.resolve_all(self.session.plugins.registry, variant)
        ]

    def check(self, name: str, values: Mapping[str, Any]) -> list[Prepared]:
        """All that can be checked of such runs before they are made. Raises `UserError`."""
        recipes = self.with_values(name, values)
        self._cache = self._cache or DatasetCache(self.session.context)
        return prepare(recipes, self.session, cache=self._cache)

    def check_score(self, item: Prepared, path: KeyPath, name: str, *, during: bool, hidden: bool) -> None:
        """That the score which stands at `path` will be reported, `during` training even, and is not computed
        from `hidden` labels, unless these are allowed. Raises `RecipeError`."""
        check_reported(item.recipe, path, name, item.promises, during=during)
        roles = roles_behind(name, item.recipe.evaluators, item.promises) & item.data.hidden()
        if roles and not hidden:
            words = ", ".join(sorted(roles))
            message = f"'{name}' is computed from the labels of '{words}', which are hidden"
            raise self.recipe.error(
                path, message, help=["take a label-free score, or allow_hidden_labels = true"]
            )

    def claim(self, root: Path, command: str) -> None:
        """Make the folder of the experiment, which has no runs yet."""
        self.folder = claim_folder(root, self.recipe.title)
        words = WORDS.format(version=pluglab.__version__, command=command)
        table = {**self.recipe.to_dict(), "seeds": self.seeds, self.table.name: self.table.dump()}
        del table[self.table.name]["name"]
        facts = {"recipe": self.recipe.title, "runs": []}
        ExperimentFolder.create(self.folder, table, words, facts)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The experiment is this process's. Raises `UserError` where it is another's."""
        with RunFolder(self.folder).held():
            yield

    def add(self, name: str, values: Mapping[str, Any], observers: Sequence[Any] = ()) -> list[RunJob]:
        """Make the runs of that name, one a seed, and return what brings them to their ends."""
        self._cache = self._cache or DatasetCache(self.session.context)
        prepared = prepare(self.with_values(name, values, observers), self.session, cache=self._cache)
        names = run_names([item.recipe for item in prepared])
        runs = make_runs(self.folder, names, prepared, self.session)
        ExperimentFolder(self.folder).include(names)
        return self._jobs(Experiment(self.folder, runs, prepared))

    def again(self, name: str) -> list[RunJob]:
        """What brings the runs of that name to their ends, which were made before and have not finished."""
        ours = [run for run in self.runs if run.read()["variant"] == name]
        left = [run for run in ours if run.read()["status"] != "finished"]
        return [job for run in left for job in self._jobs(reopen(run.path, self.session, training=True))]

    def _jobs(self, experiment: Experiment) -> list[RunJob]:
        return [RunJob(experiment, index, self.session) for index in range(len(experiment.runs))]

    def note(self, run: Path, tag: str, text: str) -> None:
        """Tag a run, with a note, as `lab tag` does."""
        folder = RunFolder(run)
        folder.write_tags(folder.tags().changed(add=[tag], note=text))

    def write_tables(self) -> None:
        """The results of all runs so far, as numbers and as a table."""
        if runs := self.runs:
            write_tables(self.folder, runs)


def begin(
    recipe: Path,
    table: str,
    *,
    sets: Sequence[str] = (),
    variants: Sequence[str] = (),
    data_root: Path | None = None,
    plugins: Sequence[Path] = (),
    say: Any = print,
) -> Growing:
    """From a recipe that has that table; nothing is written yet. Raises `UserError`."""
    return _growing(recipe, table, sets, variants, new_session(load_plugins(plugins), data_root, say))


def take_up(
    folder: Path,
    table: str,
    *,
    sets: Sequence[str] = (),
    data_root: Path | None = None,
    plugins: Sequence[Path] = (),
    say: Any = print,
) -> Growing:
    """The experiment in a folder that `claim` made, to go on. Raises `UserError` for another folder."""
    kept = ExperimentFolder(folder)
    if not is_experiment(folder):
        raise UserError(
            f"{folder} holds no experiment", help=["give a recipe, or a folder made by this command"]
        )
    runs, loaded = kept.runs(), load_plugins(plugins)
    if runs:
        session = session_of(runs[0].path, data_root, plugins, loaded, say)
    else:
        session = new_session(loaded, data_root, say)
    found = _growing(kept.recipe, table, sets, (), session)
    return replace(found, folder=folder)


def _growing(
    recipe: Path, table: str, sets: Sequence[str], variants: Sequence[str], session: Session
) -> Growing:
    file = load_recipe(recipe, sets)
    named = [name for name in variants or file.variants if name]
    if len(named) > 1:
        message = f"{recipe} has {len(named)} variants, and one is to be chosen"
        raise UserError(message, help=[f"--variant with one of: {', '.join(named)}"])
    first = file.resolve_all(session.plugins.registry, named)[0]
    own = file.table(session.plugins.registry, table, first.variant)
    session.launch(first.options.run)
    return Growing(file, first, own, session)


def _source(key: str, value: Any) -> TomlSource:
    return parse_toml(tomli_w.dumps(nested(key, value)), f"{key}=")


def _word(value: Any) -> str:
    """A value in a table of results."""
    if isinstance(value, Mapping):
        return str(value.get("name", "")) or ", ".join(f"{key}={_word(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
