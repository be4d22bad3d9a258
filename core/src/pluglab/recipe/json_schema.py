"""A JSON schema (draft-07) of recipes, so that an editor completes and checks them while they are written.

It is made from what is loaded: one `if`/`then` a component, with its options, their descriptions and
defaults. Everything stands where it is used, because TOML editors follow references unreliably.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from pluglab.components import Deferred, config_class, nested_of, reference_of
from pluglab.errors import UserError
from pluglab.plugins.registry import Entry, Registry

Schema = dict[str, Any]

EVERY: Schema = {"type": "integer", "minimum": 1, "description": "Steps between two uses; else at the end."}
EXTENDS: Schema = {
    "description": "Recipe or recipes to start from; paths are relative to this file.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}
LABEL: Schema = {"type": "string", "description": "What its results are filed under; its name by default."}
MATRIX: Schema = {
    "type": "object",
    "description": "Variants as a product of axes: lists of values of a key, or of recipes, or named tables.",
    "additionalProperties": {"type": ["array", "object"]},
}
NAMED: Schema = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}


def recipe_schema(registry: Registry, recipe_model: type[BaseModel]) -> Schema:
    """The schema of a recipe whose top-level keys are the fields of `recipe_model`.

    No key may be unknown. Keys may be missing where another layer can give them: in a variant, and in a
    recipe that extends another or has variants. A recipe that stands alone must name what it needs.
    """
    writer = _Writer(registry, layer=True)
    layer = writer.recipe(recipe_model)
    variant = _with(layer, extends=EXTENDS)
    variants = {"description": "One run each, which overlays the recipe.", "additionalProperties": variant}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pluglab recipe",
        **_with(
            layer,
            extends=EXTENDS,
            variants={"type": "object", **variants},
            matrix=MATRIX,
            **writer.tables(),
        ),
        "if": {"not": {"anyOf": [{"required": [key]} for key in ("extends", "variants", "matrix")]}},
        "then": {
            "required": [name for name, info in recipe_model.model_fields.items() if info.is_required()],
            "properties": {"trainer": NAMED, "data": {"additionalProperties": NAMED}},
        },
    }


def _with(schema: Schema, **properties: Any) -> Schema:
    return {**schema, "properties": {**schema["properties"], **properties}}


@dataclass(frozen=True)
class _Writer:
    """Writes schemas: of what another layer may complete, or, without `layer`, of what must be complete.

    `inside` are the kinds around the current place: a kind within itself is not written out again.
    """

    registry: Registry
    layer: bool
    inside: tuple[str, ...] = ()

    def recipe(self, model: type[BaseModel]) -> Schema:
        own = {"transforms": self.components("transform", {})}
        schema = self.options(model, {})
        words = {key: _only(schema["properties"][key], "description") for key in ("data", "evaluate")}
        data = {"type": "object", "additionalProperties": self.component("dataset", own)}
        evaluate = self.components("evaluator", {"every": EVERY, "as": LABEL})
        return _with(schema, data=words["data"] | data, evaluate=words["evaluate"] | evaluate)

    def tables(self) -> dict[str, Schema]:
        """Those that belong to plugins' commands."""
        entries = self.registry.entries("recipe_table")
        return {e.name: {"description": e.summary} | self.options(config_class(e), {}) for e in entries}

    def options(self, model: type[BaseModel], extra: Schema) -> Schema:
        """The table of a model's options; `extra` are further keys."""
        plain = _plain_schema(model)
        properties = {name: self._option(info, plain[name]) for name, info in model.model_fields.items()}
        required = [name for name, info in model.model_fields.items() if info.is_required()]
        schema = {"type": "object", "properties": {**properties, **extra}, "additionalProperties": False}
        return schema if self.layer or not required else {**schema, "required": required}

    def _option(self, info: FieldInfo, plain: Schema) -> Schema:
        reference, nested = reference_of(info), nested_of(info)
        notes = _only(plain, "description", "default")
        if nested is not None:
            return notes | self.options(nested, {})
        if info.annotation is Deferred:
            return notes | {"type": "object"}
        if reference is None:
            return plain
        kind, many = reference[0].kind, reference[1]
        return notes | (self.components(kind, {}) if many else self.component(kind, {}))

    def components(self, kind: str, extra: Schema) -> Schema:
        """A list of components; a layer may also change items of the list below it by number, unchecked
        because the schema would double in size."""
        items = replace(self, layer=False).component(kind, extra)
        whole = {"type": "array", "items": items}
        if not self.layer:
            return whole
        numbered = {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}}
        return {"anyOf": [whole, numbered]}

    def component(self, kind: str, extra: Schema) -> Schema:
        """A name, or a table with a name and the options that belong to it."""
        names = [name for entry in self.registry.entries(kind) for name in self._names(entry)]
        named: Schema = {"type": "string", "enum": names} if names else {"type": "string"}
        table: Schema = {"type": "object", "properties": {"name": named}}
        if not self.layer:
            table["required"] = ["name"]
        inner = replace(self, inside=(*self.inside, kind))
        if names and kind not in self.inside:
            table["allOf"] = inner._rules(kind, extra) or [{}]
        return {"anyOf": [named, table]}

    def _names(self, entry: Entry) -> list[str]:
        alone = sum(e.name == entry.name for e in self.registry.entries(entry.kind)) == 1
        return [entry.name, entry.qualified] if alone else [entry.qualified]

    def _rules(self, kind: str, extra: Schema) -> list[Schema]:
        """One a component. One that cannot be loaded has none: that is told where it is used, not here."""
        rules, known, loaded = [], {"name", *extra}, True
        for entry in self.registry.entries(kind):
            try:
                model = config_class(entry)
            except UserError:
                loaded = False
                continue
            known |= set(model.model_fields)
            words = " ".join(filter(None, [entry.summary, entry.paper and f"({entry.paper})"]))
            table = self.options(model, {"name": {"description": words}, **extra})
            condition = {"required": ["name"], "properties": {"name": {"enum": self._names(entry)}}}
            rules.append({"if": condition, "then": table})
        if self.layer and loaded:  # a table without a name changes options of a component named elsewhere
            nameless = {"not": {"required": ["name"]}}
            rules.append({"if": nameless, "then": {"propertyNames": {"enum": sorted(known)}}})
        return rules


# Schemas of plain options, as pydantic writes them -----------------------------------------------------


class _Generator(GenerateJsonSchema):
    """Leaves components to the writer."""

    def is_instance_schema(self, schema: Any) -> Schema:
        return {}


def _plain_schema(model: type[BaseModel]) -> dict[str, Schema]:
    generated = model.model_json_schema(schema_generator=_Generator)
    definitions = generated.get("$defs", {})
    return {name: _tidy(option, definitions) for name, option in generated.get("properties", {}).items()}


def _tidy(value: Any, definitions: Mapping[str, Schema]) -> Any:
    """References written out, tuples in the words of draft-07, and no null, which TOML does not have."""
    if isinstance(value, list):
        return [_tidy(item, definitions) for item in value if item != {"type": "null"}]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        target = definitions[value["$ref"].rpartition("/")[2]]
        return _tidy({**target, **{k: v for k, v in value.items() if k != "$ref"}}, definitions)
    tidy = {k: v if k == "default" else _tidy(v, definitions) for k, v in value.items() if not _noise(k, v)}
    if "prefixItems" in tidy:
        tidy |= {"items": tidy.pop("prefixItems"), "additionalItems": False}
    return tidy


def _noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def _only(schema: Schema, *keys: str) -> Schema:
    return {key: schema[key] for key in keys if key in schema}
