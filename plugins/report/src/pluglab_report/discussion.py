"""The author's words, which survive when a report is made again.

They stand in report.md between marks, or in a file discussion.md beside it, which is only read:

    ## gan/training
    The discriminator is ahead from the start.

A mark holds a hash of what stood in its slot when the report was written. So words that were changed since
are known, and none are lost: where both files say something else, report.md is kept as report.old.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from pluglab import UserError
from pluglab.storage.atomic import write_file
from pluglab_report.blocks import Slot

FILE, REPORT, OLD = "discussion.md", "report.md", "report.old.md"
OURS = "<!-- written by lab report"
END = "<!-- end -->"
_SLOT = re.compile(r"<!-- your words: (?P<key>\S+) (?P<hash>\w+) -->\n(?P<text>.*?)" + END, re.DOTALL)
_HEADING = re.compile(r"^## +(\S+) *$", re.MULTILINE)


@dataclass(frozen=True)
class Discussion:
    """The words of each slot by its key; `kept` are those of slots that the report no longer has."""

    words: Mapping[str, str]
    kept: Mapping[str, str]

    def text(self, slot: Slot) -> str:
        return self.words.get(slot.key, "")

    def mark(self, slot: Slot) -> str:
        """What begins a slot in report.md."""
        return f"<!-- your words: {slot.key} {_hash(self.text(slot))} -->"


def read_discussion(out: Path, slots: Sequence[Slot], say: Callable[[str], None]) -> Discussion:
    """What was written so far in a report's folder. Raises `UserError` for a report.md that is not ours."""
    report, own = out / REPORT, _sections(out / FILE)
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    if text and not text.startswith(OURS):
        help = ["give another folder with --out, or move that file away"]
        raise UserError(f"{report} was not written by `lab report`", help=help)
    typed = {found["key"]: (found["text"].strip(), found["hash"]) for found in _SLOT.finditer(text)}
    changed = {key: words for key, (words, before) in typed.items() if _hash(words) != before}
    if any(words and own.get(key, words) != words for key, words in changed.items()):
        write_file(out / OLD, text.encode())
        say(f"{FILE} says something else than {REPORT}: it counts, and what stood there is in {out / OLD}")
    words = {**{key: words for key, (words, _) in typed.items()}, **own}
    known = {slot.key for slot in slots}
    kept = {key: text for key, text in words.items() if key not in known and text}
    return Discussion({key: text for key, text in words.items() if key in known}, kept)


def _sections(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    _, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
    return {key: text.strip() for key, text in zip(parts[::2], parts[1::2], strict=True) if text.strip()}


def _hash(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:8]


def in_html(text: str) -> str:
    """Markdown as HTML; HTML within it is shown as it stands, and is never a part of the page."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
