"""What is asked of components of every kind."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pluglab.components import config_class, nested_of
from pluglab.conformance import check_defaults, place_of_option
from pluglab_testing.checking import ANY, Fault, check
from pluglab_testing.subjects import Part


@check(ANY, "contract", gates=True)
def fits(part: Part) -> None:
    """It is found where it was registered, has what its kind asks for, and its defaults are valid"""
    part.entry.load()
    check_defaults(part.registry, part.entry)
    part.component()


@check(ANY, "explained")
def explains_itself(part: Part) -> None:
    """It is registered with a summary, and each option says what it is"""
    if not part.entry.summary:
        help = ['registry.add(..., summary="...") is what `lab list` shows']
        raise Fault("it has no summary", help=help, where=part.entry.where)
    for model, name, info in _options(config_class(part.entry)):
        if not (info.description or "").strip():
            message = f"the option '{name}' does not say what it is"
            help = ["write a text in quotes on the line below it"]
            raise Fault(message, help=help, where=place_of_option(model, name))


def _options(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield model, name, info
        if nested := nested_of(info):
            yield from _options(nested)
