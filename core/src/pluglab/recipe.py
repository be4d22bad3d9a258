"""A recipe file, read in layers (`extends`, the file, a variant, `--set`) and resolved to components.

Each layer overlays the one before it: tables merge, everything else is replaced. Every value remembers
where it came from, for error messages and for `lab show recipe`.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pluglab.components import Component, Issue, Options, Reference, Resolver, dump_options
from pluglab.errors import Problem, RecipeError, Span, UserError, did_you_mean
from pluglab.registry import Registry
from pluglab.toml_source import KeyPath, TomlSource, parse_toml, read_toml

Number = int | Literal["auto"]


class Machine(Options):
    """`[run]`: what belongs to the machine, not to the experiment; it does not change a run's identity."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    devices: int = Field(1, ge=1)
    """How many devices; `torchrun` starts several processes."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """Arithmetic of the networks; auto takes bf16 where the hardware computes it natively, else 32."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory layout of images and weights; auto takes channels_last where convolutions prefer it."""
    compile: bool = False
    """Compile the networks with torch.compile: slower to start, faster after some hundred steps."""
    threads: Number = "auto"
    """CPU threads; auto takes torch's choice. Bit-exact repetition needs the same number."""
    deterministic: bool = False
    """Ask torch for deterministic algorithms only (a GPU gets slower; the CPU is deterministic anyway)."""


class Selection(Options):
    """`[select]`: which checkpoint's figures are reported. Without it, the last step's are."""

    metric: str
    """A scalar that an evaluator reports, such as 'validators/entropy'."""
    mode: Literal["max", "min"] = "max"
    """Whether more or less of it is better."""
    allow_hidden_labels: bool = False
    """Allow a metric that read labels which the trainer may not see. Such a figure is marked 'oracle'."""


class RecipeOptions(Options):
    """The top level of a recipe."""

    title: str = ""
    """Name of the experiment and of its folder; the file's name by default."""
    seeds: list[int] = Field([0], min_length=1)
    """One run a seed."""
    steps: int | None = Field(None, ge=1)
    """Optimization steps; or give `epochs`."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the first role's training images, translated to steps."""
    batch_size: int = Field(64, ge=1)
    """Images a step and role, over all devices."""
    log_every: int = Field(50, ge=1)
    """Steps between two logs of the losses."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between two checkpoints; the last step always has one."""
    trainer: Annotated[Component, Reference("trainer")]
    """The method."""
    data: dict[str, Any]
    """One table a role: a dataset's name and options, and `transforms` of its own."""
    transforms: list[Annotated[Component, Reference("transform")]] = []
    """Preprocessing and augmentation of every role that does not list its own."""
    evaluate: list[Any] = []
    """Evaluators, each a name or a table with `name`, its options, and `every` (steps; else at the end)."""
    select: Selection | None = None
    """Which checkpoint's figures are reported."""
    table: list[str] = []
    """Columns of the experiment's table; the evaluators' headline scalars by default."""
    run: Machine = Machine()
    """The machine: device, precision, threads."""

    @model_validator(mode="after")
    def _one_length(self) -> RecipeOptions:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either `steps` or `epochs`")
        return self


@dataclass(frozen=True)
class RoleData:
    """What one role reads."""

    dataset: Component
    transforms: tuple[Component, ...]

    def dump(self) -> dict[str, Any]:
        return {**self.dataset.dump(), "transforms": [item.dump() for item in self.transforms]}


