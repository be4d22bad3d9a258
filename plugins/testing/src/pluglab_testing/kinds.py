"""Importing this knows the checks of every kind, in the order in which they are made."""

from importlib import import_module

for _module in ("anything", "trainers", "shares", "able", "evaluators", "data", "parts", "packages"):
    import_module(f"pluglab_testing.{_module}")
