"""`lab check`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluglab.cli.output import print_json
from pluglab.cli.parameters import AsJson, PluginFiles
from pluglab.errors import printable

if TYPE_CHECKING:
    from pluglab_testing.checking import Result

EPILOG = """
Examples:

- `lab check my_method.py` checks every component of a file
- `lab check coral` checks the component, or all of the plugin, of that name
- `lab check .` checks the distribution in this folder, once it is installed
- `lab check dann --set encoder=lenet --images 1x28x28`

It ends with 1 where something is wrong.
"""


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def check(
        what: Annotated[
            list[str],
            typer.Argument(
                metavar="NAME|FILE|PACKAGE...",
                help="A component, a plugin or a distribution by its name, a file of a plugin, or the folder "
                "of a distribution that is installed.",
                show_default=False,
            ),
        ],
        kind: Annotated[
            str,
            typer.Option("--kind", metavar="KIND", help="Only components of this kind.", show_default=False),
        ] = "",
        sets: Annotated[
            list[str],
            typer.Option(
                "--set",
                metavar="OPTION=VALUE",
                help="An option of the components, for those that have it; may be given again.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        images: Annotated[
            str,
            typer.Option(
                "--images",
                metavar="CxHxW",
                help="The shape of the images that they are tried with, as 1x28x28; else the first of some "
                "that they take.",
                show_default=False,
            ),
        ] = "",
        plugin: PluginFiles = [],  # noqa: B006
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", metavar="", help="Also what is well.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Check components on eight small images, in seconds, and say what is wrong on which line."""
        from pluglab_testing.subjects import check_all, find

        start = time.perf_counter()
        subjects = [one for word in what for one in find(word, kind, plugin)]
        results: list[Result] = []
        for found in check_all(subjects, sets, images):
            results.append(found)
            if not as_json and (verbose or found.status == "failed"):
                print(printable(found.line()), flush=True)
        if as_json:
            print_json(_record(results))
        else:
            print(_summary(results, verbose, time.perf_counter() - start))
        raise typer.Exit(int(any(one.status == "failed" for one in results)))


def _record(results: Sequence[Result]) -> dict[str, Any]:
    faults = [one for one in results if one.status == "failed"]
    return {"faults": len(faults), "checks": [one.as_dict() for one in results]}


def _summary(results: Sequence[Result], verbose: bool, seconds: float) -> str:
    """'3 faults in 2 of 5 components; 51 checks were good; 2 could not be made (--verbose says why)'."""
    names = {(one.kind, one.name, one.plugin) for one in results}
    faulty = {(one.kind, one.name, one.plugin) for one in results if one.status == "failed"}
    count = {status: sum(one.status == status for one in results) for status in ("failed", "ok", "not done")}
    what = f"{_of(len(names), 'component')} checked in {seconds:.1f} s"
    wrong = f"{_of(count['failed'], 'fault')} in {len(faulty)} of them" if faulty else "no fault"
    left = f"; {count['not done']} not made" if count["not done"] else ""
    more = " (--verbose says why)" if left and not verbose else ""
    return f"{what}: {wrong}; {_of(count['ok'], 'check')} passed{left}{more}"


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
