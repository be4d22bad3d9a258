"""The folder of a run: what is in it and where, who holds it, and how it came to its state.

Nothing else knows the names of files in a run's folder.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

import pluglab
from pluglab.bounded import read_bounded
from pluglab.errors import RunError, UserError
from pluglab.plain import plain
from pluglab.storage import locking
from pluglab.storage.atomic import sweep, write_file
from pluglab.storage.commit import commit_of
from pluglab.storage.history import History
from pluglab.storage.shapes import RESULTS, STATE, TAGS, misfit

FORMAT = 2  # of run folders; 1 was that of pluglab 0.1
LARGEST_JSON = 64 << 20
"""Bytes of a JSON file that we wrote: results with the tables of many looks have some hundred thousand."""
_RECIPE, _RUN, _RESULTS, _EXPERIMENT = "recipe.toml", "run.json", "results.json", "experiment.json"
_TABLE, _TAGS = "results.md", "tags.json"


@dataclass(frozen=True)
class Tags:
    """What a person has noted of a run: tags to find it by, and a note."""

    tags: tuple[str, ...] = ()
    note: str = ""

    def changed(self, add: Sequence[str] = (), remove: Sequence[str] = (), note: str | None = None) -> Tags:
        """With other tags and, unless it is None, another note."""
        kept = dict.fromkeys([*(tag for tag in self.tags if tag not in remove), *add])
        return Tags(tuple(kept), self.note if note is None else note)


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    # What is where --------------------------------------------------------------------------------

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / _RECIPE

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def history(self) -> History:
        return History(self.path / "metrics.jsonl")

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def architecture(self) -> Path:
        """The networks as plain data, as `pluglab.architecture.networks` reads them."""
        return self.path / "architecture.json"

    @property
    def traceback(self) -> Path:
        """Where an unexpected exception came from."""
        return self.path / "traceback.txt"

    @property
    def results_file(self) -> Path:
        return self.path / _RESULTS

    @property
    def state_file(self) -> Path:
        """How the run came to its state, and what is recorded of it."""
        return self.path / _RUN

    @property
    def tags_file(self) -> Path:
        return self.path / _TAGS

    def figures(self, step: int | None = None, *, selected: bool = False, afterwards: bool = False) -> Path:
        """Where pictures are: of the last evaluation, of a `selected` step, of a step during the training, or
        of a step that was looked at afterwards."""
        folder = self.path / "figures"
        if selected:
            return folder / "selected"
        if step is None:
            return folder
        return folder / f"{'evaluated' if afterwards else 'step'}_{step:08d}"

    def reported_figures(self) -> dict[str, Path]:
        """The pictures that belong to the results, by file name: the selected step's, or the last's."""
        selected = self.figures(selected=True)
        folder = selected if selected.is_dir() else self.figures()
        pictures = (path for path in sorted(folder.glob("*.*")) if path.suffix in (".png", ".gif"))
        return {path.name: path for path in pictures}

    # State ----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, recipe: Mapping[str, Any], words: str, state: Mapping[str, Any]) -> RunFolder:
        """Lay out the folder of a run that has not started, with its resolved recipe."""
        path.mkdir(exist_ok=True)
        folder = cls(path)
        write_recipe(folder.recipe, recipe, words)
        folder.write({"format": FORMAT, "status": "pending", **state})
        return folder

    def read(self) -> dict[str, Any]:
        """`run.json`; a run whose process is gone without a word has the status 'died'.

        Raises `UserError` for a folder that is none, is damaged, or was made by another version.
        """
        state = read_json(self.path / _RUN)
        if "status" not in state or "identity" not in state:
            raise UserError(f"{self.path / _RUN} is damaged: it has no status or identity")
        if state.get("format") != FORMAT:
            raise self._other_version(state)
        _check_shape(self.path / _RUN, state, STATE)
        if state["status"] == "running" and not self.is_held():
            state["status"] = "died"
        return state

    def _other_version(self, state: Mapping[str, Any]) -> UserError:
        versions = state.get("versions")
        made_by = versions.get("pluglab") if isinstance(versions, Mapping) else None
        message = f"{self.path} was made by pluglab {made_by or 'of an unknown version'}"
        help = [f"read it with that version, or train it again: lab run {self.recipe}"]
        return UserError(
            f"{message}, whose run folders pluglab {pluglab.__version__} does not read", help=help
        )

    def write(self, state: Mapping[str, Any]) -> None:
        write_json(self.path / _RUN, state)

    def check_there(self) -> None:
        """Raises `RunError` where the folder has been removed: nothing may be written into its place."""
        if not is_run(self.path):
            help = ["somebody has removed or moved it while the run was under way"]
            raise RunError(f"the run folder {self.path} is gone", help=help)

    def update(self, **changes: Any) -> None:
        self.check_there()
        self.write({**read_json(self.path / _RUN), **changes})

    def write_architecture(self, architecture: Mapping[str, Any], text: str) -> None:
        """The networks, also as text for people."""
        write_file(self.architecture.with_suffix(".txt"), text.encode())
        write_json(self.architecture, architecture)

    def tags(self) -> Tags:
        """What a person has noted of the run, which changes nothing of it."""
        found = read_json(self.path / _TAGS, TAGS) if (self.path / _TAGS).is_file() else {}
        return Tags(tuple(found.get("tags", ())), found.get("note", ""))

    def write_tags(self, tags: Tags) -> None:
        write_json(self.path / _TAGS, {"tags": list(tags.tags), "note": tags.note})

    def identities(self) -> set[str]:
        """Those under which its checkpoints may have been saved: its own, and those before it was changed."""
        state = self.read()
        before = [state.get("parent", {}), *state.get("changes", [])]
        return {state["identity"], *(one["identity"] for one in before if "identity" in one)}

    def results(self) -> dict[str, Any]:
        """What is reported of the run; nothing before it has come to its end."""
        found = self._all_results()
        return found if "step" in found else {}

    def results_of_steps(self) -> dict[str, Any]:
        """What was found at steps that are not the reported one, by the step."""
        steps: dict[str, Any] = self._all_results().get("steps", {})
        return steps

    def _all_results(self) -> dict[str, Any]:
        return read_json(self.results_file, RESULTS) if self.results_file.is_file() else {}

    def write_results(self, results: Mapping[str, Any], steps: Mapping[str, Any]) -> None:
        """`steps`: what was found at steps that are not the reported one."""
        write_json(self.results_file, {**results, **({"steps": dict(steps)} if steps else {})})

    def reported_step(self) -> int | None:
        """The step whose scores are the results; None before there are any."""
        step: int | None = self.results().get("step")
        return step

    def set_results_aside(self) -> None:
        """The run goes on from its end: what was reported stays as what was found at that step."""
        results, steps = self.results(), self.results_of_steps()
        selected = self.figures(selected=True)
        for found in filter(None, (results.get("last"), results)):
            source = selected if found is results and selected.is_dir() else self.figures()
            _move_files(source, self.figures(found["step"], afterwards=True))
            before = steps.get(str(found["step"]), {})
            moved = {label: self._moved(one) for label, one in found["evaluations"].items()}
            parts = {key: {**before.get(key, {}), **found[key]} for key in ("scalars", "protocols")}
            evaluations = {**before.get("evaluations", {}), **moved}
            lists = {key: found[key] for key in ("headline", "tainted")}
            steps[str(found["step"])] = {**parts, **lists, "evaluations": evaluations}
        shutil.rmtree(selected, ignore_errors=True)
        if results:
            self.write_results({}, steps)
            self.history.change_end(lambda event: {**self._moved(event), "afterwards": True})

    def _moved(self, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        """What an evaluator found, when the files of its figures lie with those of a step looked at."""
        place = self.figures(evaluation["step"], afterwards=True).relative_to(self.path).as_posix()
        figures = {
            name: {
                key: value if key == "caption" else f"{place}/{Path(value).name}"
                for key, value in one.items()
            }
            for name, one in evaluation["figures"].items()
        }
        return {**evaluation, "figures": figures}

    def inherit(self, parent: RunFolder, step: int, best: int | None) -> None:
        """Take over from a parent what is of the steps until `step`: its history, with the pictures.

        And the checkpoint of step `best`, the best so far.
        """
        self.history.inherit(parent.history, step)
        for folder in parent.figures().glob("step_*"):
            if int(folder.name.removeprefix("step_")) <= step:
                shutil.copytree(folder, self.figures() / folder.name)
        self.checkpoints.mkdir(exist_ok=True)
        for file in [] if best is None else parent.checkpoints.glob(f"step_{best:08d}.*.pt"):
            shutil.copy2(file, self.checkpoints)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; the kernel lets go of it however the process ends."""
        with (self.path / ".lock").open("w") as lock:
            if not locking.lock(lock):
                raise UserError(f"another process is running {self.path}")
            self._sweep()
            yield

    def _sweep(self) -> None:
        """What killed processes have left half written; of files that others write as well, as `lab tag`
        does, nothing."""
        for name in ("evaluating", _RUN, _RESULTS, _RECIPE, "metrics.jsonl", "architecture.*"):
            sweep(self.path, name)
        for folder in (self.checkpoints, self.figures(), self.tensorboard):
            for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
                sweep(place)

    def is_held(self) -> bool:
        try:
            with (self.path / ".lock").open("r") as lock:
                return not locking.lock(lock)
        except FileNotFoundError:
            return False
        except OSError:
            return True


