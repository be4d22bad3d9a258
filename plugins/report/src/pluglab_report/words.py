"""Words for people, and for names of files."""

from __future__ import annotations

import re


def slug(text: str) -> str:
    """'SN-GAN, lr 0.1' as a part of a file's name: 'SN-GAN_lr_0_1'."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-")[:60] or "x"


def duration(seconds: float | None) -> str:
    """'2 min 33 s'; '-' where it is not known."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def listed(names: list[str]) -> str:
    """'a, b and c'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
