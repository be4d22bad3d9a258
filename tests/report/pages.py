"""A page of HTML, as a test looks at it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

UNCLOSED = "meta", "link", "img", "br", "hr", "wbr"


class Page(HTMLParser):
    """`elements`: (name, attributes) in order; `texts` by the names of the elements that they are in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.inside: list[str] = []
        self.feed(text)
        self.close()

    @classmethod
    def of(cls, path: Path) -> Page:
        return cls(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in UNCLOSED:
            self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] == [("wbr", {})] and self.texts.get(self.inside[-1]):
            self.texts[self.inside[-1]][-1] += data.strip()
        elif data.strip():
            self.texts.setdefault(self.inside[-1] if self.inside else "", []).append(data.strip())

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self, *keys: str) -> list[str]:
        """What the page fetches by these attributes, or leads to."""
        return [value for _, attributes in self.elements for key in keys if (value := attributes.get(key))]
