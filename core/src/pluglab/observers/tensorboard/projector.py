"""Features of images for TensorBoard's projector: files beside the events, the newest of each figure."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pluglab.plain import plain
from pluglab.storage.atomic import write_file
from pluglab.storage.run_folder import slug

CONFIG = "projector_config.pbtxt"
COLUMNS = "class", "role"


def add_embedding(folder: Path, tag: str, data: Mapping[str, Any]) -> None:
    """The `features` of a figure, N x F, with its `class` and `role`, N each, and its `thumbnails`."""
    data = plain(data)
    place = folder / "projector" / slug(tag)
    place.mkdir(parents=True, exist_ok=True)
    write_file(place / "features.tsv", _table(data["features"]).encode())
    columns = [name for name in COLUMNS if name in data]
    rows = zip(*(data[name] for name in columns), strict=True)
    head = [columns] if len(columns) > 1 else []  # the projector expects none over a single column
    words = [["" if cell is None else cell for cell in row] for row in rows]
    write_file(place / "points.tsv", _table([*head, *words]).encode())
    if "thumbnails" in data:
        write_file(place / "sprites.png", _square(data["thumbnails"]))
        size = [data["thumbnails"][side] for side in ("width", "height")]
        (place / "size.txt").write_text(" ".join(map(str, size)))
    write_file(folder / CONFIG, "".join(map(_entry, sorted(place.parent.iterdir()))).encode())


def _table(rows: Sequence[Sequence[Any]]) -> str:
    return "".join("\t".join(_cell(cell) for cell in row) + "\n" for row in rows)


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else " ".join(str(value).split())


def _square(sheet: Mapping[str, Any]) -> bytes:
    """The sheet as high in pictures as it is wide, as the projector cuts it."""
    page = Image.open(io.BytesIO(b64decode(sheet["png"])))
    columns = sheet["columns"]
    whole = Image.new("RGB", (columns * sheet["width"], columns * sheet["height"]), "white")
    whole.paste(page, (0, 0))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


def _entry(place: Path) -> str:
    """What the projector is told of one folder."""
    here = f"{place.parent.name}/{place.name}"
    lines = [f'tensor_name: "{place.name}"', f'tensor_path: "{here}/features.tsv"']
    lines.append(f'metadata_path: "{here}/points.tsv"')
    if (place / "size.txt").is_file():
        width, height = (place / "size.txt").read_text().split()
        size = f"single_image_dim: {width} single_image_dim: {height}"
        lines.append(f'sprite {{ image_path: "{here}/sprites.png" {size} }}')
    return "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
