"""What is wrong with a component's options, in the words of a recipe rather than pydantic's."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pluglab.errors import KeyPath, Problem, did_you_mean

_WORDS = {
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
}


def problems_of(
    error: ValidationError, model: type[BaseModel], table: Mapping[str, Any], owner: str
) -> Iterator[Problem]:
    """What a validation of `table` found, with paths inside it. `owner` is whose options they are."""
    notes: dict[KeyPath, list[str]] = {}
    for item in error.errors(include_url=False):
        loc = item["loc"]
        if item["type"] == "missing" and isinstance(loc[-1], str):
            yield _missing(model, loc, owner)
        elif item["type"] == "extra_forbidden":
            fields = getattr(_model_at(model, loc[:-1]), "model_fields", ())
            yield unknown_option(loc, did_you_mean(str(loc[-1]), fields), owner)
        else:
            default = loc[:1] if loc and loc[0] in model.model_fields else ()
            notes.setdefault(_real(loc, table) or default, []).append(_note(item))
    for path, found in notes.items():
        yield wrong_option(path, _alternatives(found), owner)


def coerced(config: BaseModel, table: Mapping[str, Any], owner: str) -> Iterator[Problem]:
    """Values that pydantic takes without a word for something else: "20" and true for numbers."""
    for path, value, taken in _coerced(table, config, ()):
        wanted = "a number" if isinstance(value, bool) else f"{json.dumps(taken)}, without quotes"
        yield wrong_option(path, f"should be {wanted}", owner)


def _coerced(value: Any, taken: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any, Any]]:
    if isinstance(value, Mapping) and isinstance(taken, BaseModel):
        for key, item in value.items():
            yield from _coerced(item, getattr(taken, key, None), (*path, key))
    elif isinstance(value, (list, tuple)) and isinstance(taken, (list, tuple)):
        for index, pair in enumerate(zip(value, taken, strict=False)):
            yield from _coerced(*pair, (*path, index))
    elif isinstance(value, (str, bool)) and type(taken) in {bool, int, float} - {type(value)}:
        yield path, value, taken


def unknown_option(path: KeyPath, guess: str, owner: str) -> Problem:
    return Problem(f"unknown option '{_dotted(path)}' for {owner}", note=guess, path=path)


def wrong_option(path: KeyPath, note: str, owner: str) -> Problem:
    if not path:
        return Problem(f"{owner}: {note}")
    message = f"option '{_dotted(path)}' of {owner} is wrong"
    return Problem(message, note=note, path=path, at_value=True)


def _missing(model: type[BaseModel], loc: KeyPath, owner: str) -> Problem:
    info = getattr(_model_at(model, loc[:-1]), "model_fields", {}).get(loc[-1])
    words = " ".join(((info and info.description) or "").split())
    help = (f"{loc[-1]}: {words}",) if words else ()
    return Problem(f"{owner} needs the option '{_dotted(loc)}'", help=help, path=loc[:-1])


def _model_at(model: Any, loc: KeyPath) -> Any:
    """The model of the table at `loc` in a table of `model`; None where that is not a model's."""
    for part in loc:
        info = getattr(model, "model_fields", {}).get(part)
        kinds = [info.annotation, *typing.get_args(info.annotation)] if info else []
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return model


def _real(loc: KeyPath, table: Any) -> KeyPath:
    """`loc` up to what is there: pydantic also counts the alternatives of a union as steps."""
    for length, part in enumerate(loc):
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return loc[:length]
    return loc


def _note(item: Any) -> str:
    if item["type"] in _WORDS:
        return f"should be {_WORDS[item['type']]}"
    if item["type"] == "missing":
        return "should have more items"
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    text, should, what = str(item["msg"]).partition("should ")
    return should + what.partition(" after validation")[0] if should else text


def _alternatives(notes: Sequence[str]) -> str:
    """'should be a whole number or 'auto''."""
    first, *rest = dict.fromkeys(notes)
    return " or ".join([first, *(note.removeprefix("should be ") for note in rest)])


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
