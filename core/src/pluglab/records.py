"""What finished and unfinished runs tell, read from their folders alone.

Nothing is built and no plugin is asked, so that a run can be listed, compared and shown wherever its folder
is. Neither torch nor numpy is imported.

    from pluglab.records import read_records

    for record in read_records([Path("runs")], print):
        print(record.label, record.status, record.scalars)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pluglab.errors import UserError
from pluglab.protocols import Table, run_label
from pluglab.recipe.layers import leaves_of
from pluglab.recipe.positions import read_toml
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, is_experiment, is_run

Say = Callable[[str], None]


@dataclass(frozen=True)
class FigureFile:
    """A picture of a run. `data` is the JSON file of what was drawn, `evaluator` the label of who drew it."""

    path: Path
    caption: str
    data: Path | None
    evaluator: str
    step: int


@dataclass(frozen=True, eq=False)
class Record:
    """One run as its folder tells it.

    `recipe` is the resolved recipe: every option, defaults included. `state` is run.json; `results` is
    results.json, empty before the run has come to its end. `experiment` is the folder of the runs that were
    started together, or None for a run by itself.
    """

    path: Path
    title: str
    variant: str
    seed: int
    status: str
    recipe: Mapping[str, Any] = field(repr=False)
    state: Mapping[str, Any] = field(repr=False)
    results: Mapping[str, Any] = field(repr=False)
    experiment: Path | None = None

    @property
    def label(self) -> str:
        """What distinguishes it within its experiment: 'DANN, seed 0'."""
        return run_label(self.variant, self.seed)

    @cached_property
    def options(self) -> dict[str, Any]:
        """Every option of the resolved recipe by its dotted key, such as 'trainer.optimizer.lr'."""
        return {key: value for key, value, _ in leaves_of(dict(self.recipe), lambda path: "")}

    @property
    def axes(self) -> dict[str, str]:
        """What the recipe calls this variant in each respect: {'scenario': 'USPS to SVHN', 'method': 'DANN'}.

        Empty where the recipe has no matrix and names none.
        """
        return dict(self.recipe.get("axes", {}))

    @property
    def scalars(self) -> dict[str, float]:
        """The reported scores."""
        return dict(self.results.get("scalars", {}))

    @property
    def headline(self) -> list[str]:
        """The scalars that belong in a table: those of the recipe's own `table`, or of the evaluators."""
        return list(self.recipe.get("table") or self.results.get("headline", ()))

    @property
    def oracle(self) -> bool:
        """Whether its checkpoint was picked by labels that are hidden from the trainer."""
        return bool(self.results.get("selected_by", {}).get("oracle"))

    @property
    def trained_on(self) -> list[str]:
        """The roles that its trainer learned from, in the trainer's order; all before it has started."""
        roles = self.state.get("protocol", {}).get("trained_on")
        return list(self.recipe.get("data", {}) if roles is None else roles)

    @property
    def unlabeled(self) -> list[str]:
        """The roles that its trainer learned from without their labels."""
        hidden = self.state.get("protocol", {}).get("labels_hidden", ())
        return [role for role in self.trained_on if role in hidden]

    # When and how much ----------------------------------------------------------------------------

    @property
    def started(self) -> datetime | None:
        """When its training, or the last part of it, began; None where it has not, or nobody can say."""
        try:
            return datetime.strptime(self.state.get("started") or "", "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            return None

    @property
    def seconds(self) -> float | None:
        """Seconds of training and evaluation; of a run that is not finished, those of its last session."""
        parts = self.results.get("seconds")
        found: float | None = sum(parts.values()) if parts else self.state.get("session_seconds")
        return found

    @property
    def steps(self) -> int | None:
        """How long it is to train; None where it has not started."""
        steps: int | None = self.state.get("steps")
        return steps

    def step(self) -> int:
        """The last step that its history tells of."""
        return max((event.get("step", 0) for event in self.history()), default=0)

    def size(self) -> int:
        """Bytes on disk, everything in its folder; a file that goes away meanwhile counts as nothing."""
        return sum(_size(path) for path in self.path.rglob("*"))

    # What it left behind --------------------------------------------------------------------------

    @property
    def checkpoints(self) -> dict[int, Path]:
        """The files of its checkpoints, by step."""
        files = sorted(RunFolder(self.path).checkpoints.glob("step_*.pt"))
        return {int(path.name.removeprefix("step_").partition(".")[0]): path for path in files}

    def history(self) -> list[dict[str, Any]]:
        """The events of metrics.jsonl, oldest first, without damaged lines, of which there is a warning."""
        return RunFolder(self.path).history.events()

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """What each evaluator found, by its label: at the reported step, or before there is one, last."""
        if self.results:
            return dict(self.results.get("evaluations", {}))
        return {event["name"]: event for event in self.history() if event["type"] == "evaluation"}

    def figures(self) -> dict[str, FigureFile]:
        """The pictures of these evaluations, by the name of their file without its suffix."""
        found = (_figures(self.path, label, one) for label, one in self.evaluations().items())
        return {figure.path.stem: figure for figures in found for figure in figures}

    def tables(self) -> dict[str, Table]:
        """The tables of these evaluations, by '<label of the evaluator>/<name>'."""
        return {
            f"{label}/{name}": Table(table["columns"], table["rows"])
            for label, one in self.evaluations().items()
            for name, table in one.get("tables", {}).items()
        }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _figures(run: Path, label: str, evaluation: Mapping[str, Any]) -> Iterator[FigureFile]:
    for one in evaluation.get("figures", {}).values():
        path, data = run / one["file"], one.get("data")
        if path.is_file():
            drawn = run / data if data else None
            yield FigureFile(path, one.get("caption", ""), drawn, label, evaluation["step"])


def read_records(folders: Sequence[Path], say: Say) -> list[Record]:
    """Every run in the folders and at any depth below them; those of an experiment in its recipe's order.

    A folder that is damaged, or not there, is told by `say` and left out.
    """
    found: dict[Path, Record] = {}
    for folder in folders:
        if not folder.is_dir():
            say(f"left out: there is no folder {folder}")
        for run, experiment in _runs_in(folder, say):
            try:
                found.setdefault(run.path.resolve(), read_record(run.path, experiment))
            except UserError as error:
                say(f"left out: {error.message}")
    return list(found.values())


def read_record(folder: Path, experiment: Path | None = None) -> Record:
    """One run. Raises `UserError` for a folder that is none, is damaged, or was made by another version."""
    run = RunFolder(folder)
    state = run.read()
    try:
        names = state["recipe"], state["variant"], int(state["seed"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder} is damaged: its run.json does not name the run") from None
    recipe = read_toml(run.recipe).data
    return Record(folder, *names, state["status"], recipe, state, run.results(), experiment)


def _runs_in(folder: Path, say: Say) -> Iterator[tuple[RunFolder, Path | None]]:
    """Each run in or below a folder, and the experiment that it belongs to."""
    if is_run(folder):
        yield RunFolder(folder), _experiment_around(folder)
        return
    named = _named_runs(folder, say) if is_experiment(folder) else []
    yield from ((run, folder) for run in named)
    known = {run.path.name for run in named}
    for below in sorted(_folders(folder)):
        if below.name not in known:
            yield from _runs_in(below, say)


def _named_runs(folder: Path, say: Say) -> list[RunFolder]:
    """The runs of an experiment, in the order of its recipe."""
    try:
        return ExperimentFolder(folder).runs()
    except (UserError, KeyError, TypeError) as error:
        say(f"damaged: {error.message if isinstance(error, UserError) else folder / 'experiment.json'}")
        return []


def _folders(folder: Path) -> Iterable[Path]:
    """The folders in one; what cannot be looked into holds none."""
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []


def _experiment_around(run: Path) -> Path | None:
    around = run.resolve().parent
    return run.parent if is_experiment(around) else None
