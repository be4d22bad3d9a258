"""Tables of labels and lists of images: what a person wrote is what is read, and the rest is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from pluglab.errors import UserError
from pluglab.storage.csv_files import write_csv
from pluglab_datasets.image_labels import by_folders, by_table, only_named
from pluglab_datasets.image_listing import Entry, divided, held_out, images_of
from pluglab_datasets.label_tables import Row, class_name, read_table

# Printable: a table is text, and its lines end where every program thinks that they do.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"])
WORD = st.text(st.one_of(st.sampled_from("ab ,;'\".-01"), CHARACTERS), min_size=1, max_size=6)
NAME = st.tuples(WORD, st.sampled_from([".png", ".JPG", ".jpeg"])).map("".join)
ROWS = st.dictionaries(NAME, WORD, min_size=1, max_size=5)
SIGNS = st.sampled_from(",;\t")


def plain(name: str) -> str:
    return name.strip().replace("\\", "/")


def is_told(name: str, label: str) -> bool:
    """Whether a table can say it: names and labels that begin or end in blanks are not told from others."""
    same = plain(name) == name and label.strip() == label and not name.startswith(("./", "../"))
    try:
        return same and class_name(label, name, "") == label
    except UserError:
        return False


def read(text: str, path: str) -> dict[str, str]:
    return {row.name: row.label for row in read_table(text.encode(), path)}


@given(ROWS, SIGNS, st.sampled_from(["name", "file_name", "Path"]), st.sampled_from(["label", "Class"]))
def test_a_table_is_read_as_it_was_written(rows: dict[str, str], sign: str, name: str, label: str) -> None:
    assume(all(is_told(*row) for row in rows.items()))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sign, lineterminator="\n")
    writer.writerows([("extra", name, label), *(("x", *row) for row in rows.items())])
    assert read(text.getvalue(), "t.csv") == rows


@given(ROWS)
def test_so_are_json_lines_and_the_form_of_stylegan(rows: dict[str, str]) -> None:
    assume(all(is_told(*row) for row in rows.items()))
    lines = "".join(json.dumps({"file_name": n, "label": v}) + "\n" for n, v in rows.items())
    assert read(lines, "t.jsonl") == rows
    assert read(json.dumps({"labels": list(rows.items())}), "dataset.json") == rows
    assert read(json.dumps({"labels": rows}), "dataset.json") == rows


@given(st.dictionaries(st.text("ab /", min_size=1, max_size=5), st.text("xy7", min_size=1), min_size=1))
def test_so_is_a_list_of_paths_and_labels(rows: dict[str, str]) -> None:
    wanted = {f"{name.strip()}.png": label for name, label in rows.items()}
    assume(all(is_told(*row) for row in wanted.items()))
    assert read("".join(f"{name} {label}\n" for name, label in wanted.items()), "list.txt") == wanted


FORMS = [
    b'name,label\na.png,cat\nb c.png,"dog, big"\n',
    b"a/b.png 3\na/c.png 4\n",
    b'{"file_name": "a.png", "label": 1}\n{"file_name": "b.png", "label": 2}\n',
    b'{"labels": [["00000/img00000000.png", 5], ["b.png", 6]]}',
]
NAMES = ["t.csv", "t.jsonl", "dataset.json", "list.txt"]
BITS = [
    b"\n[1]\n",
    b"\n3\n",
    b"3",
    b'"x"',
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"\n",
    b"[1]",
    b"{",
    b"}",
    b"null",
    b"1e999",
    b",",
    b"\r",
    b"-1",
    b"\n" + b"[" * 3000 + b"\n",
]


@given(st.sampled_from(FORMS), st.sampled_from(NAMES), st.data())
def test_a_table_that_is_damaged_is_read_or_refused(form: bytes, name: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(form)))
        end = at + data.draw(st.integers(0, 4))
        form = form[:at] + data.draw(st.sampled_from(BITS)) + form[end:]
    try:
        rows = read_table(form, name)
    except UserError as error:
        assert name in error.message
        return
    assert rows and all(isinstance(row.name, str) and row.label.strip() for row in rows)


@given(
    st.one_of(st.text("0123456789+-.eE", max_size=8), st.integers(), st.floats(), st.booleans(), st.none())
)
def test_a_number_as_a_label_is_a_whole_one(value: object) -> None:
    try:
        found = class_name(value, "a.png", "t.csv:1")
    except UserError:
        return
    try:
        number = float(str(value))
    except ValueError:
        assert found == str(value).strip()  # a word
    else:
        assert found.lower() in ("inf", "-inf", "infinity") or int(found) == number or float(found) == number


# Lists of files --------------------------------------------------------------------------------------

PART = st.sampled_from(["cat", "dog", "train", "Test", "val", "valid", "x", "0"])
FILE = st.tuples(
    st.lists(PART, max_size=3), st.integers(0, 30), st.sampled_from([".png", ".jpg", ".heic", ".txt"])
)
FILES = st.lists(FILE.map(lambda f: "/".join([*f[0], f"{f[1]}{f[2]}"])), max_size=20, unique=True)


@given(FILES, st.floats(0, 1, exclude_max=True))
def test_every_image_is_in_one_split_or_named_as_left_out(files: list[str], share: float) -> None:
    try:
        entries, _ = images_of(files, "here")
        splits, caveats = divided(entries)
        splits, _notes = by_folders(splits, required=False)
        splits = splits if len(splits) > 1 else held_out(splits["train"], share)
    except UserError:
        images = [file for file in files if file.endswith((".png", ".jpg"))]
        assert not images or (len(images) == 1 and share > 0)
        return
    found = [entry.file for part in splits.values() for entry in part]
    assert len(found) == len(set(found)) and set(found) <= {file for file in files if file in found}
    images = {file for file in files if file.endswith((".png", ".jpg"))}
    assert set(found) == images or any("were left out" in caveat for caveat in caveats)
    assert all(splits.values())
    for part in splits.values():
        labels = {entry.label for entry in part}
        assert None not in labels or labels == {None}  # all have a label, or none


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(1, 4))
def test_what_is_held_out_is_the_share_that_was_asked_for(count: int, share: float, classes: int) -> None:
    entries = [Entry(f"{i}.png", f"{i}.png", str(i % classes)) for i in range(count)]
    splits = held_out(entries, share)
    assert len(splits["test"]) == min(max(1, round(share * count)), count - 1)
    for name in map(str, range(classes)):
        size = sum(entry.label == name for entry in entries)
        held = sum(entry.label == name for entry in splits["test"])
        assert abs(held - len(splits["test"]) * size / count) <= 1 + 1e-9


@given(st.lists(st.integers(0, 200), min_size=3, max_size=30, unique=True), st.integers(201, 300))
def test_one_image_more_moves_at_most_one_of_each_split(numbers: list[int], more: int) -> None:
    def held(of: list[int]) -> set[str]:
        return {e.file for e in held_out([Entry(f"{i}.png", f"{i}.png") for i in of], 0.2)["test"]}

    assert len(held(numbers) ^ held([*numbers, more])) <= 2


@given(FILES, st.data())
def test_a_table_labels_the_files_that_it_names(files: list[str], data: st.DataObject) -> None:
    entries = [Entry(file, file) for file in files if file.endswith((".png", ".jpg"))]
    assume(entries)
    named = data.draw(st.lists(st.sampled_from(entries), min_size=1, max_size=8))
    rows = [Row(entry.file, str(len(entry.file)), f"t:{i}") for i, entry in enumerate(named)]
    found = by_table(entries, rows, Path("/somewhere/here"), "t")
    assert {entry.file: entry.label for entry in found} == {
        entry.file: str(len(entry.file)) if entry in named else None for entry in entries
    }
    kept, _ = only_named({"train": found}, "t")
    assert {entry.file for entry in kept["train"]} == {entry.file for entry in named}


CELL = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6))


@given(columns=st.lists(st.text(max_size=4), min_size=1, max_size=4), data=st.data())
def test_a_csv_file_holds_the_rows_that_were_written(
    tmp_path: Path, columns: list[str], data: st.DataObject
) -> None:
    width = len(columns)
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=4))
    path = tmp_path / "t.csv"
    write_csv(path, columns, rows)
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    assert found == [columns, *([("" if cell is None else str(cell)) for cell in row] for row in rows)]
