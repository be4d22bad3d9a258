"""`lab new`."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluglab.cli import completion, stand_ins
from pluglab.cli.output import echo
from pluglab.cli.parameters import PluginFiles, plugins_with
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.plugins.registry import Entry
    from pluglab.protocols import Role

GROUP = "new"
FIRST_DATA = {"target": ("digits_m",)}  # of a role of this name; of all others:
OTHER_DATA = ("digits",)
FIRST_LOOKS = ("accuracy", "sample_grid", "reconstructions")
WIDTH = 110
FILL_IN = "..."  # for an option that only its author can say


@dataclass(frozen=True)
class Wanted:
    """What goes into a new recipe: components by name, `data` by role."""

    trainer: Entry
    data: Mapping[str, str]
    evaluators: Sequence[str]
    steps: int


def add(app: typer.Typer, plugins: Plugins) -> None:
    """The group `lab new`, to which plugins may add."""
    group = typer.Typer(no_args_is_help=True, help="Write a recipe, or what else is to begin with.")
    app.add_typer(group, name=GROUP)

    @group.command()
    def recipe(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="NAME.toml is written.", show_default=False)
        ],
        trainer: Annotated[
            str,
            typer.Option(
                "--trainer",
                metavar="NAME",
                help="The method.",
                show_default=False,
                autocompletion=completion.trainers,
            ),
        ] = "",
        data: Annotated[
            list[str],
            typer.Option("--data", metavar="ROLE=DATASET", help="May be given again.", show_default=False),
        ] = [],  # noqa: B006
        evaluate: Annotated[
            list[str],
            typer.Option("--evaluate", metavar="EVALUATOR", help="May be given again.", show_default=False),
        ] = [],  # noqa: B006
        steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="How long to train.")] = 1000,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Write a recipe with a comment on each option, from what is installed.

        On a terminal it asks for what is not given; elsewhere it takes what the defaults are there.
        """
        stand_ins.use()
        loaded = plugins_with(plugins, plugin)
        path = Path(name if name.endswith(".toml") else f"{name}.toml")
        if path.exists():
            raise UserError(f"{path} is there already", help=["choose another name"])
        wanted = _ask(loaded, trainer, data, evaluate, steps)
        text = "\n".join(recipe_lines(wanted, loaded)) + "\n"
        missing = [line.partition(" ")[0] for line in text.splitlines() if line.endswith(f' = "{FILL_IN}"')]
        if not missing:
            _check(text, path, loaded)
        _write(path, text)
        echo(f"wrote {path}" + (f"; fill in {', '.join(missing)}" if missing else ""))
        echo(f"next: lab run {path} --dry-run")


def _ask(
    plugins: Plugins, trainer: str, data: Sequence[str], evaluators: Sequence[str], steps: int
) -> Wanted:
    registry = plugins.registry
    if not trainer and not sys.stdin.isatty():
        known = ", ".join(registry.names("trainer"))
        raise UserError("which trainer?", help=["give --trainer NAME", f"known: {known}"])
    entry = registry.find("trainer", trainer or _choice("trainer", registry.names("trainer"), ""))
    given = dict(map(_pair, data))
    roles: tuple[Role, ...] = entry.load().roles
    for role in given:
        if role not in {one.name for one in roles}:
            known = ", ".join(one.name for one in roles)
            raise UserError(f"trainer '{entry.name}' has no role '{role}'", help=[f"its roles: {known}"])
    sets = {role.name: given.get(role.name) or _dataset(role, plugins) for role in roles}
    looks = list(evaluators) or _looks(entry, plugins)
    for kind, names in (("dataset", sets.values()), ("evaluator", looks)):
        for name in names:
            registry.find(kind, name)
    return Wanted(entry, sets, looks, steps)


def _choice(what: str, names: Sequence[str], default: str) -> str:
    """What a person chooses; where nobody can be asked, the default."""
    if not sys.stdin.isatty():
        return default
    print("\n".join(textwrap.wrap(f"{what}s: {', '.join(names)}", WIDTH)))
    return str(typer.prompt(what, default=default or None)).strip()


