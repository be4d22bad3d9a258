"""A recipe file resolved: from its merged layers to components with validated options, a run at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pluglab.components import Component, Issue, Resolver, dump_options
from pluglab.errors import Problem, RecipeError, UserError, did_you_mean
from pluglab.plugins.registry import Registry
from pluglab.recipe.keys import Machine as Machine
from pluglab.recipe.keys import RecipeOptions
from pluglab.recipe.layers import (
    SHARED,
    Part,
    Tree,
    leaves_of,
    paths_of,
    read_layers,
    read_override,
    value_at,
    variant_parts,
)
from pluglab.recipe.positions import KeyPath, TomlSource

COMPONENTS = ("trainer", "data")  # what a variant may replace, so that an option may fit some variants only


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

    def problem(self, path: KeyPath, message: str, *, help: Iterable[str] = ()) -> Problem:
        """Something wrong with the value at `path`."""
        return self.tree.problem(Issue(path, message, help=tuple(help), at_value=True), self.path)

    def error(self, path: KeyPath, message: str, *, help: Iterable[str] = ()) -> RecipeError:
        """An error about the value at `path`, to be raised."""
        return RecipeError([self.problem(path, message, help=help)])

    @contextmanager
    def blamed(self, path: KeyPath) -> Iterator[None]:
        """A `UserError` from inside is told with the place of `path` in the recipe."""
        try:
            yield
        except RecipeError:
            raise
        except UserError as error:
            raise self.error(path, error.message, help=error.help) from error

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
        text = json.dumps(_unqualified(table), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, where it came from) of every option, for people."""
        table = self.to_dict()
        for key in ("variants", "transforms"):  # the transforms stand with each role
            table.pop(key, None)
        yield from leaves_of(table, self._origin_words)

    def _origin_words(self, path: KeyPath) -> str:
        if path[0] == "data" and path[2:3] == ("transforms",) and path[:3] not in self.tree.origins:
            path = path[2:]  # the list that the roles share
        found = self.tree.origin(path)
        written = value_at(self.tree.data, path)
        if written is None and path[-1] == "name":  # a name alone instead of a table
            written = value_at(self.tree.data, path[:-1])
        if found is None or (found[1] and not isinstance(written, (str, int, float, bool, list))):
            return "default"
        return found[0].words(found[1])


