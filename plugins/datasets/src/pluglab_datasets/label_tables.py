"""Tables of labels in the forms in which people have them, read as rows of a name and a label."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluglab.data.image_files import SUFFIXES
from pluglab.errors import UserError

NAMES = (
    *("name", "file_name", "filename", "file", "path", "file_path", "filepath"),
    *("image", "image_name", "image_path", "img", "image_id", "id"),
)
LABELS = ("label", "labels", "class", "class_name", "label_name", "category", "target", "y")
FORMS = (
    "CSV or JSON lines with a column of names (name, file_name, path, image, ...) and one of labels (label, "
    "class, category, ...); a list of 'path label' lines; or the dataset.json of StyleGAN"
)


@dataclass(frozen=True)
class Row:
    """An image's name as it is written, its label, and the place of both, for a message."""

    name: str
    label: str
    where: str


class NoLabelsError(UserError):
    """A table that is whole but says nothing of labels."""


def read_table(data: bytes, path: str) -> list[Row]:
    """The rows of a table; its form is told from the name and the first line.

    Labels that are whole numbers stand as such, 3 for 3.0. Raises `UserError`, with file and line, for
    labels that are empty, negative or broken numbers, and for a file that is no table.
    """
    try:
        text = data.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds binary data")
        pairs = _pairs(text, path)
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise UserError(f"{path} is no table of names and labels: {error}", help=[FORMS]) from error
    rows = [Row(_plain(name), class_name(label, name, where), where) for name, label, where in pairs]
    if not rows:
        raise UserError(f"{path} names no image", help=[FORMS])
    return rows


Pair = tuple[str, Any, str]


def _pairs(text: str, path: str) -> list[Pair]:
    """Names, labels and places as they are written."""
    if path.lower().endswith(".json"):
        return list(_stylegan(json.loads(text), path))
    lines = {i: line for i, line in enumerate(text.splitlines(), 1) if line.strip()}
    if path.lower().endswith(".jsonl"):
        return list(_json_lines(lines, path))
    first = next(iter(lines.values()), "")
    for sign in ",;\t":
        fields = next(csv.reader([first], delimiter=sign, skipinitialspace=True), [])
        if len(fields) > 1:
            return list(_columns(text, sign, _is_image(fields[0]), path))
    if _is_image(first.rpartition(" ")[0]):
        return [(*_split(line, f"{path}:{i}"), f"{path}:{i}") for i, line in lines.items()]
    if lines:
        raise ValueError(f"its first line is '{first[:60]}'")
    return []


def _stylegan(table: Any, path: str) -> Iterator[Pair]:
    """{"labels": [["00000/img00000000.png", 5], ...]}, or null where there are none."""
    labels = table.get("labels") if isinstance(table, dict) else None
    if labels is None:
        raise NoLabelsError(f"{path} has no labels", help=['write `labels = "none"`'])
    for i, (name, label) in enumerate(labels.items() if isinstance(labels, dict) else labels):
        yield name, label, f"{path}, labels[{i}]"


def _json_lines(lines: Mapping[int, str], path: str) -> Iterator[Pair]:
    """Objects of the same keys, one a line, as metadata.jsonl of Hugging Face's imagefolder has them."""
    for i, line in lines.items():
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError(f"line {i} is no JSON object")
        row = {key.lower(): value for key, value in values.items()}
        name, label = _found(list(row), path)
        yield row[name], row[label], f"{path}:{i}"


def _columns(text: str, sign: str, bare: bool, path: str) -> Iterator[Pair]:
    """A table whose first line names its columns, or, if `bare`, of names and labels from the start."""
    table = csv.reader(io.StringIO(text), delimiter=sign, skipinitialspace=True)
    columns = list(NAMES[:1] + LABELS[:1]) if bare else [word.strip().lower() for word in next(table)]
    name, label = map(columns.index, _found(columns, path))
    for fields in table:
        if fields and len(fields) != len(columns):
            few = "no label" if len(fields) == 1 else f"{len(fields)} fields, where there are {len(columns)}"
            raise UserError(
                f"{path}:{table.line_num} has {few}", help=["put quotes around a name with commas"]
            )
        if fields:
            yield fields[name], fields[label], f"{path}:{table.line_num}"


def _found(columns: Sequence[str], path: str) -> tuple[str, str]:
    """The columns of the names and of the labels."""
    name, label = (next((c for c in known if c in columns), None) for known in (NAMES, LABELS))
    if name and label:
        return name, label
    wanted = (
        "names (name, file_name, path, image, ...)" if not name else "labels (label, class, category, ...)"
    )
    message = f"{path} has no column of {wanted}: its first line has {', '.join(columns)}"
    raise NoLabelsError(message, help=[f"it may be {FORMS}"])


def _split(line: str, where: str) -> tuple[str, str]:
    """'back pack/frame 1.jpg 0' as the name and the label behind the last space."""
    name, *label = line.strip().rsplit(maxsplit=1)
    return name, label[0] if label else ""


def _is_image(name: str) -> bool:
    return name.strip().lower().endswith(SUFFIXES)


def _plain(name: Any) -> str:
    """With forward slashes, and without leading dots that only say where the list lay."""
    return re.sub(r"^(\.{1,2}/)+", "", str(name).strip().replace("\\", "/"))


def class_name(value: Any, name: Any, where: str) -> str:
    """A label as it stands in a table. Raises `UserError` where it cannot be the class of an image."""
    text = "" if value is None else str(value).strip()
    if text.lower() in ("", "nan"):
        help = ["write its class, or leave the image out: those that are not named are not used"]
        raise UserError(f"{where}: '{name}' has no label", help=help)
    if isinstance(value, (list, dict)):
        raise UserError(
            f"{where}: '{name}' has several labels, {text[:60]}", help=["there is one class an image"]
        )
    if text.isdecimal() or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        return text
    if float(text) < 0 or not float(text).is_integer():
        help = ["classes are words, or whole numbers from 0 on"]
        raise UserError(f"{where}: the label of '{name}' is {text}, which is no class", help=help)
    return str(int(float(text)))