@dataclass(frozen=True)
class ExperimentFolder:
    """A folder with several runs, each in a folder of its own."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / _RECIPE

    @property
    def results_file(self) -> Path:
        return self.path / _RESULTS

    @property
    def table(self) -> Path:
        """The table of the results as Markdown."""
        return self.path / _TABLE

    @property
    def figures(self) -> Path:
        """Pictures of the runs side by side."""
        return self.path / "figures"

    @classmethod
    def create(
        cls, path: Path, recipe: Mapping[str, Any], words: str, facts: Mapping[str, Any]
    ) -> ExperimentFolder:
        """`facts`: `runs` are the names of the runs' folders in order."""
        folder = cls(path)
        write_recipe(folder.recipe, recipe, words)
        folder.write(facts)
        return folder

    def write(self, facts: Mapping[str, Any]) -> None:
        write_json(self.file, {"format": FORMAT, **facts})

    @property
    def file(self) -> Path:
        """Which runs there are."""
        return self.path / _EXPERIMENT

    def include(self, names: Sequence[str]) -> None:
        """Let the runs in folders of these names be the experiment's."""
        facts = read_json(self.path / _EXPERIMENT)
        write_json(self.path / _EXPERIMENT, {**facts, "runs": [*facts["runs"], *names]})

    def forget(self, run: RunFolder) -> None:
        """Let a run be none of the experiment's."""
        facts = read_json(self.path / _EXPERIMENT)
        write_json(
            self.path / _EXPERIMENT,
            {**facts, "runs": [name for name in facts["runs"] if name != run.path.name]},
        )

    def runs(self) -> list[RunFolder]:
        names = read_json(self.path / _EXPERIMENT).get("runs")
        if not isinstance(names, list) or not all(map(_is_name, names)):
            raise UserError(f"{self.path / _EXPERIMENT} is damaged: its runs are no names of folders in it")
        return [RunFolder(self.path / name) for name in names]


