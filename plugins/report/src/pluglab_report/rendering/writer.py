"""Writes blocks by templates, one a kind and format. What templates print is escaped, but for blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pluglab_report.blocks import Block, Picture
from pluglab_report.discussion import Discussion, in_html
from pluglab_report.rendering.escapes import fence, latex_escaped, markdown_text
from pluglab_report.report import Report

_BREAK = re.compile(r"([/._])(?=\w)")  # where a long name may go on in the next line


class Source(Protocol):
    """Where the pictures of a format come from."""

    def of(self, picture: Picture) -> str:
        """What stands for the picture's address."""
        ...


class Written(str):
    """Text of Markdown or LaTeX that is escaped where it must be."""


ESCAPES: dict[str, Callable[[str], str]] = {"md": markdown_text, "tex": latex_escaped}


class Writer:
    """`format` is 'html', 'md' or 'tex'."""

    def __init__(self, format: str, pictures: Source, discussion: Discussion) -> None:
        self.format = format
        self._environment = _environment(format)
        as_is: Callable[[str], str] = Markup if format == "html" else Written
        said = partial(_said, discussion, format)
        self._environment.globals |= {
            "write": lambda block: as_is(self.block(block)),
            "address": lambda picture: as_is(pictures.of(picture)),
            "said": lambda slot: as_is(said(slot)),
            "asset": lambda name: as_is(_asset(name)),
            "mark": lambda slot: as_is(discussion.mark(slot)),
            "kept": discussion.kept,
        }
        self._environment.filters |= {
            "as_is": as_is,
            "fence": lambda text: as_is(fence(text)),
            "breakable": lambda text: Markup(_BREAK.sub(r"\1<wbr>", str(escape(text)))),
            "spaces": lambda text: as_is(latex_escaped(text).replace(" ", "~") or "~"),
            "in_html": lambda text: as_is(str(escape(text))),
        }

    def page(self, report: Report) -> str:
        """The whole file."""
        return self._environment.get_template("page.j2").render(report=report)

    def block(self, block: Block) -> str:
        """One block."""
        return self._environment.get_template(f"{block.kind}.j2").render(block=block).strip("\n")


def _environment(format: str) -> Environment:
    escaped = ESCAPES.get(format)

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Written) or escaped is None else escaped(str(value))

    begin, end = ("<<", ">>") if format == "tex" else ("{{", "}}")
    return Environment(
        loader=PackageLoader("pluglab_report", f"templates/{format}"),
        variable_start_string=begin,
        variable_end_string=end,
        comment_start_string="<#" if format == "tex" else "{#",
        comment_end_string="#>" if format == "tex" else "#}",
        autoescape=format == "html",
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _said(discussion: Discussion, format: str, slot: Any) -> str:
    """The author's words in a slot, as far as a format can show their Markdown."""
    text = discussion.text(slot)
    if format == "html":
        return in_html(text)
    return text if format == "md" else "\n\n".join(map(latex_escaped, text.split("\n\n")))


def _asset(name: str) -> str:
    """A file of ours, such as the style of the page."""
    return (files("pluglab_report") / "templates" / "html" / name).read_text(encoding="utf-8")
