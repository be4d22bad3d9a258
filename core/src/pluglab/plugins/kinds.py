"""What a kind of component is; targets are imported when they are needed."""

from __future__ import annotations

import importlib
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any


def imported(target: str) -> Any:
    """What 'module:attribute' names."""
    module, _, attribute = target.partition(":")
    with redirect_stdout(sys.stderr):  # what a command prints on stdout stays clean
        return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Kind:
    """What all components of a kind have in common.

    `protocol` is what a component is once it is built, as a class or 'module:Class'; of a `function` kind it
    is the call that the component itself answers. With `signature_options` a component without a `Config` is
    told what its own parameters name. `checks` is the module with what `lab check` asks of them.
    """

    name: str
    plugin: str
    protocol: str | type | None = None
    summary: str = ""
    function: bool = False
    signature_options: bool = False
    checks: str = ""

    def load(self) -> type | None:
        """The protocol itself."""
        if not isinstance(self.protocol, str):
            return self.protocol
        found: type = imported(self.protocol)
        return found