def _is_name(name: Any) -> bool:
    """Whether it is the name of something in a folder."""
    return isinstance(name, str) and name not in ("", "..") and name == Path(name).name


def is_run(folder: Path) -> bool:
    return (folder / _RUN).is_file()


def is_experiment(folder: Path) -> bool:
    return (folder / _EXPERIMENT).is_file()


def run_folders(folder: Path) -> list[RunFolder]:
    """The runs of an experiment's folder, or the one run that the folder is. Raises `UserError`."""
    if is_run(folder):
        return [RunFolder(folder)]
    if is_experiment(folder):
        return ExperimentFolder(folder).runs()
    help = ["give a folder that `lab run` made; `lab list runs` lists them"]
    if RunFolder(folder).checkpoints.is_dir():
        help = _repairing(RunFolder(folder).state_file)
    raise UserError(f"{folder} is no run folder", help=help)


def resuming(folder: Path) -> str:
    """The command that goes on with a run or an experiment, its plugin files named."""
    files = next((list(run.read().get("plugin_files", {})) for run in run_folders(folder)), [])
    words = ["lab", "resume", str(folder), *(word for file in files for word in ("--plugin", file))]
    return shlex.join(words)


def find_runs(root: Path) -> list[Path]:
    """Every run and experiment folder directly below `root/<title>/`, the newest last."""
    markers = [*root.glob(f"*/*/{_RUN}"), *root.glob(f"*/*/{_EXPERIMENT}")]
    return sorted({marker.parent for marker in markers}, key=lambda path: path.name)