def together(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """The recipe of several runs that differ in variant or seed, every option given: it repeats them."""
    first = recipes[0].to_dict()
    if not recipes[0].variant:
        return {**first, "seeds": [recipe.seed for recipe in recipes]}
    variants: dict[str, Any] = {}
    for recipe in recipes:
        own = {k: v for k, v in recipe.to_dict().items() if k not in (*SHARED, "variants")}
        variants.setdefault(recipe.variant, {**own, "seeds": []})["seeds"].append(recipe.seed)
    return {**{key: first[key] for key in SHARED if key in first}, "variants": variants}


def _unqualified(value: Any) -> Any:
    """The same with 'gan/dcgan' as 'dcgan': which way a component is named changes no experiment."""
    if isinstance(value, list):
        return [_unqualified(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    table = {key: _unqualified(item) for key, item in value.items()}
    return table | ({"name": table["name"].rpartition("/")[2]} if isinstance(table.get("name"), str) else {})


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file with its layers merged, not yet resolved."""

    path: Path
    tree: Tree
    of_variants: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    overrides: tuple[TomlSource, ...] = ()

    @property
    def variants(self) -> list[str]:
        """Names of the variants in file order; `[""]` for a recipe that has none."""
        return list(self.tree.data.get("variants", {})) or [""]

    def resolve(self, registry: Registry, variant: str = "") -> Recipe:
        """The recipe of one variant (with its first seed). Raises `RecipeError` with every problem."""
        tree = self._layers(variant)
        fields = tuple(RecipeOptions.model_fields)
        resolver = Resolver(registry, droppable=lambda path: path in tree.soft, top=fields)
        title = str(tree.data.get("title") or self.path.stem)
        recipe = _resolve(resolver, tree, title, variant, str(self.path))
        if recipe is None:
            raise RecipeError([tree.problem(issue, str(self.path)) for issue in resolver.issues])
        return recipe

    def resolve_all(self, registry: Registry, only: Sequence[str] = ()) -> list[Recipe]:
        """Every variant with every seed, in order. Raises `RecipeError` with the problems of all variants."""
        for name in only:
            if name not in self.variants:
                known = [v for v in self.variants if v]
                help = [did_you_mean(name, known), f"variants: {', '.join(known) or 'none'}"]
                raise UserError(f"{self.path} has no variant '{name}'", help=filter(None, help))
        recipes: list[Recipe] = []
        problems: list[Problem] = []
        for name in [name for name in self.variants if not only or name in only]:
            try:
                recipes.append(self.resolve(registry, name))
            except RecipeError as error:
                problems += error.problems
        if problems:
            raise RecipeError(problems)
        self._check_overrides_used(recipes)
        return [replace(recipe, seed=seed) for recipe in recipes for seed in recipe.options.seeds]

    def _layers(self, variant: str) -> Tree:
        tree = self.tree.copy()
        tree.data.pop("variants", None)
        for part in self.of_variants.get(variant, ()):
            tree.overlay(part.table, part.source, part.place)
        for source in self.overrides:
            tree.overlay(source.data, source)
            if len(self.variants) > 1:  # meant for those variants whose components have the option
                tree.soft |= {path for path in paths_of(source.data) if path[0] in COMPONENTS}
        return tree

    def _check_overrides_used(self, recipes: Sequence[Recipe]) -> None:
        pairs = [(source, path) for source in self.overrides for path in paths_of(source.data)]
        unused = [pair for pair in pairs if not any(_used(recipe, pair[1]) for recipe in recipes)]
        if unused:
            raise RecipeError([_unused(source, path, recipes) for source, path in unused])


def _unused(source: TomlSource, path: KeyPath, recipes: Sequence[Recipe]) -> Problem:
    known = {name for recipe in recipes for name in _options_at(recipe, path[:-1])}
    message = f"no variant has an option '{'.'.join(map(str, path))}'"
    return Problem(message, source.locate(path), did_you_mean(str(path[-1]), known))


def _used(recipe: Recipe, path: KeyPath) -> bool:
    """Whether a component has the option at `path`; where none is replaced, that is checked anyway."""
    return path[0] not in COMPONENTS or path[-1] in _options_at(recipe, path[:-1])


def _options_at(recipe: Recipe, path: KeyPath) -> set[str]:
    """The options of the component at `path`; `--set` writes the numbers of list items as text."""
    numbered = tuple(int(part) if str(part).isdigit() else part for part in path)
    table = value_at(recipe.to_dict(), numbered)
    unset = recipe.options.trainer.config.__class__.model_fields if path == ("trainer",) else ()
    return {*table, *unset} if isinstance(table, Mapping) else set()


def _resolve(resolver: Resolver, tree: Tree, title: str, variant: str, path: str) -> Recipe | None:
    head = resolver.options(RecipeOptions, tree.data, (), "the recipe")
    roles = tree.data.get("data")
    data = _resolve_roles(resolver, roles, tree.data.get("transforms", []))
    listed = tree.data.get("evaluate", [])
    evaluators = list(_resolve_evaluators(resolver, listed if isinstance(listed, list) else []))
    _check_length(resolver, tree)
    if head is None or resolver.issues or not isinstance(head, RecipeOptions):
        return None
    return Recipe(title, variant, head.seeds[0], head, data, tuple(evaluators), tree, path)


def _check_length(resolver: Resolver, tree: Tree) -> None:
    given = [key for key in ("steps", "epochs") if key in tree.data]
    if not given:
        help = ("add `steps = 1000`, or `epochs = 10`",)
        resolver.issues.append(Issue((), "the recipe does not say how long to train", help=help))
    if len(given) == 2:
        help = ("give one of them",)
        resolver.issues.append(Issue(("epochs",), "both `steps` and `epochs` are given", help=help))


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
        message = f"'{'.'.join(map(str, path))}' must be a list of {kind}s"
        resolver.issues.append(Issue(path, message, at_value=True))
        return ()
    found = [resolver.component(kind, item, (*path, i)) for i, item in enumerate(items)]
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
    for source in read_layers(path):
        layers.append(source)
        tree.overlay({k: v for k, v in source.data.items() if k != "extends"}, source)
    variants = tree.data.get("variants", {})
    if not isinstance(variants, Mapping):
        issue = Issue(("variants",), "'variants' must be a table of tables", at_value=True)
        raise RecipeError([tree.problem(issue, str(path))])
    parts = {name: tuple(variant_parts(layers, name)) for name in variants}
    return RecipeFile(path, tree, parts, tuple(read_override(text) for text in overrides))
