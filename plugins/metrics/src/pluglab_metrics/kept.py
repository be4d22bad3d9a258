"""What a cache keeps of tensors, checked when it is read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch


def load_kept(path: Path, keys: set[str], instead: str) -> dict[str, Any] | None:
    """What `torch.save` has written; None where there is no file, and with a warning for a damaged one.

    `torch.load` does not look at the checksum of each part of its archive (CRC-32), so that a flipped bit
    would be another number. `instead` says what is done about it, as in 'computed again'.
    """
    if not path.is_file():
        return None
    try:
        with ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"wrong checksum of {damaged}")
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if keys <= saved.keys():
            return saved
        raise ValueError(f"it lacks {', '.join(sorted(keys - saved.keys()))}")
    except Exception as error:  # zipfile and torch raise many kinds for a file that is none of theirs
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}: {error}), so it is {instead}", stacklevel=2
        )
        return None
