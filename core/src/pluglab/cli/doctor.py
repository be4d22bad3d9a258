"""`lab doctor`."""

from __future__ import annotations

import typer

from pluglab.cli.output import print_json, print_table, print_text
from pluglab.cli.parameters import AsJson, DataRoot
from pluglab.plugins.loading import Plugins

WIDTH = 100  # through a pipe; details may be whole error messages


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def doctor(data_root: DataRoot = None, as_json: AsJson = False) -> None:
        """Check the installation: versions, devices, memory, folders, plugins."""
        from pluglab.cli.checks import checks

        found = checks(data_root, plugins.reports)
        if as_json:
            print_json([vars(check) for check in found])
        else:
            rows = [[c.name, c.status, c.detail] for c in found]
            print_table(["check", "status", "detail"], rows, width=WIDTH)
            for check in found:
                if check.status != "ok" and check.help:
                    print_text(f"{check.name}: {check.help}")
        if any(check.status == "fail" for check in found):
            raise SystemExit(1)
