"""A recipe file resolved: from its merged layers to components with validated options, a run at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pluglab.components import Component, dump_options
from pluglab.errors import KeyPath, Problem, RecipeError, UserError, did_you_mean
from pluglab.plugins.registry import Registry
from pluglab.recipe.installed import installed_recipe
from pluglab.recipe.keys import Machine as Machine
from pluglab.recipe.keys import RecipeOptions
from pluglab.recipe.layers import (
    SHARED,
    Part,
    Tree,
    is_file,
    leaves_of,
    named_parts,
    paths_of,
    read_layers,
    read_override,
    value_at,
)
from pluglab.recipe.matrix import matrix_parts
from pluglab.recipe.positions import TomlSource, read_toml
from pluglab.recipe.resolve import Resolver

COMPONENTS = ("trainer", "data")  # what a variant may replace, so that an option may fit some variants only
LAYERS = ("extends", "variants", "matrix")  # how a recipe is written, not what it says
MACHINE_FILE = "lab.toml"


@dataclass(frozen=True)
class RoleSource:
    """What one role reads."""

    dataset: Component
    transforms: tuple[Component, ...]

    def dump(self) -> dict[str, Any]:
        return {**self.dataset.dump(), "transforms": [item.dump() for item in self.transforms]}


@dataclass(frozen=True)
class EvaluatorUse:
    """An evaluator of a recipe. `label` is what its results are filed under: its name, numbered where a
    recipe uses it twice, unless the recipe gives one."""

    label: str
    component: Component
    every: int | None

    def dump(self) -> dict[str, Any]:
        every = {"every": self.every} if self.every else {}
        return {**self.component.dump(), "as": self.label, **every}


@dataclass(frozen=True)
class Recipe:
    """One run, resolved: a recipe's variant with one seed."""

    title: str
    variant: str
    seed: int
    options: RecipeOptions
    data: dict[str, RoleSource]
    evaluators: tuple[EvaluatorUse, ...]
    tree: Tree = field(repr=False, compare=False)
    path: str = ""

    def problem(self, path: KeyPath, message: str, *, help: Iterable[str] = ()) -> Problem:
        """Something wrong with the value at `path`."""
        return self.tree.located(Problem(message, help=tuple(help), path=path, at_value=True), self.path)

    def error(self, path: KeyPath, message: str, *, help: Iterable[str] = ()) -> RecipeError:
        """An error about the value at `path`, to be raised."""
        return RecipeError([self.problem(path, message, help=help)])

    @contextmanager
    def error_location(self, path: KeyPath) -> Iterator[None]:
        """A `UserError` from inside is told with the place of `path` in the recipe."""
        try:
            yield
        except RecipeError as error:
            placed = [one if one.where else self.tree.located(one, self.path) for one in error.problems]
            raise RecipeError(placed) from error
        except UserError as error:
            problem = self.problem(path, error.message, help=error.help)
            raise RecipeError([replace(problem, author=error.where)]) from error

    def to_dict(self) -> dict[str, Any]:
        """Every option, defaults included, as a recipe would hold it; running it repeats the run."""
        table = dump_options(self.options)
        table |= {"title": self.title, "seeds": [self.seed]}
        table["transforms"] = []
        table["data"] = {role: source.dump() for role, source in self.data.items()}
        table["evaluate"] = [use.dump() for use in self.evaluators]
        if self.variant:
            table["variants"] = {self.variant: {}}
        return {key: value for key, value in table.items() if key not in ("axes", "reported") or value}

    def training(self) -> dict[str, Any]:
        """All that training depends on, apart from the data, the seed and the length."""
        return self._training(self.to_dict())

    def _training(self, table: Mapping[str, Any]) -> dict[str, Any]:
        roles, data = self.options.trainer.target.roles, table.get("data", {})
        known = [(role.name, data[role.name]) for role in roles if role.name in data]
        kept: dict[str, Any] = {
            key: table[key] for key in ("trainer", "batch_size", "max_grad_norm") if key in table
        }
        kept["transforms"] = {
            name: source.get("transforms") for name, source in known if isinstance(source, Mapping)
        }
        if (parts := table.get("gradient_accumulation_steps", 1)) != 1:
            kept["gradient_accumulation_steps"] = parts
        unqualified: dict[str, Any] = _unqualified(kept)
        return unqualified

    def training_digest(self, *, written: bool = False) -> str:
        """A hash of all that training depends on, as the recipe says it: of the data nothing is in it.

        Of what is `written` in a resolved recipe it is the same, whatever options have come to be since.
        """
        table = self.tree.data if written else self.to_dict()
        length = {key: table.get(key) for key in ("steps", "epochs", "init", "seeds")}
        return digest_of({**self._training(table), **length})

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


