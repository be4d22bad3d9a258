"""Stand-ins for heavy libraries, for commands that only tell what components can be told.

A trainer's module imports torch at its top, and `lab show` wants nothing of it but the options that stand
there. So that command imports plugins with objects in place of torch and the like, which can be named,
called, combined, derived from and decorated with. Whoever asks one for a value (a number, a truth, a text)
gets `Needed`, and the command begins again with the libraries themselves. Nothing that is shown was computed
from a stand-in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, NoReturn

LIBRARIES = (
    "lightning_fabric",
    "matplotlib",
    "mpl_toolkits",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "scipy",
    "sklearn",
    "tensorboard",
    "torch",
    "torchmetrics",
    "torchvision",
)
_WHOLE = "LAB_WHOLE_LIBRARIES"


class Needed(BaseException):
    """A library itself is needed. No `except Exception` of a plugin takes it for its own."""


def _ask(*_: Any) -> NoReturn:
    raise Needed


def _another(self: StandIn, *_: Any) -> StandIn:
    return StandIn("value")


class StandIn:
    """In place of a class, function or value of a library; what it holds and returns are stand-ins too."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name

    def __getattr__(self, name: str) -> Any:
        return _member(self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a decorator it changes nothing."""
        decorates = len(args) == 1 and not kwargs and isinstance(args[0], (type, FunctionType))
        return args[0] if decorates else StandIn("value")

    def __bool__(self) -> bool:
        """A class is true, as `TypeVar` asks of its bound; whether anything else is, nobody knows here."""
        if not self.__name__[0].isupper() or self.__name__.isupper():
            raise Needed
        return True

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """A class of its own, so that two stand-ins can be bases of one class."""
        return (type(self.__name__, (_Derived,), {}),)

    __getitem__ = __or__ = __ror__ = __and__ = __neg__ = _another
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _another
    __pow__ = __rpow__ = _another
    __int__ = __float__ = __index__ = __len__ = __iter__ = __contains__ = _ask
    __lt__ = __le__ = __gt__ = __ge__ = __str__ = __repr__ = __format__ = _ask
    __enter__ = __exit__ = _ask


class _Derived:
    """What classes are derived from whose base is a stand-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _member(self, name)


def _member(owner: Any, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    value = StandIn(name)
    setattr(owner, name, value)
    return value


class _Finder(MetaPathFinder, Loader):
    """Finds a stand-in for every module of `LIBRARIES`."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        stood_for = fullname.partition(".")[0] in LIBRARIES
        return ModuleSpec(fullname, self, is_package=True) if stood_for else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """It has nothing in it until it is asked."""


_allowed = False
_finder = _Finder()


def allow() -> None:
    """This process belongs to one command, and may use stand-ins: nobody else's imports are disturbed."""
    global _allowed
    _allowed = _WHOLE not in os.environ


def use() -> None:
    """From here on plugins get stand-ins, where none of the libraries is there already."""
    if _allowed and not any(name in sys.modules for name in LIBRARIES):
        sys.meta_path.insert(0, _finder)


def begin_again(words: Sequence[str]) -> None:
    """The same command with the libraries themselves, in place of this process, if it used stand-ins."""
    if _finder in sys.meta_path:
        sys.stdout.flush()
        sys.stderr.flush()
        environment = {**os.environ, _WHOLE: "1"}
        os.execve(sys.executable, [sys.executable, "-m", "pluglab", *words], environment)
