"""The commands, their options and their help. What they do is in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import (
    AsJson,
    DataRoot,
    DryRun,
    Jobs,
    PluginFiles,
    RecipePath,
    Resume,
    RunDir,
    RunPath,
    Sets,
    Variants,
    plugins_with,
)
from pluglab.cli.using import add_using
from pluglab.plugins.loading import Plugins

EPILOG = """
Begin with `lab list recipes`, `lab run RECIPE --dry-run` and `lab run RECIPE`.

LAB_PLUGINS=a,b limits which plugins load. `--debug` with any command shows the traceback of an error.
"""
RUN_EPILOG = """
Examples:

- `lab run recipes/dann_digits.toml --dry-run` checks recipe, data and networks, and runs nothing
- `lab run recipes/dann_digits.toml --set steps=100 --set trainer.optimizer.lr=3e-4`
- `lab run recipes/dann_digits.toml --variant DANN --set "seeds=[0,1,2]"`
- `lab run recipes/dann_digits.toml --jobs 2` trains two of its runs at a time
- `lab run mine.toml --plugin my_method.py`

`lab show trainer NAME` lists what --set trainer.OPTION can change; `lab show recipe RECIPE` what a run gets.
"""


def build_app(plugins: Plugins) -> typer.Typer:
    """The application with the core's commands and those of the plugins."""
    app = typer.Typer(
        help="Train and compare image generators and domain-adaptation methods, one recipe at a time.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    _add_running(app, plugins)
    _add_going_on(app, plugins)
    add_using(app, plugins)
    _add_comparing(app)
    _add_looking(app, plugins)
    _add_checking(app, plugins)
    plugins.add_commands(app)
    return app


def _add_running(app: typer.Typer, plugins: Plugins) -> None:
    """`run`."""

    @app.command(epilog=RUN_EPILOG)
    def run(
        recipe: RecipePath,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        run_dir: RunDir = Path("runs"),
        data_root: DataRoot = None,
        resume: Resume = False,
        dry_run: DryRun = False,
        jobs: Jobs = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Train, evaluate and log what a recipe says.

        Every variant and seed becomes a run folder with checkpoints, figures, metrics.jsonl, TensorBoard
        events and the resolved recipe. Ctrl-C saves and stops; `lab resume` goes on.
        """
        from pluglab.cli import running

        session = running.session(plugins_with(plugins, plugin), data_root, plugin)
        running.run(recipe, sets, variant, run_dir, session, resume=resume, dry_run=dry_run, jobs=jobs)


def _add_going_on(app: typer.Typer, plugins: Plugins) -> None:
    """`resume`, `evaluate`."""

    @app.command()
    def resume(
        run: RunPath,
        data_root: DataRoot = None,
        jobs: Jobs = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Go on with an interrupted, killed or failed run or experiment, bit for bit where it stopped."""
        from pluglab.cli import running

        running.resume(run, data_root, plugin, plugins_with(plugins, plugin), jobs=jobs)

    @app.command()
    def evaluate(
        run: RunPath,
        step: Annotated[
            int | None, typer.Option(metavar="N", help="The checkpoint of step N; else the reported one.")
        ] = None,
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Run a run's evaluators again on one of its checkpoints."""
        from pluglab.cli import running

        running.evaluate(run, step, data_root, plugin, plugins_with(plugins, plugin), as_json=as_json)


def _add_comparing(app: typer.Typer) -> None:
    """`compare`."""

    @app.command()
    def compare(
        folders: Annotated[
            list[Path],
            typer.Argument(
                metavar="FOLDER...", help="Runs, experiments, or folders of them.", show_default=False
            ),
        ],
        column: Annotated[
            list[str],
            typer.Option(
                "--column",
                metavar="SCALAR",
                help="Show this scalar; may be given again. By default those of the recipes' own tables.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        markdown: Annotated[bool, typer.Option("--markdown", metavar="", help="Print Markdown.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """One table of all runs in several folders: mean and standard deviation over the seeds.

        For experiments that were shared out between processes or machines by `--variant` and
        `--set seeds=[...]`. Runs that differ in more than the seed are never averaged.
        """
        from pluglab.cli import compare as comparing

        comparing.compare(folders, column, as_markdown=markdown, as_json=as_json)


def _add_looking(app: typer.Typer, plugins: Plugins) -> None:
    """`list`, `show`."""

    @app.command("list")
    def list_(
        what: Annotated[
            str,
            typer.Argument(
                metavar="WHAT",
                help="plugins, recipes, runs, or a kind of component: trainers, datasets, evaluators, "
                "metrics, encoders, ...",
                show_default=False,
            ),
        ],
        run_dir: RunDir = Path("runs"),
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """List plugins, components, recipes or runs."""
        from pluglab.cli import looking

        looking.list_(what, plugins_with(plugins, plugin), run_dir, as_json=as_json)

    @app.command()
    def show(
        kind: Annotated[
            str, typer.Argument(metavar="KIND", help="trainer, dataset, evaluator, ...; or recipe.")
        ],
        name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; for a recipe, the file.")],
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Show every option of a component, or a resolved recipe with the origin of each value."""
        from pluglab.cli import looking

        looking.show(kind, name, sets, variant, plugins_with(plugins, plugin), as_json=as_json)


def _add_checking(app: typer.Typer, plugins: Plugins) -> None:
    """`describe`, `schema`, `doctor`."""

    @app.command()
    def describe(
        recipe: RecipePath,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Show each network of a recipe: layers, output shapes, parameters."""
        from pluglab.cli import looking, running

        session = running.session(plugins_with(plugins, plugin), data_root, plugin)
        looking.describe(recipe, sets, variant, session, as_json=as_json)

    @app.command()
    def schema(
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FILE", help="Write to this file, not to stdout.")
        ] = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Print the JSON schema of recipes, for editors: recipes begin with `#:schema ./.schema.json`."""
        from pluglab.cli import looking

        looking.schema(out, plugins_with(plugins, plugin))

    @app.command()
    def doctor(data_root: DataRoot = None, as_json: AsJson = False) -> None:
        """Check the installation: versions, devices, memory, folders, plugins."""
        from pluglab.cli import looking

        looking.doctor(data_root, plugins, as_json=as_json)
