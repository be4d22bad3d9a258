"""`pluglab.run` and `pluglab.load`: what the commands do, for Python and notebooks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import tomli_w

from pluglab.comparison import in_one, tables
from pluglab.components import Component
from pluglab.errors import RunError, UserError, did_you_mean
from pluglab.experiments.execute import execute
from pluglab.experiments.experiment import Changes, Experiment, start
from pluglab.experiments.session import new_session, session_of
from pluglab.experiments.summary import comparison_of
from pluglab.figures import html_image
from pluglab.plain import plain
from pluglab.plugins.loading import load_plugins, trusting
from pluglab.protocols import DataContext, Table
from pluglab.recipe.layers import nested, read_override
from pluglab.recipe.positions import TomlSource, parse_toml
from pluglab.recipe.recipe import RecipeFile, load_recipe, recipe_file
from pluglab.recipe.resolve import make
from pluglab.storage.run_folder import RunFolder
from pluglab.trained import TrainedModel, load_model


def run(
    recipe: str | Path | Mapping[str, Any],
    *,
    variants: Sequence[str] = (),
    run_dir: str | Path = "runs",
    data_root: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    sets: Sequence[str] = (),
    **overrides: Any,
) -> Runs:
    """Train and evaluate what a recipe says, as `lab run` does.

    `recipe` is a file, or its content as a mapping. `overrides` are options of it: `steps=50`,
    `trainer={"lr": 1e-3}`, or `**{"trainer.lr": 1e-3}`. `sets` are options as `--set` gives them:
    "trainer.lr=1e-3". `plugins` are files to load. Raises what the command tells: `UserError` for wrong
    input, `RunError` where a run fails.
    """
    session = new_session(load_plugins(map(Path, plugins)), _path(data_root), _echo)
    file = _file(recipe, [*map(read_override, sets), *(_source(*option) for option in overrides.items())])
    recipes = file.resolve_all(session.plugins.registry, variants)
    experiment = start(file, recipes, Path(run_dir), session)
    session.log(f"run folder: {experiment.folder}")
    execute(experiment, session)
    if experiment.failures:
        label, error = next(iter(experiment.failures.items()))
        raise RunError(f"{label}: {error.message}", help=error.help, where=error.where) from error
    return Runs(experiment)


def component(kind: str, name: str, /, *, plugins: Sequence[str | Path] = (), **options: Any) -> Component:
    """A component by its name, with options as a recipe gives them; `build` makes the object.

    `pluglab.component("dataset", "digits", size=28).build()`. Raises `UserError` for wrong options.
    """
    return make(load_plugins(map(Path, plugins)).registry, kind, name, **options)


def data_context(data_root: str | Path | None = None) -> DataContext:
    """The places that data sets and evaluators are prepared with, as the commands give them."""
    return new_session(load_plugins(()), _path(data_root), _echo).context


def load(
    run: str | Path,
    /,
    *,
    step: int | None = None,
    data_root: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    sets: Sequence[str] = (),
    **overrides: Any,
) -> TrainedModel:
    """The model of a run: of the checkpoint of `step`, else of the reported one, or the newest.

    `run` is the folder of one run. `plugins` are files to load; those that the run was started with are
    programs, and run only where they are named here, or `trust` says so. `overrides`, and `sets` as `--set`
    gives them, say where data lie now, where that matters, or on what to compute: `run={"device": "cpu"}`,
    "data.train.path=DIR". Raises `UserError` where there is no such model.
    """
    folder = Path(run)
    files = [Path(file) for file in plugins]
    with trusting() if trust else nullcontext():
        session = session_of(folder, _path(data_root), files, load_plugins(files), _echo)
    sources = tuple(_source(key, value) for key, value in overrides.items())
    return load_model(folder, session, step, Changes(tuple(sets), sources))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _echo(text: str) -> None:
    print(text, file=sys.stderr)


def _source(key: str, value: Any) -> TomlSource:
    return parse_toml(_toml(nested(key, value)), f"{key}=")


def _toml(table: Mapping[str, Any]) -> str:
    """Values of Python as a recipe would hold them. Raises `UserError` for those that it cannot."""
    try:
        return tomli_w.dumps(plain(table, finite=False))
    except TypeError as error:
        help = ["a recipe holds numbers, texts, lists and tables; leave out what is None"]
        raise UserError(f"a value has no place in a recipe: {error}", help=help) from None


def _file(recipe: str | Path | Mapping[str, Any], overrides: Sequence[TomlSource]) -> RecipeFile:
    if isinstance(recipe, Mapping):
        source = parse_toml(_toml(recipe), "the recipe")
        return recipe_file([source], Path(str(recipe.get("title") or "recipe")), overrides)
    return load_recipe(Path(recipe), more=overrides)


@dataclass(frozen=True)
class Runs:
    """What `pluglab.run` has trained: one run, or several."""

    experiment: Experiment

    @property
    def folder(self) -> Path:
        return self.experiment.folder

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each run, by its name in the experiment: 'DANN, seed 0'."""
        pairs = zip(self.experiment.prepared, self.experiment.runs, strict=True)
        return {item.label: run.path for item, run in pairs}

    @property
    def table(self) -> Table:
        """A row a variant, a column a scalar; mean and deviation over seeds."""
        return in_one(tables(comparison_of(self.experiment)))

    @property
    def results(self) -> dict[str, Any]:
        """results.json of the only run; of several, of each by its name."""
        found = {name: RunFolder(path).results() for name, path in self.folders.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    @property
    def scalars(self) -> dict[str, float]:
        """The reported scalars of the only run."""
        scalars: dict[str, float] = RunFolder(self._only(None)).results()["scalars"]
        return scalars

    def figures(self, name: str | None = None) -> dict[str, Path]:
        """The picture files of a run, by their names without a suffix."""
        found = RunFolder(self._only(name)).reported_figures()
        return {path.stem: path for path in found.values()}

    def load(self, name: str | None = None) -> TrainedModel:
        """The model of the only run, or of the one of that name."""
        return load(self._only(name), trust=True)  # its plugin files have just been run

    def _only(self, name: str | None) -> Path:
        folders = self.folders
        if name is None and len(folders) == 1:
            return next(iter(folders.values()))
        if name not in folders:
            help = filter(None, [did_you_mean(name or "", folders), f"there are: {'; '.join(folders)}"])
            raise UserError("which run is meant?" if name is None else f"there is no run '{name}'", help=help)
        return folders[name]

    def __repr__(self) -> str:
        return f"<{self.experiment.title}: {'; '.join(self.folders)}, {self.folder}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table, and the pictures of the first run."""
        table = self.table
        head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
        rows = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in table.rows]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        pictures = "".join(map(_html_of, self.figures(next(iter(self.folders))).values()))
        return f"<table><tr>{head}</tr>{body}</table><p>{escape(str(self.folder))}</p>{pictures}"


def _html_of(path: Path) -> str:
    import numpy as np
    from PIL import Image

    if path.suffix != ".png":
        return ""
    return f"<figure>{html_image(np.asarray(Image.open(path)), path.stem)}</figure>"