@dataclass(frozen=True)
class EvaluatorUse:
    """An evaluator of a recipe. `label` is its name, numbered where a recipe uses it twice."""

    label: str
    component: Component
    every: int | None

    def dump(self) -> dict[str, Any]:
        return {**self.component.dump(), **({"every": self.every} if self.every else {})}


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a path in a file or in a `--set`."""

    source: TomlSource
    path: KeyPath

    def span(self, rest: KeyPath = (), *, value: bool = False) -> Span | None:
        return self.source.locate((*self.path, *rest), value=value)

    def words(self, rest: KeyPath = ()) -> str:
        """'file:line' of what lies at `rest` below; a `--set` has no lines."""
        span = self.span(rest)
        is_file = span is not None and not self.source.name.startswith("--set")
        return f"{self.source.name}:{span.line}" if is_file and span else self.source.name


@dataclass
class Tree:
    """Merged layers. `soft` holds the options that were written for a component which a later layer
    replaced by another: they count where the new one has them too, and are dropped where not."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    soft: set[KeyPath] = field(default_factory=set)

    def copy(self) -> Tree:
        return Tree(copy.deepcopy(self.data), dict(self.origins), set(self.soft))

    def overlay(self, table: Mapping[str, Any], source: TomlSource, prefix: KeyPath = ()) -> None:
        """Put `table`, which stands at `prefix` in `source`, on top."""
        self._merge(self.data, table, (), Origin(source, prefix))

    def _merge(self, under: dict[str, Any], over: Mapping[str, Any], path: KeyPath, origin: Origin) -> None:
        if "name" in over and under.get("name", over["name"]) != over["name"]:
            self.soft |= {(*path, key) for key in under if key != "name"}
        for key, value in over.items():
            here = (*path, key)
            at = Origin(origin.source, (*origin.path, key))
            self.soft.discard(here)
            under[key] = self._merged(under.get(key), value, here, at)
            self.origins[here] = at

    def _merged(self, old: Any, new: Any, path: KeyPath, origin: Origin) -> Any:
        if not isinstance(new, Mapping):
            self._forget_below(path)
            return copy.deepcopy(new)
        if isinstance(old, list) and new and all(key.isdigit() and int(key) < len(old) for key in new):
            return self._merged_items(old, new, path, origin)
        table = {"name": old} if isinstance(old, str) else dict(old) if isinstance(old, Mapping) else {}
        if isinstance(old, str) and path in self.origins:
            self.origins[(*path, "name")] = self.origins[path]
        self._merge(table, new, path, origin)
        return table

    def _merged_items(self, old: list[Any], new: Mapping[str, Any], path: KeyPath, origin: Origin) -> Any:
        items = list(old)
        for key, value in new.items():
            at = Origin(origin.source, (*origin.path, key))
            items[int(key)] = self._merged(items[int(key)], value, (*path, int(key)), at)
            self.origins[(*path, int(key))] = at
        return items

    def _forget_below(self, path: KeyPath) -> None:
        for known in [p for p in self.origins if len(p) > len(path) and p[: len(path)] == path]:
            del self.origins[known]

    def origin(self, path: KeyPath) -> tuple[Origin, KeyPath] | None:
        """The origin of the nearest key at or above `path`, and what of the path is left below it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]], path[length:]
        return None

    def problem(self, issue: Issue, fallback: str) -> Problem:
        """An issue with its place in the text."""
        found = self.origin(issue.path)
        where = found[0].span(found[1], value=issue.at_value) if found else None
        return Problem(issue.message, where or fallback, issue.note, issue.help)


@dataclass(frozen=True)
class Recipe:
    """One run, resolved: a recipe's variant with one seed."""

    title: str
    variant: str
    seed: int
    options: RecipeOptions
    data: dict[str, RoleData]
    evaluators: tuple[EvaluatorUse, ...]
    tree: Tree = field(repr=False, compare=False)
    path: str = ""

    def problem(self, path: KeyPath, message: str, *, help: Iterable[str] = ()) -> RecipeError:
        """An error about the value at `path`, to be raised."""
        issue = Issue(path, message, help=tuple(help), at_value=True)
        return RecipeError([self.tree.problem(issue, self.path)])

    def to_dict(self) -> dict[str, Any]:
        """Every option, defaults included, as a recipe would hold it; running it repeats the run."""
        table = dump_options(self.options)
        table |= {"title": self.title, "seeds": [self.seed]}
        table["transforms"] = []
        table["data"] = {role: data.dump() for role, data in self.data.items()}
        table["evaluate"] = [use.dump() for use in self.evaluators]
        if self.variant:
            table["variants"] = {self.variant: {}}
        return table

    def identity(self) -> str:
        """A hash of the experiment: all but `[run]`, names and logging."""
        table = self.to_dict()
        for key in ("run", "title", "variants", "table", "log_every", "checkpoint_every"):
            table.pop(key, None)
        text = json.dumps(table, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, where it came from) of every option, for people."""
        table = self.to_dict()
        for key in ("variants", "transforms"):  # the transforms stand with each role
            table.pop(key, None)
        yield from _leaves(table, (), self._origin_words)

    def _origin_words(self, path: KeyPath) -> str:
        if path[0] == "data" and path[2:3] == ("transforms",) and path[:3] not in self.tree.origins:
            path = path[2:]  # the list that the roles share
        found = self.tree.origin(path)
        written = _at(self.tree.data, path)
        if written is None and path[-1] == "name":  # a name alone instead of a table
            written = _at(self.tree.data, path[:-1])
        if found is None or (found[1] and not isinstance(written, (str, int, float, bool, list))):
            return "default"
        return found[0].words(found[1])


def _leaves(value: Any, path: KeyPath, words: Callable[[KeyPath], str]) -> Iterator[tuple[str, Any, str]]:
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        children = enumerate(value)
    else:
        yield ".".join(map(str, path)), value, words(path)
    for key, item in children:
        yield from _leaves(item, (*path, key), words)


def _at(table: Any, path: KeyPath) -> Any:
    for key in path:
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return None
    return table


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file with its layers merged, not yet resolved."""

    path: Path
    tree: Tree
    layers: tuple[TomlSource, ...] = ()
    overrides: tuple[TomlSource, ...] = ()

    @property
    def variants(self) -> list[str]:
        """Names of the variants in file order; `[""]` for a recipe that has none."""
        return list(self.tree.data.get("variants", {})) or [""]

    def resolve(self, registry: Registry, variant: str = "") -> Recipe:
        """The recipe of one variant (with its first seed). Raises `RecipeError` with every problem."""
        tree = self._layers(variant)
        resolver = Resolver(registry, droppable=lambda path: path in tree.soft)
        title = str(tree.data.get("title") or self.path.stem)
        recipe = _resolve(resolver, tree, title, variant, str(self.path))
        if recipe is None:
            raise RecipeError([tree.problem(issue, str(self.path)) for issue in resolver.issues])
        return recipe

    def resolve_all(self, registry: Registry, only: Sequence[str] = ()) -> list[Recipe]:
        """Every variant with every seed, in order."""
        for name in only:
            if name not in self.variants:
                known = [v for v in self.variants if v]
                help = [did_you_mean(name, known), f"variants: {', '.join(known) or 'none'}"]
                raise UserError(f"{self.path} has no variant '{name}'", help=filter(None, help))
        recipes = [self.resolve(registry, name) for name in self.variants if not only or name in only]
        self._check_overrides_used(recipes)
        return [replace(recipe, seed=seed) for recipe in recipes for seed in recipe.options.seeds]

    def _layers(self, variant: str) -> Tree:
        tree = self.tree.copy()
        tree.data.pop("variants", None)
        for source in self.layers:
            part = _at(source.data, ("variants", variant))
            if isinstance(part, Mapping):
                tree.overlay(part, source, ("variants", variant))
            elif part is not None:
                span = source.locate(("variants", variant), value=True)
                raise RecipeError([Problem(f"variant '{variant}' must be a table", span)])
        for source in self.overrides:
            tree.overlay(source.data, source)
            if len(self.variants) > 1:  # meant for those variants whose components have the option
                tree.soft |= set(_paths(source.data))
        return tree

    def _check_overrides_used(self, recipes: Sequence[Recipe]) -> None:
        for source in self.overrides:
            for path in _paths(source.data):
                if not any(_used(recipe, path) for recipe in recipes):
                    key = ".".join(map(str, path))
                    span = source.locate(path)
                    raise RecipeError([Problem(f"no variant has an option '{key}'", span)])


