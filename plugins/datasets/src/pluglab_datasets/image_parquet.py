"""Images in parquet files, as the Hugging Face hub stores data sets: rows of an encoded image and a class."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pluglab.errors import UserError
from pluglab_datasets.content import content_hash
from pluglab_datasets.label_tables import LABELS, Row, class_name
from pluglab_datasets.reading import reading

BATCH = 256  # rows held in memory at a time
EXTRA = 'pip install "pluglab-datasets[parquet]"'


class Parquet:
    """The rows of parquet files as if each were an image file: train/00000-00000042.png is row 42 of the
    first shard, whose name begins with train.

    `path` is their folder, and `shards` are their names in it. Raises `UserError` without pyarrow, and for
    tables without images.
    """

    def __init__(self, path: Path, shards: Sequence[str]) -> None:
        self.path, self.shards = path, shards
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise UserError(f"{path / shards[0]} is parquet, which needs pyarrow", help=[EXTRA]) from error
        with reading(path / shards[0]):
            self.tables = [parquet.ParquetFile(path / shard) for shard in shards]
            self.columns = [_image_column(table.schema_arrow, path) for table in self.tables]

    def key(self, cache: Path) -> str:
        return content_hash(self.path, self.shards, cache)

    def files(self) -> list[str]:
        return [name for i, table in enumerate(self.tables) for name in self._names(i, table)]

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for i, table in enumerate(self.tables):
            for name, cell in zip(self._names(i, table), self._cells(i, self.columns[i]), strict=True):
                if name in names:
                    yield name, (cell.get("bytes") if isinstance(cell, dict) else cell) or b""

    def rows(self) -> list[Row]:
        """The labels, where there is a column of them; -1 and null stand for none."""
        found = []
        for i, table in enumerate(self.tables):
            column = next((name for name in LABELS if name in table.schema_arrow.names), None)
            if column is not None:
                words = _class_names(table.schema_arrow, column)
                pairs = zip(self._names(i, table), self._cells(i, column), strict=True)
                found += [
                    Row(name, _word(cell, words, f"{self.path / self.shards[i]}, row {row}"), "")
                    for row, (name, cell) in enumerate(pairs)
                    if cell not in (None, -1)
                ]
        return found

    def _names(self, shard: int, table: Any) -> Iterator[str]:
        """Below a folder called like the split, which begins the shard's name or is its folder."""
        *folders, name = self.shards[shard].removesuffix(".parquet").split("/")
        words = [name.split("-")[0], *folders[-1:]]
        split = next((word for word in words if word in ("train", "test", "validation", "val")), "rows")
        return (f"{split}/{shard:05}-{row:08}.png" for row in range(table.metadata.num_rows))

    def _cells(self, shard: int, column: str) -> Iterator[Any]:
        with reading(self.path / self.shards[shard]):
            for batch in self.tables[shard].iter_batches(BATCH, columns=[column]):
                yield from batch.column(0).to_pylist()


def _image_column(schema: Any, path: Path) -> str:
    """The first column of bytes, or of a struct with bytes."""
    import pyarrow.types as types

    for field in schema:
        inner = field.type.field("bytes").type if _has_bytes(field.type) else field.type
        if types.is_binary(inner) or types.is_large_binary(inner):
            return field.name
    message = f"{path} has no column of encoded images: its columns are {', '.join(schema.names)}"
    raise UserError(message, help=["images are the bytes of PNG or JPEG files, alone or as {bytes, path}"])


def _has_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Names of the label numbers, which the hub keeps among the file's metadata."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return about.get("info", {}).get("features", {}).get(column, {}).get("names")


def _word(label: Any, words: Sequence[str] | None, where: str) -> str:
    if words is None:
        return class_name(label, "its image", where)
    if not 0 <= label < len(words):
        raise UserError(f"{where}: label {label}, where there are {len(words)} classes, counted from 0")
    return words[label]
