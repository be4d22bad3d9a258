"""The page on plugins tells each check, in the words that stand in the code."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path

from pluglab.plugins.loading import load_plugins
from pluglab_testing.checking import ANY, CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
TABLE = re.compile(r"(?<=<!-- checks -->\n).*?(?=<!-- end of checks -->)", re.S)


def table() -> str:
    import_module("pluglab_testing.kinds")
    for one in filter(None, (kind.checks for kind in load_plugins().registry.kinds())):
        import_module(one)
    rows = ["| kind | check | what it asks |", "|---|---|---|"]
    for kind, checks in sorted(CHECKS.items(), key=lambda item: (item[0] != ANY, item[0])):
        rows += [f"| {kind} | {one.name} | {one.asks} |" for one in checks]
    return "\n".join(rows) + "\n"


def test_every_check_is_documented() -> None:
    """`LAB_REWRITE=1 pytest` writes the table anew."""
    text = PAGE.read_text()
    if os.environ.get("LAB_REWRITE"):
        PAGE.write_text(TABLE.sub(lambda _: table(), text))
    assert TABLE.findall(PAGE.read_text()) == [table()]
