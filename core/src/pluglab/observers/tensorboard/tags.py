"""What things are called in TensorBoard, which makes a family of all that begins alike before a '/'."""

from __future__ import annotations


def tag(label: str, key: str) -> str:
    """What an evaluator reports, under its label once: 'accuracy/target', not 'accuracy/accuracy/target'."""
    return key if key == label or key.startswith(f"{label}/") else f"{label}/{key}"


def logged_tag(name: str) -> str:
    """What a trainer logs: 'loss/class' as it is, and under 'training' what is of no family."""
    return name if "/" in name else f"training/{name}"
