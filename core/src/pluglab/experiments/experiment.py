"""An experiment: a recipe's variants times its seeds, each an ordinary run, their results one table."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluglab.data.run_data import Library, Material
from pluglab.engine.engine import Engine
from pluglab.engine.evaluation import check_fit
from pluglab.engine.hardware import LabFabric, choose
from pluglab.engine.selection import check_selection
from pluglab.errors import InterruptedRunError, LabError, UserError
from pluglab.experiments.summary import of_one_seed, write_gallery
from pluglab.plugins.loading import Plugins
from pluglab.protocols import DataContext, Table
from pluglab.recipe.recipe import Machine, Recipe, RecipeFile, load_recipe, together
from pluglab.storage.atomic import write_file
from pluglab.storage.failures import kept_in, let_go
from pluglab.storage.run_folder import (
    EXPERIMENT,
    RECIPE,
    RESULTS,
    RUN,
    RunFolder,
    claim_folder,
    read_json,
    run_folders,
    slug,
    start_facts,
    write_json,
    write_recipe,
)
from pluglab.storage.run_info import RunInfo, run_label
from pluglab.tables import compare, markdown


@dataclass
class Session:
    """What one invocation of `lab` has at hand."""

    plugins: Plugins
    context: DataContext
    echo: Callable[[str], None]
    plugin_files: tuple[Path, ...] = ()
    fabric: LabFabric | None = None
    said: set[str] = field(default_factory=set)

    def launch(self, machine: Machine) -> LabFabric:
        """Settle the machine, and join the other processes where there are several."""
        if self.fabric is None:
            choice = choose(machine)
            self.fabric = LabFabric(choice)
            self.fabric.launch()
            self.say(f"machine: {choice.summary()}")
        return self.fabric

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks: one of several does."""
        return self.fabric is None or self.fabric.is_global_zero

    def say(self, text: str) -> None:
        if self.leads:
            self.said.add(text)
            self.echo(text)

    def origin(self) -> dict[str, Any]:
        """What a resume must find again."""
        root = self.context.root
        files = [str(path.resolve()) for path in self.plugin_files]
        return {"data_root": str(root.resolve()) if root else None, "plugin_files": files}


@dataclass(frozen=True)
class Prepared:
    """A run whose recipe, data and networks have been checked."""

    recipe: Recipe
    material: Material

    @property
    def label(self) -> str:
        return run_label(self.recipe.variant, self.recipe.seed)