def digest_of(value: Any) -> str:
    """A short hash of plain values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    """A recipe file with its layers merged, not yet resolved. `parts` are those of each variant, in order."""

    path: Path
    tree: Tree
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    overrides: tuple[TomlSource, ...] = ()

    @property
    def variants(self) -> list[str]:
        """Names of the variants, those of the matrix first; `[""]` for a recipe that has none."""
        return list(self.parts) or [""]

    def table(self, registry: Registry, name: str, variant: str = "") -> Component:
        """A table of the recipe that belongs to a plugin's command, a component of kind `recipe_table`.

        Raises `RecipeError` with every problem.
        """
        tree = self._layers(variant)
        resolver = Resolver(registry)
        value = tree.data.get(name, {})
        table = {**value, "name": name} if isinstance(value, Mapping) else value
        found = resolver.component("recipe_table", table, (name,))
        if found is None:
            raise RecipeError([tree.located(problem, str(self.path)) for problem in resolver.problems])
        return found

    def resolve(self, registry: Registry, variant: str = "") -> Recipe:
        """The recipe of one variant (with its first seed). Raises `RecipeError` with every problem."""
        tree = self._layers(variant)
        for entry in registry.entries("recipe_table"):  # which are no part of what a run is
            tree.data.pop(entry.name, None)
        fields = tuple(RecipeOptions.model_fields)
        resolver = Resolver(registry, may_drop=lambda path: path in tree.inherited, top=fields)
        title = str(tree.data.get("title") or self.path.stem)
        recipe = _resolve(resolver, tree, title, variant, str(self.path))
        if recipe is None:
            raise RecipeError([tree.located(problem, str(self.path)) for problem in resolver.problems])
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
        for key in LAYERS:
            tree.data.pop(key, None)
        for part in self.parts.get(variant, ()):
            tree.overlay(part.table, part.source, part.place)
        for source in self.overrides:
            for given, other in (("steps", "epochs"), ("epochs", "steps")):
                if given in source.data:  # one length replaces the other
                    tree.data.pop(other, None)
            tree.overlay(source.data, source)
            if len(self.variants) > 1:  # meant for those variants whose components have the option
                tree.inherited |= {path for path in paths_of(source.data) if path[0] in COMPONENTS}
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
    evaluators = resolve_evaluators(resolver, listed if isinstance(listed, list) else [])
    _check_length(resolver, tree)
    if head is None or resolver.problems or not isinstance(head, RecipeOptions):
        return None
    return Recipe(title, variant, head.seeds[0], head, data, evaluators, tree, path)


def _check_length(resolver: Resolver, tree: Tree) -> None:
    given = [key for key in ("steps", "epochs") if key in tree.data]
    if not given:
        help = ("add `steps = 1000`, or `epochs = 10`",)
        resolver.problems.append(Problem("the recipe does not say how long to train", help=help))
    if len(given) == 2:
        message, help = "both `steps` and `epochs` are given", ("give one of them",)
        resolver.problems.append(Problem(message, help=help, path=("epochs",)))


def _resolve_roles(resolver: Resolver, roles: Any, shared: Any) -> dict[str, RoleSource]:
    resolved = {}
    for role, value in roles.items() if isinstance(roles, Mapping) else ():
        if not role.isidentifier():
            resolver.report(("data", role), f"a role's name must be letters, digits and '_', not '{role}'")
        table = dict(value) if isinstance(value, Mapping) else {"name": value}
        own = table.pop("transforms", None)
        at: KeyPath = ("data", role, "transforms") if own is not None else ("transforms",)
        dataset = resolver.component("dataset", table, ("data", role))
        transforms = resolver.components("transform", shared if own is None else own, at)
        if dataset is not None:
            resolved[role] = RoleSource(dataset, tuple(transforms))
    return resolved


def resolve_evaluators(
    resolver: Resolver, listed: Sequence[Any], taken: Iterable[str] = ()
) -> tuple[EvaluatorUse, ...]:
    """The evaluators of a list, each under a label of its own; `taken` are labels that are in use already."""
    uses: list[EvaluatorUse] = []
    labels = set(taken)
    for index, value in enumerate(listed):
        path: KeyPath = ("evaluate", index)
        table = dict(value) if isinstance(value, Mapping) else value
        every = table.pop("every", None) if isinstance(table, dict) else None
        label = table.pop("as", None) if isinstance(table, dict) else None
        if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            note = "should be a positive number of steps"
            resolver.report((*path, "every"), "option 'every' is wrong", note)
            continue
        component = resolver.component("evaluator", table, path)
        if component is None:
            continue
        if label is not None and not _is_label(label, labels):
            message = "'as' must be letters, digits, '_', '-' or '.', and no other evaluator's"
            resolver.report((*path, "as"), message)
            continue
        uses.append(EvaluatorUse(label or free_label(component.name, labels), component, every))
        labels.add(uses[-1].label)
    return tuple(uses)


def _is_label(label: Any, taken: set[str]) -> bool:
    plain = isinstance(label, str) and label.replace("-", "_").replace(".", "_").replace("_", "a").isalnum()
    return plain and label not in taken


def free_label(name: str, taken: Iterable[str]) -> str:
    """The name, or the name with the first free number: 'accuracy', 'accuracy_2'."""
    taken, number = set(taken), 1
    while (label := name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    return label


def load_recipe(path: Path, overrides: Sequence[str] = (), more: Sequence[TomlSource] = ()) -> RecipeFile:
    """Read a recipe, what it extends, this machine's `lab.toml`, overrides as `--set` gives them, and more.

    A `path` that there is not may be the name of an installed one. Raises `UserError`.
    """
    if not is_file(path):
        path = installed_recipe(path.as_posix()) or path
    return recipe_file(list(read_layers(path)), path, [*map(read_override, overrides), *more])


def recipe_file(layers: Sequence[TomlSource], path: Path, overrides: Sequence[TomlSource] = ()) -> RecipeFile:
    """A recipe of these layers, the last of which is the file at `path`. Raises `UserError`."""
    tree = Tree()
    for source in _machine_files(path):
        tree.overlay(source.data, source)
    for source in layers:
        tree.overlay({k: v for k, v in source.data.items() if k != "extends"}, source)
    variants = tree.data.get("variants", {})
    if not isinstance(variants, Mapping):
        problem = Problem("'variants' must be a table of tables", path=("variants",), at_value=True)
        raise RecipeError([tree.located(problem, str(path))])
    cells = matrix_parts(tree, layers, path)
    own = {name: tuple(named_parts(layers, ("variants", name), f"variant '{name}'")) for name in variants}
    parts = {name: (*cells.get(name, ()), *own.get(name, ())) for name in (*cells, *own)}
    return RecipeFile(path, tree, parts, tuple(overrides))


def _machine_files(path: Path) -> Iterator[TomlSource]:
    """`lab.toml` of the home folder, then that beside the recipe: defaults of `[run]` for this machine."""
    places = [Path.home() / MACHINE_FILE] if _has_home() else []
    for place in dict.fromkeys([*places, path.parent / MACHINE_FILE]):
        if is_file(place) and place != path:
            source = read_toml(place)
            others = [key for key in source.data if key != "run"]
            if others:
                help = ["it holds the table [run], defaults for one machine, and nothing else"]
                span = source.locate((others[0],))
                raise RecipeError([Problem(f"'{others[0]}' has no place in {MACHINE_FILE}", span, help=help)])
            yield source


def _has_home() -> bool:
    try:
        return bool(Path.home())
    except RuntimeError:
        return False
