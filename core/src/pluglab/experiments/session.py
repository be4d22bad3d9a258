"""What one invocation has at hand: plugins, places, the machine, and whom to tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pluglab.engine.hardware import LabFabric, resolve_hardware
from pluglab.errors import UserError
from pluglab.experiments.named_plugins import plugin_files, recorded_files, remember
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import Plugins, load_plugins
from pluglab.protocols import DataContext
from pluglab.recipe.keys import Machine
from pluglab.storage.run_folder import RunFolder, run_folders


@dataclass
class Session:
    """One call of a command, or one of `pluglab.run` and `pluglab.load`."""

    plugins: Plugins
    context: DataContext
    echo: Callable[[str], None]
    fabric: LabFabric | None = None
    logged: set[str] = field(default_factory=set)

    def launch(self, machine: Machine) -> LabFabric:
        """Settle the machine, and join the other processes where there are several."""
        if self.fabric is None:
            hardware = resolve_hardware(machine)
            self.fabric = LabFabric(hardware)
            self.fabric.launch()
            self.log(f"machine: {hardware.summary()}")
        return self.fabric

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes and speaks: one of several does."""
        return self.fabric is None or self.fabric.is_global_zero

    def log(self, text: str) -> None:
        if self.is_main_process:
            self.logged.add(text)
            self.echo(text)

    def origin(self, folder: Path) -> dict[str, Any]:
        """What must be found again when the run in `folder` is read: data, plugin files, places."""
        remember(self.plugins.files, self.context.cache)
        here, root = Path.cwd(), self.context.root
        return {
            "data_root": str(root.resolve()) if root else None,
            "working_directory": str(here),
            "folder": os.path.relpath(folder, here),
            "plugins": self.plugins.versions(),
            "plugin_files": plugin_files(self.plugins.files),
        }


def cache_folder() -> Path:
    """Where prepared data is kept: LAB_CACHE, or the user's cache folder."""
    given = os.environ.get("LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given) if given else Path(base).expanduser() / "pluglab"


def new_session(plugins: Plugins, data_root: Path | None, echo: Callable[[str], None]) -> Session:
    """Raises `UserError` for a data root that is not there."""
    if data_root is not None and not data_root.is_dir():
        help = ["give the folder that holds MNIST/, USPS/, SVHN/, ..., or leave it out for embedded data"]
        raise UserError(f"the data root {data_root} is not a folder", help=help)
    return Session(plugins, DataContext(data_root, cache_folder(), progress_bar), echo)


def session_of(
    folder: Path,
    data_root: Path | None,
    files: Sequence[Path],
    plugins: Plugins,
    echo: Callable[[str], None],
) -> Session:
    """A session for the run in `folder`, with the data root and, where they are trusted, the plugin files
    that it was started with, unless others are given. Whether plugins have changed since is told."""
    run = run_folders(folder)[0]
    facts = run.read()
    recorded: Mapping[str, str] = facts.get("plugin_files", {})
    again = [*files] or recorded_files(recorded, folder, cache_folder())
    remember(files, cache_folder())
    if again and not files:
        plugins = load_plugins(again)
    before = facts.get("data_root")
    root = data_root or (Path(before) if before and Path(before).is_dir() else None)
    session = new_session(plugins, root, echo)
    session.context = replace(session.context, bases=_bases(run, facts), moved=True)
    for note in changed_plugins(facts, plugins):
        session.log(note)
    return session


def _bases(run: RunFolder, facts: Mapping[str, Any]) -> tuple[Path, ...]:
    """Where relative paths of a run's recipe may start: where it was started or changed, and here.

    If the run's folder has moved, perhaps all has: then the same place relative to the folder, too.
    """
    there, within = facts.get("working_directory"), Path(facts.get("folder", ""))
    now = run.path.resolve()
    moved = (
        [now.parents[len(within.parts) - 1]]
        if within.parts and now.parts[-len(within.parts) :] == within.parts
        else []
    )
    changed = [Path(change["directory"]) for change in facts.get("changes", [])]
    places = [*([Path(there)] if there else []), *moved, *changed, Path.cwd()]
    return tuple(dict.fromkeys(place for place in places if place.is_dir()))


def changed_plugins(facts: Mapping[str, Any], plugins: Plugins) -> list[str]:
    """A line for each plugin, or plugin file, that is not what it was when the run was started."""
    before, now = facts.get("plugins", {}), plugins.versions()
    notes = [
        f"plugin '{name}' was {version} when the run started, and is {now.get(name, 'not loaded')}"
        for name, version in before.items()
        if now.get(name) != version
    ]
    files, hashes = facts.get("plugin_files", {}), plugin_files(plugins.files)
    stems = {Path(path).name: digest for path, digest in files.items()}
    for path, digest in hashes.items():
        known = files.get(path) or stems.get(Path(path).name)
        if known and known != digest:
            notes.append(f"plugin file {path} has changed since the run started")
    return notes