def _pair(text: str) -> tuple[str, str]:
    role, sign, name = text.partition("=")
    if not sign or not role or not name:
        raise UserError(f"'{text}' is no ROLE=DATASET", help=["as in --data source=digits"])
    return role.strip(), name.strip()


def _dataset(role: Role, plugins: Plugins) -> str:
    names = plugins.registry.names("dataset")
    if not names:
        raise UserError("no data set is installed", help=["`pip install pluglab-datasets` brings some"])
    liked = (*FIRST_DATA.get(role.name, ()), *OTHER_DATA)
    default = next((name for name in liked if name in names), names[0])
    return _choice(f"data set of role '{role.name}'", names, default)


def _looks(trainer: Entry, plugins: Plugins) -> list[str]:
    fitting = [entry.name for entry in fitting_evaluators(trainer, plugins)]
    default = [name for name in FIRST_LOOKS if name in fitting]
    answer = _choice("evaluator", fitting, ", ".join(default)) if fitting else ""
    return [name.strip() for name in answer.split(",") if name.strip()]


def fitting_evaluators(trainer: Entry, plugins: Plugins) -> list[Entry]:
    """Those that ask nothing of a trainer that this one cannot do."""
    from pluglab.capabilities import can

    target = trainer.load()
    evaluators = [
        (entry, getattr(entry.load(), "needs", ())) for entry in plugins.registry.entries("evaluator")
    ]
    return [entry for entry, needs in evaluators if all(can(target, one) for one in needs)]


# The text ------------------------------------------------------------------------------------------------


def recipe_lines(wanted: Wanted, plugins: Plugins) -> Iterator[str]:
    """The recipe: what was asked for, and in comments whatever else it could say."""
    trainer = wanted.trainer
    yield f"# {trainer.name}: {trainer.summary}" + (f" ({trainer.paper})" if trainer.paper else "")
    yield "# `lab run` with --dry-run checks this file. Take the # away before what you want to change."
    yield from ("", f"steps = {wanted.steps}", "batch_size = 64")
    yield from ("# seeds = [0, 1, 2]        # a run for each", "# checkpoint_every = 500")
    yield from _component("[trainer]", trainer, plugins)
    for role, name in wanted.data.items():
        yield from _component(f"[data.{role}]", plugins.registry.find("dataset", name), plugins)
    for name in wanted.evaluators:
        yield from _component("[[evaluate]]", plugins.registry.find("evaluator", name), plugins)
    others = [e for e in fitting_evaluators(trainer, plugins) if e.name not in wanted.evaluators]
    if others:
        yield from ("", "# Evaluators that would do as well:")
    for entry in others:
        yield from ("# [[evaluate]]", f'# name = "{entry.name}"    # {entry.summary}')


def _component(head: str, entry: Entry, plugins: Plugins) -> Iterator[str]:
    from pluglab.cli.show import default_of
    from pluglab.components import config_class, nested_of

    yield from ("", head, f'name = "{_written(entry, plugins)}"    # {entry.summary}')
    for name, info in config_class(entry).model_fields.items():
        if nested_of(info) is not None:
            continue
        meaning = " ".join((info.description or "").split())
        yield from (f"# {line}" for line in textwrap.wrap(meaning, WIDTH))
        required, value = default_of(info)
        if required:
            yield f'{name} = "{FILL_IN}"'
        elif value is None:
            yield f"# {name} = ..."
        else:
            yield f"# {name} = {_toml(value)}"


def _written(entry: Entry, plugins: Plugins) -> str:
    """The name of a component, with its plugin's where two have one of that name."""
    return entry.name if entry.name in plugins.registry.names(entry.kind) else entry.qualified


def _toml(value: Any) -> str:
    """A value as a recipe writes it, in one line."""
    from pluglab.recipe.positions import quoted

    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _check(text: str, path: Path, plugins: Plugins) -> None:
    """Raises `RecipeError` for components that do not go together."""
    from pluglab.recipe.positions import parse_toml
    from pluglab.recipe.recipe import recipe_file

    recipe_file([parse_toml(text, str(path))], path).resolve_all(plugins.registry)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
