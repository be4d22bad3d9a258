"""`lab tensorboard`."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli.output import echo
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.records import Record

EPILOG = """
Examples:

- `lab tensorboard runs/gap` shows every run of one recipe
- `lab tensorboard runs/mine/20261121-093000-a1b2 runs/yours/20261121-093000-c3d4 --port 6007`
"""


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def tensorboard(
        folders: Annotated[
            list[Path],
            typer.Argument(
                metavar="FOLDER...", help="Runs, experiments, or folders of them.", show_default=False
            ),
        ],
        port: Annotated[int, typer.Option(metavar="PORT", help="Where it is served.")] = 6006,
    ) -> None:
        """Start TensorBoard on runs from anywhere, each under a short name: method and seed first."""
        from pluglab.records import read_records

        named = names_of(read_records(folders, echo))
        if not named:
            raise UserError("none of these runs has anything for TensorBoard", help=["`lab list runs`"])
        with TemporaryDirectory(prefix="lab-tensorboard-") as place:
            for name, events in named.items():
                (Path(place) / name).symlink_to(events.resolve(), target_is_directory=True)
            words = ["--logdir", place, "--port", str(port)]
            try:
                code = subprocess.call([sys.executable, "-m", "tensorboard.main", *words])
            except KeyboardInterrupt:
                code = 0
        raise typer.Exit(code)


def names_of(records: Sequence[Record]) -> dict[str, Path]:
    """The folder of events of each run that has one, under the shortest of its names that no other has."""
    from pluglab.storage.run_folder import RunFolder

    shown = [record for record in records if RunFolder(record.path).tensorboard.is_dir()]
    names = [_names(record) for record in shown]
    counts = Counter(name for own in names for name in set(own))
    chosen = [next((name for name in own if counts[name] == 1), own[-1]) for own in names]
    return {name: RunFolder(record.path).tensorboard for name, record in zip(chosen, shown, strict=True)}


def _names(record: Record) -> list[str]:
    """'DANN, seed 0', then with the title, then with the folder too, which no other run has."""
    folder = (record.experiment or record.path).resolve().name
    label = f"{record.variant or record.title}, seed {record.seed}"
    names = label, f"{label}, {record.title}", f"{label}, {record.title}, {folder}"
    return [name.replace("/", "-") for name in names]