def runs_below(folders: Sequence[Path]) -> list[RunFolder]:
    """Every run at any depth below the folders, those of one folder by name."""
    found = [path.parent for folder in folders for path in sorted(folder.rglob(_RUN))]
    return [RunFolder(path) for path in dict.fromkeys(found)]


def claim_folder(root: Path, title: str) -> Path:
    """A fresh `root/<title>/<time>-<id>`, ours alone even if another run starts in the same second."""
    parent = root / slug(title)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
            try:
                (parent / name).mkdir()
                return parent / name
            except FileExistsError:
                continue
    except OSError as error:
        raise UserError(f"cannot make a run folder in {parent}: {error.strerror}") from None


def _move_files(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in [path for path in source.glob("*") if path.is_file()]:
        file.replace(target / file.name)


def slug(text: str) -> str:
    """A file name made of `text`."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_.") or "run"


# Files -----------------------------------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    """Write JSON all or not at all."""
    write_file(path, (json.dumps(plain(value), indent=2, default=str) + "\n").encode())


def read_json(path: Path, shape: Mapping[Any, Any] | None = None) -> dict[str, Any]:
    """Read a JSON object that we wrote. Raises `UserError` if it is missing, or is none of its shape."""
    try:
        value = json.loads(read_bounded(path, LARGEST_JSON))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: this is no run folder of pluglab") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}", help=_repairing(path)) from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object", help=_repairing(path))
    _check_shape(path, value, shape or {})
    return value


def _check_shape(path: Path, value: Mapping[str, Any], shape: Mapping[Any, Any]) -> None:
    """Raises `UserError` for a value that something else has changed."""
    if (wrong := misfit(value, shape)) is not None:
        raise UserError(f"{path} is damaged: '{'.'.join(map(str, wrong))}' is not what it should be")


def _repairing(path: Path) -> list[str]:
    return [f"make it whole from the other files: {shlex.join(['lab', 'repair', str(path.parent)])}"]


def write_recipe(path: Path, table: Mapping[str, Any], words: str) -> None:
    """Write a resolved recipe with a line on what it is."""
    write_file(path, f"# {words}\n{tomli_w.dumps(table)}".encode())


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {"python": platform.python_version(), "pluglab": pluglab.__version__}
    for name in ("torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def start_facts() -> dict[str, Any]:
    """What is recorded when a run starts."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {
        "status": "running",
        "pid": os.getpid(),
        "started": now,
        "command": sys.argv,
        "versions": versions(),
        "git": commit_of(Path()),
    }
