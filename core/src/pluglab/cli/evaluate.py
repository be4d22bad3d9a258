"""`lab evaluate`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pluglab.cli.output import echo, print_json, print_table
from pluglab.cli.parameters import AcceptData, AsJson, DataRoot, PluginFiles, RunPath, session_for
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.engine.evaluation import Outcome
    from pluglab.experiments.experiment import Experiment
    from pluglab.recipe.positions import TomlSource

EPILOG = """
Examples:

- `lab evaluate RUN` looks again, with the evaluators of its recipe
- `lab evaluate RUN --with latent_tsne --with sliced_wasserstein`
- `lab evaluate RUN --with '{ name = "accuracy", split = "train" }' --step all`
- `lab evaluate RUN --recipe scores.toml` takes the evaluators of a recipe
- `lab evaluate RUN --set evaluate.0.n=10000` changes an option of the run's own
"""
With = Annotated[
    list[str],
    typer.Option(
        "--with",
        metavar="NAME",
        help="An evaluator, by its name or as a table of its options, instead of those of the run's recipe; "
        "may be given again.",
        show_default=False,
    ),
]
FromRecipe = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Take the evaluators of this recipe.", show_default=False),
]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another option of an evaluator, --set evaluate.0.n=1000, or where data lie now, "
        "--set data.train.path=...; may be given again.",
        show_default=False,
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="The checkpoint of step N, or all that were kept; else the reported one.",
        show_default=False,
    ),
]


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def evaluate(
        run: RunPath,
        with_: With = [],  # noqa: B006
        recipe: FromRecipe = None,
        sets: Sets = [],  # noqa: B006
        step: Step = None,
        data_root: DataRoot = None,
        accept_data: AcceptData = False,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Run evaluators, the recipe's or any others, on checkpoints of a run.

        What they find joins the results of the run: results.json, figures, metrics.jsonl.
        """
        from pluglab.experiments.evaluate import evaluate_afterwards
        from pluglab.experiments.experiment import Changes, reopen
        from pluglab.recipe.layers import read_override

        if with_ and recipe is not None:
            raise UserError("--with and --recipe both name evaluators", help=["give one of them"])
        wanted = _steps(step)
        session = session_for(run, data_root, plugin, plugins)
        sources = [*_listed(with_, recipe), *map(read_override, sets)]  # --set may change what --with names
        experiment = reopen(run, session, Changes(sources=tuple(sources), accept_data=accept_data))
        found = evaluate_afterwards(experiment, session, wanted)
        if as_json:
            print_json(_plain(found))
        else:
            _show(experiment, found)


def _steps(given: str | None) -> int | Literal["all"] | None:
    if given is None or given == "all":
        return given  # type: ignore[return-value]
    if not given.isdecimal():
        raise UserError(f"--step {given}: write the number of a step, or all")
    return int(given)


def _listed(with_: Sequence[str], recipe: Path | None) -> list[TomlSource]:
    """The evaluators as layers over the run's recipe; none where those of the run are meant."""
    from pluglab.recipe.layers import read_layers
    from pluglab.recipe.positions import parse_toml

    if with_:
        text = f"evaluate = [{', '.join(map(_value, with_))}]"
        return [parse_toml(text, f"--with {' --with '.join(with_)}")]
    if recipe is None:
        return []
    layers = [layer for layer in read_layers(recipe) if "evaluate" in layer.data]
    if not layers:
        raise UserError(f"{recipe} has no evaluators", help=["it needs [[evaluate]], outside its variants"])
    return [replace(layer, data={"evaluate": layer.data["evaluate"]}) for layer in layers]


def _value(given: str) -> str:
    """An evaluator as TOML: a table as it is, a name in quotes."""
    try:
        value = tomllib.loads(f"x = {given}")["x"]
    except tomllib.TOMLDecodeError:
        value = given
    return given if isinstance(value, Mapping) else f"{str(value)!r}"


def _plain(found: Mapping[str, Mapping[int, Sequence[Outcome]]]) -> dict[str, Any]:
    """By run and by step what results.json holds; of one step each without that level."""
    from pluglab.engine.evaluation import together

    return {
        name: [{"step": step, **together(outcomes)} for step, outcomes in steps.items()]
        for name, steps in found.items()
    }


def _show(experiment: Experiment, found: Mapping[str, Mapping[int, Sequence[Outcome]]]) -> None:
    rows = [
        [name, step, outcome.use.label, scalar, f"{value:.4f}"]
        for name, steps in found.items()
        for step, outcomes in steps.items()
        for outcome in outcomes
        for scalar, value in outcome.evaluation.scalars.items()
    ]
    if rows:
        print_table(["run", "step", "evaluator", "scalar", "value"], rows)
    folders = {run.path.name: run.path for run in experiment.runs}
    pictures = [
        folders[name] / figure["file"]
        for name, steps in found.items()
        for outcomes in steps.values()
        for outcome in outcomes
        for figure in outcome.figures.values()
    ]
    if pictures:
        print("pictures:")
    for path in pictures:
        print(f"  {path}")
    if not rows and not pictures:
        echo("the recipe has no evaluators; --with NAME names one, `lab list evaluators` lists them")