def _paths(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _paths(value, (*path, key))
        else:
            yield (*path, key)


def _used(recipe: Recipe, path: KeyPath) -> bool:
    """Whether a component has the option at `path`; all but the trainer's and data's are checked anyway."""
    if path[0] not in ("trainer", "data"):
        return True
    owner = recipe.to_dict()
    names = tuple(int(p) if isinstance(p, str) and p.isdigit() else p for p in path)
    parent = _at(owner, names[:-1])
    if isinstance(parent, Mapping) and names[-1] in parent:
        return True
    return (
        path[0] == "trainer"
        and len(path) == 2
        and path[1] in type(recipe.options.trainer.config).model_fields
    )


def _resolve(resolver: Resolver, tree: Tree, title: str, variant: str, path: str) -> Recipe | None:
    head = resolver.options(RecipeOptions, tree.data, (), "the recipe")
    roles = tree.data.get("data")
    data = _resolve_roles(resolver, roles, tree.data.get("transforms", []))
    listed = tree.data.get("evaluate", [])
    evaluators = _resolve_evaluators(resolver, listed if isinstance(listed, list) else [])
    if head is None or resolver.issues or not isinstance(head, RecipeOptions):
        return None
    return Recipe(title, variant, head.seeds[0], head, data, tuple(evaluators), tree, path)


def _resolve_roles(resolver: Resolver, roles: Any, shared: Any) -> dict[str, RoleData]:
    resolved = {}
    for role, value in roles.items() if isinstance(roles, Mapping) else ():
        table = dict(value) if isinstance(value, Mapping) else {"name": value}
        own = table.pop("transforms", None)
        at: KeyPath = ("data", role, "transforms") if own is not None else ("transforms",)
        dataset = resolver.component("dataset", table, ("data", role))
        transforms = _resolve_list(resolver, "transform", shared if own is None else own, at)
        if dataset is not None:
            resolved[role] = RoleData(dataset, transforms)
    return resolved


def _resolve_list(resolver: Resolver, kind: str, items: Any, path: KeyPath) -> tuple[Component, ...]:
    if not isinstance(items, list):
        resolver.issues.append(Issue(path, f"'{'.'.join(map(str, path))}' must be a list", at_value=True))
        return ()
    known = {issue.path for issue in resolver.issues}
    found = [resolver.component(kind, item, (*path, i)) for i, item in enumerate(items)]
    # The shared list is resolved once a role; its issues are told once.
    fresh = {issue.path: issue for issue in reversed(resolver.issues) if issue.path not in known}
    resolver.issues = [i for i in resolver.issues if i.path in known] + list(reversed(fresh.values()))
    return tuple(item for item in found if item is not None)


def _resolve_evaluators(resolver: Resolver, listed: Sequence[Any]) -> Iterator[EvaluatorUse]:
    counts: dict[str, int] = {}
    for index, value in enumerate(listed):
        table = dict(value) if isinstance(value, Mapping) else value
        every = table.pop("every", None) if isinstance(table, dict) else None
        path: KeyPath = ("evaluate", index)
        if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            note = "should be a positive number of steps"
            resolver.issues.append(Issue((*path, "every"), "option 'every' is wrong", note, at_value=True))
            continue
        component = resolver.component("evaluator", table, path)
        if component is not None:
            counts[component.name] = counts.get(component.name, 0) + 1
            number = f"_{counts[component.name]}" if counts[component.name] > 1 else ""
            yield EvaluatorUse(component.name + number, component, every)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> RecipeFile:
    """Read a recipe, what it extends, and `--set` overrides. Raises `UserError`."""
    tree, layers = Tree(), []
    for source in _extended(path, ()):
        layers.append(source)
        tree.overlay({k: v for k, v in source.data.items() if k != "extends"}, source)
    if not isinstance(tree.data.get("variants", {}), Mapping):
        issue = Issue(("variants",), "'variants' must be a table of tables", at_value=True)
        raise RecipeError([tree.problem(issue, str(path))])
    return RecipeFile(path, tree, tuple(layers), tuple(_override(text) for text in overrides))


def _extended(path: Path, seen: tuple[Path, ...]) -> Iterator[TomlSource]:
    """The files to overlay in order: what the recipe extends first, then the recipe."""
    if path.resolve() in seen:
        raise UserError(f"{path} extends itself", help=[" -> ".join(str(p) for p in (*seen, path))])
    source = read_toml(path)
    bases = source.data.get("extends", [])
    for base in [bases] if isinstance(bases, str) else bases:
        if not (path.parent / str(base)).is_file():
            span = source.locate(("extends",), value=True)
            help = ["the path is relative to the recipe that extends it"]
            raise RecipeError([Problem(f"there is no recipe '{base}' to extend", span, help=help)])
        yield from _extended(path.parent / str(base), (*seen, path.resolve()))
    yield source


def _override(text: str) -> TomlSource:
    """`trainer.lr=3e-4` as a TOML document; a bare word as the value counts as a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--set {text}: write key=value", help=["for example --set trainer.optimizer.lr=3e-4"]
        )
    try:
        tomllib.loads(f"x = {value}")
    except tomllib.TOMLDecodeError:
        value = json.dumps(value.strip())
    return parse_toml(f"{key.strip()} = {value.strip()}", f"--set {text}")
