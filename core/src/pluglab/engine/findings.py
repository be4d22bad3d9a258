"""What a trainer says is wrong with its training, passed on when it appears and not while it lasts."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")


class Health:
    """`lasting` holds the findings of the last look, numbers aside: these change from one to the next."""

    def __init__(self, lasting: Iterable[str] = ()) -> None:
        self.lasting = set(lasting)

    def news(self, findings: Iterable[str]) -> list[str]:
        """Those that the last look did not have: new ones, and such as had gone and are back."""
        found = {_NUMBER.sub("", message): message for message in findings}
        new = [message for finding, message in found.items() if finding not in self.lasting]
        self.lasting = set(found)
        return new
