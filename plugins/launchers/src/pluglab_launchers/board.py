"""A table of all runs that is drawn again as they go on; where there is no terminal, lines instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pluglab.errors import printable

SHOWN = 30
"""Rows of the table; of more runs those that have ended are counted."""
OVER = "finished", "failed", "interrupted", "lost"


@dataclass
class Row:
    """What is known of one run."""

    state: str
    where: str = ""
    progress: str = ""


class Board:
    """A context manager. `say` is told in words where nobody sees a table."""

    def __init__(self, say: Callable[[str], None], console: Console | None = None) -> None:
        self.say, self.rows = say, dict[str, Row]()
        self.console = console or Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=2, get_renderable=self.table)

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def tell(self, label: str, state: str, where: str = "", progress: str = "") -> None:
        """How a run stands."""
        before = self.rows.get(label, Row(""))
        self.rows[label] = Row(state, where or before.where, progress or before.progress)
        if state != before.state and not self.console.is_terminal:
            place = f" on {where}" if where and state == "running" else ""
            self.say(f"{label}: {state}{place}")

    def table(self) -> Table:
        """Those that are under way first."""
        table = Table("run", "state", "on", "step", box=None, header_style="bold")
        over = [label for label, row in self.rows.items() if row.state in OVER]
        under_way = [label for label in self.rows if label not in over]
        shown = [*under_way, *reversed(over)][:SHOWN]
        for label in shown:
            row = self.rows[label]
            table.add_row(*(Text(printable(one)) for one in (label, row.state, row.where, row.progress)))
        if len(self.rows) > len(shown):
            table.add_row(f"... and {len(self.rows) - len(shown)} more", "", "", "")
        return table
