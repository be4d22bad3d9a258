"""Registries with chosen plugins in them, as the program would fill them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry


def registry_of(*plugins: str | ModuleType) -> Registry:
    """The core's components and those of first-party plugins by name ('gan'), or of modules."""
    registry = Registry()
    for plugin in (builtin, *plugins):
        name = plugin if isinstance(plugin, str) else plugin.__name__.rpartition(".")[2]
        module = import_module(f"pluglab_{plugin}.plugin") if isinstance(plugin, str) else plugin
        registrar = Registrar("core" if plugin is builtin else name)
        module.lab_register(registrar)
        registry.extend(registrar.entries, registrar.kinds)
    return registry