@dataclass
class Experiment:
    """A folder with one or several runs. `runs` holds each run's folder in order."""

    folder: Path
    runs: list[RunFolder]
    prepared: list[Prepared]
    failures: list[tuple[str, LabError]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.prepared[0].recipe.title

    def named_runs(self) -> list[tuple[str, RunFolder]]:
        """Each run with the name of its row: its variant, or the title of a recipe without."""
        pairs = zip(self.runs, self.prepared, strict=True)
        return [(item.recipe.variant or item.recipe.title, run) for run, item in pairs]


def prepare(recipes: Sequence[Recipe], session: Session) -> list[Prepared]:
    """Check everything that can be checked before training: evaluators, data, shapes, networks.

    Raises `UserError`; nothing has been written by then.
    """
    check_fit(recipes)
    for recipe in recipes:
        check_selection(recipe)
    library = Library(session.context)
    prepared = [Prepared(recipe, Material(recipe, library)) for recipe in recipes]
    built: set[str] = set()
    for item in prepared:
        if item.recipe.variant not in built:
            with item.recipe.blamed(("trainer", "name")):
                item.recipe.options.trainer.build(item.material.specs())
            built.add(item.recipe.variant)
    for note in dict.fromkeys(note for item in prepared for note in item.material.notes()):
        session.say(note)
    return prepared


def prepare_evaluators(prepared: Sequence[Prepared]) -> None:
    """Have every evaluator fetch or make what it needs. Raises `UserError`; nothing is trained by then."""
    for item in prepared:
        for index, use in enumerate(item.recipe.evaluators):
            with item.recipe.blamed(("evaluate", index, "name")):
                item.material.library.evaluator(use.component)


def start(file: RecipeFile, recipes: Sequence[Recipe], root: Path, session: Session) -> Experiment:
    """Prepare the runs and lay out their folders: one run is the folder itself, several are inside it."""
    fabric = session.launch(recipes[0].options.run)
    with fabric.rank_zero_first():  # it fills the cache for the others
        prepared = prepare(recipes, session)
        prepare_evaluators(prepared)
    folder = Path(fabric.broadcast(_lay_out(file, recipes, root, session) if session.leads else ""))
    return Experiment(folder, run_folders(folder), prepared)


def _lay_out(file: RecipeFile, recipes: Sequence[Recipe], root: Path, session: Session) -> str:
    folder = claim_folder(root, recipes[0].title)
    if len(recipes) == 1:
        RunFolder.create(folder, recipes[0], session.origin())
        return str(folder)
    names = _run_names(recipes)
    for name, recipe in zip(names, recipes, strict=True):
        RunFolder.create(folder / name, recipe, session.origin())
    words = f"{file.path} resolved; `lab run` on this file repeats the experiment"
    write_recipe(folder / RECIPE, together(recipes), words)
    facts = {"recipe": recipes[0].title, "runs": names, "identity": experiment_identity(recipes)}
    write_json(folder / EXPERIMENT, {**facts, **session.origin()})
    return str(folder)


def _run_names(recipes: Sequence[Recipe]) -> list[str]:
    """A folder name a run. Variants whose names make the same file name, 'a b' and 'a_b', are numbered."""
    folders: dict[str, str] = {}
    for variant in dict.fromkeys(recipe.variant for recipe in recipes):
        base = f"{slug(variant)}-" if variant else ""
        tries = [base, *(f"{slug(variant)}_{number}-" for number in range(2, len(recipes) + 2))]
        folders[variant] = next(name for name in tries if name not in folders.values())
    return [f"{folders[recipe.variant]}seed{recipe.seed}" for recipe in recipes]


def experiment_identity(recipes: Sequence[Recipe]) -> str:
    return "+".join(recipe.identity() for recipe in recipes)


def reopen(folder: Path, session: Session) -> Experiment:
    """The experiment or run in `folder`, from its own resolved recipes."""
    runs = run_folders(folder)
    recipes = [reread(run, session.plugins) for run in runs]
    with session.launch(recipes[0].options.run).rank_zero_first():
        prepared = prepare(recipes, session)
        prepare_evaluators(prepared)
    return Experiment(folder, runs, prepared)


def reread(run: RunFolder, plugins: Plugins) -> Recipe:
    """The resolved recipe of a run. Raises `UserError` if it was changed since."""
    recipe = load_recipe(run.path / RECIPE).resolve_all(plugins.registry)[0]
    if recipe.identity() != run.read()["identity"]:
        help = ["undo the change, or start a new run with `lab run` on the changed file"]
        raise UserError(f"{run.path / RECIPE} was changed after the run started", help=help)
    return recipe


def find_unfinished(root: Path, recipes: Sequence[Recipe]) -> Path | None:
    """The newest folder of the same experiment that has not come to its end."""
    parent = root / slug(recipes[0].title)
    wanted = experiment_identity(recipes)
    for folder in sorted(parent.glob("*"), reverse=True) if parent.is_dir() else ():
        marker = folder / (RUN if len(recipes) == 1 else EXPERIMENT)
        if marker.is_file() and read_json(marker).get("identity") == wanted:
            states = [run.read()["status"] for run in run_folders(folder)]
            if any(state not in ("finished", "running") for state in states):
                return folder
    return None


def execute(experiment: Experiment, session: Session) -> dict[str, Any]:
    """Run what is not finished, in order. A run that fails is noted and the next one starts; an interrupt
    ends them all. Returns the results of every finished run by folder name."""
    for index, (run, prepared) in enumerate(zip(experiment.runs, experiment.prepared, strict=True)):
        if run.read()["status"] == "finished":
            session.say(f"{prepared.label}: finished")
            continue
        info = _info(run, prepared, index, len(experiment.runs))
        try:
            with _holding(run, session):
                _execute_run(run, prepared, info, session)
        except InterruptedRunError as error:
            error.help = (f"go on with: lab resume {shlex.quote(str(experiment.folder))}",)
            raise
        except LabError as error:
            if isinstance(error, UserError) and len(experiment.runs) == 1:
                raise
            let_go(error)
            experiment.failures.append((info.label, error))
    return write_results(experiment) if session.leads else {}


@contextmanager
def _holding(run: RunFolder, session: Session) -> Iterator[None]:
    """The run is this process's, and so are its faults: one of several cannot go on without the others."""
    together = session.fabric is not None and session.fabric.world_size > 1
    with run.held() if session.leads else nullcontext(), nullcontext() if together else kept_in(run):
        yield


def _info(run: RunFolder, prepared: Prepared, index: int, count: int) -> RunInfo:
    recipe = prepared.recipe
    steps = prepared.material.total_steps()
    size = recipe.options.batch_size * len(prepared.material.roles)
    return RunInfo(run.path, recipe.title, recipe.variant, recipe.seed, steps, size, index, count)


def _execute_run(run: RunFolder, prepared: Prepared, info: RunInfo, session: Session) -> None:
    """One run from its newest checkpoint to its results, its state kept in run.json throughout."""
    engine = _engine(prepared, info, session)
    resumed = engine.resume()
    if resumed:
        session.say(f"{info.label}: resuming after step {engine.step}")
    record = run.update if session.leads else _record_nothing
    resumed_at = engine.step if resumed else None
    record(**start_facts(), **_facts(prepared, engine), resumed_at=resumed_at, error=None)
    began = time.perf_counter()
    status, results = "failed", {}
    try:
        results = engine.run()
        if session.leads:
            write_json(run.path / RESULTS, results)
        status = "finished"
    except InterruptedRunError:
        status = "interrupted"
        raise
    except LabError as error:
        record(error=error.message)
        raise
    finally:
        record(status=status, step=engine.step, session_seconds=round(time.perf_counter() - began, 2))
        engine.notify("lab_run_finished", status=status, results=results)


def _engine(prepared: Prepared, info: RunInfo, session: Session) -> Engine:
    fabric = session.launch(prepared.recipe.options.run)
    return Engine(prepared.recipe, prepared.material, session.plugins, fabric, info, session.context.cache)


def _record_nothing(**facts: Any) -> None:
    """What the processes that do not write do instead of `RunFolder.update`."""


def _facts(prepared: Prepared, engine: Engine) -> dict[str, Any]:
    return {
        "machine": vars(engine.fabric.choice),
        "data": prepared.material.provenance(),
        "specs": {role: vars(spec) for role, spec in prepared.material.specs().items()},
        "steps": engine.total,
        "protocol": _protocol(prepared),
    }


def _protocol(prepared: Prepared) -> dict[str, Any]:
    """How the figures came about: what was trained on, what was hidden, what picked the checkpoint."""
    recipe, material = prepared.recipe, prepared.material
    select = recipe.options.select
    return {
        "trained_on": {role.name: "train" for role in material.roles},
        "labels_hidden": sorted(material.hidden()),
        "selection": "last step" if select is None else f"{select.mode} of {select.metric}",
        "evaluators": {use.label: use.component.dump() for use in recipe.evaluators},
    }


def write_results(experiment: Experiment) -> dict[str, Any]:
    """Collect the results of the finished runs; an experiment of several keeps them, their table, and what
    its variants drew side by side."""
    found = {run.path.name: run.results() for run in experiment.runs}
    if len(experiment.runs) > 1:
        table = results_table(experiment)
        write_json(experiment.folder / RESULTS, {"runs": found, "table": vars(table)})
        write_file(experiment.folder / "results.md", markdown(table).encode())
        write_gallery(of_one_seed(experiment.named_runs()), experiment.folder / "figures")
    return found


def results_table(experiment: Experiment) -> Table:
    """A row a variant, a column a scalar; see `results.compare`."""
    results = [(name, run.results()) for name, run in experiment.named_runs()]
    return compare(results, experiment.prepared[0].recipe.options.table)


# Evaluating what is there -------------------------------------------------------------------------


def evaluate_again(experiment: Experiment, session: Session, step: int | None) -> dict[str, dict[str, float]]:
    """Run the evaluators of every run on its newest (or selected, or the given) checkpoint."""
    found = {}
    for index, (run, prepared) in enumerate(zip(experiment.runs, experiment.prepared, strict=True)):
        info = _info(run, prepared, index, len(experiment.runs))
        with run.held():
            engine = _engine(prepared, info, session)
            engine.observed = False  # the history is that of the training
            engine.load_state_dict(engine.checkpoints.state(run.reported_step() if step is None else step))
            found[run.path.name] = engine.evaluate_all(run.path / "figures" / f"evaluated_{engine.step:08d}")
    return found
