"""Labels of `image_folder` in the forms in which people have them: read, or refused with file and line."""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pluglab.errors import UserError
from pluglab_datasets.image_listing import Entry, held_out

from .pictures import Prepare, levels, many, pack_zip, save

pytestmark = pytest.mark.filterwarnings("error")
PETS = {"cat": 0, "dog": 1}


@pytest.fixture
def pets(folder: Path) -> Path:
    """cat/0.png and dog/0.png, of levels 0 and 100, and cat/1.png and dog/1.png, one level above."""
    for i, name in enumerate(PETS):
        for number in (0, 1):
            level = 100 * i + number
            save(folder / name / f"{number}.png", (level, level, level))
    return folder


def named(dataset: object, split: str = "train") -> dict[int, str]:
    """The class of each image, by its gray level."""
    images = dataset.split(split)  # type: ignore[attr-defined]
    words = [images.classes[label] for label in images.labels.tolist()]
    return dict(zip(levels(dataset, split), words, strict=True))


RIGHT = {0: "cat", 1: "cat", 100: "dog", 101: "dog"}
COMMA = "cat/0.png,cat\ncat/1.png,cat\ndog/0.png,dog\ndog/1.png,dog\n"
READ = {
    "lab predict": "name,class,probability\n" + COMMA.replace("\n", ",0.9\n"),
    "other names of the columns": "File_Name,Category\n" + COMMA,
    "the label first": "label,path\ncat,cat/0.png\ncat,cat/1.png\ndog,dog/0.png\ndog,dog/1.png\n",
    "semicolons": "image;label\n" + COMMA.replace(",", ";"),
    "tabs": "image\tlabel\n" + COMMA.replace(",", "\t"),
    "no first line": COMMA,
    "a byte-order mark": "\ufeffname,label\n" + COMMA,
    "backslashes": "name,label\n" + COMMA.replace("/", "\\"),
    "no suffixes": "id,breed,label\n" + COMMA.replace(".png,", ",poodle,"),
    "twice the same": "name,label\n" + COMMA + COMMA,
    "below the working directory": "name,label\n" + COMMA.replace("cat/", "./pictures/cat/"),
    "above it": "name,label\n" + COMMA.replace("dog/", "../pictures/dog/"),
}


@pytest.mark.parametrize("form", READ)
def test_a_table_of_labels_is_read(prepare: Prepare, pets: Path, form: str) -> None:
    (pets / "labels.csv").write_text(READ[form])
    assert named(prepare(labels="labels.csv", test_share=0)) == RIGHT


@pytest.mark.parametrize("sign", [" ", "  ", "\t", ","])
@pytest.mark.parametrize("below", ["", "{pets}/", "/home/someone/pictures/", "D:/sets/pets/"])
def test_a_list_of_paths_and_labels_is_read(prepare: Prepare, pets: Path, sign: str, below: str) -> None:
    """Office-31's and MNIST-M's; with the whole paths of today, or of whoever wrote the list."""
    save(pets / "dog" / "with space.png", (102, 102, 102))
    below = below.format(pets=pets)
    names = [f"{name}/{i}.png" for name in PETS for i in (0, 1)] + ["dog/with space.png"]
    lines = [f"{below}{name}{sign}{PETS[name[:3]]}\n" for name in names]
    (pets / "list.txt").write_text("".join(lines))
    found = named(prepare(labels="list.txt", test_share=0))
    assert found == {0: "0", 1: "0", 100: "1", 101: "1", 102: "1"}


REFUSED = {
    "name,label\ncat/0.png,\n": r"labels\.csv:2: 'cat/0\.png' has no label",
    "name,label\ncat/0.png,nan\n": r"labels\.csv:2: 'cat/0\.png' has no label",
    "cat/0.png 0\ncat/1.png\n": r"labels\.csv:2: 'cat/1\.png' has no label",
    "name,label\ncat/0.png,0\n\ncat/1.png,-1\n": r"labels\.csv:4: the label of 'cat/1\.png' is -1",
    "name,label\ncat/0.png,2.5\n": r"labels\.csv:2: the label of 'cat/0\.png' is 2\.5",
    "name,label\ncat/0.png,cat,1\n": r"labels\.csv:2 has 3 fields, where there are 2",
    "name,label\ncat/0.png,cat\n./cat/0.png,dog\n": r"labels\.csv:3: .* is labeled dog, and cat at .*:2",
    "breed,picture\ncat,cat/0.png\n": "no column of names .*: its first line has breed, picture",
    "name,breed\ncat/0.png,cat\n": "no column of labels .*: its first line has name, breed",
    "name,label\ncat/9.png,cat\n": r"images that are not there \(1\): cat/9\.png",
    "name,label\nbird/0.png,bird\n": r"images that are not there \(1\): bird/0\.png",
    "name,label\n/far/bird/0.png,bird\n": r"images that are not there \(1\): /far/bird/0\.png",
    "name,label\n/far/cat/0.png,cat\nsome/dog/0.png,dog\n": r"images that are not there \(2\)",
    "name,label\n0.png,cat\n": r"images of which there are several: 0\.png",
    "what is this": "is no table of names and labels",
}


@pytest.mark.parametrize("table", REFUSED)
def test_a_table_that_is_wrong_is_refused_with_its_line(prepare: Prepare, pets: Path, table: str) -> None:
    (pets / "labels.csv").write_text(table)
    with pytest.raises(UserError, match=REFUSED[table]) as caught:
        prepare(labels="labels.csv")
    assert caught.value.help


def test_whole_numbers_that_a_program_wrote_with_a_point_are_whole(prepare: Prepare, pets: Path) -> None:
    (pets / "labels.csv").write_text("name,label\ncat/0.png,0.0\ncat/1.png,10.0\ndog/0.png,2\ndog/1.png,07\n")
    images = prepare(labels="labels.csv", test_share=0).split("train")
    assert images.classes == ("0", "2", "07", "10")


# Tables that are used without being asked for -----------------------------------------------------------


def test_stylegan_s_dataset_json(prepare: Prepare, folder: Path, tmp_path: Path) -> None:
    """Its folders are shards and no classes."""
    many(folder / "00000", 2)
    save(folder / "00001" / "002.png", (2, 2, 2))
    pairs = [["00000/000.png", 6], ["00000/001.png", 9], ["00001/002.png", 6]]
    (folder / "dataset.json").write_text(json.dumps({"labels": pairs}))
    assert named(prepare(test_share=0)) == {0: "6", 1: "9", 2: "6"}
    pack_zip(folder, tmp_path / "all.zip")
    assert named(prepare(path=str(tmp_path / "all.zip"), test_share=0)) == {0: "6", 1: "9", 2: "6"}
    pairs[1][1] = -3
    (folder / "dataset.json").write_text(json.dumps({"labels": pairs}))
    with pytest.raises(UserError, match=r"dataset\.json, labels\[1\]: the label of '00000/001\.png' is -3"):
        prepare()
    (folder / "dataset.json").write_text('{"labels": null}')
    assert prepare(test_share=0).split("train").labels is None
    with pytest.raises(UserError, match=r"dataset\.json has no labels"):
        prepare(labels="dataset.json")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_hugging_face_s_metadata_beside_the_images_of_each_split(
    prepare: Prepare, folder: Path, form: str
) -> None:
    """File names are relative to the folder of the table."""
    for split, words in {"train": ["owl", "ant"], "test": ["ant", "owl"]}.items():
        many(folder / split, 2)
        lines = [f"{i:03}.png,{word}" for i, word in enumerate(words)]
        if form == "jsonl":
            rows = [dict(zip(("file_name", "label"), line.split(","), strict=True)) for line in lines]
            lines = [json.dumps(row) for row in rows]
        else:
            lines = ["file_name,label", *lines]
        (folder / split / f"metadata.{form}").write_text("\n".join(lines))
    dataset = prepare()
    assert named(dataset) == {0: "owl", 1: "ant"}
    assert named(dataset, "test") == {0: "ant", 1: "owl"}


def test_metadata_without_labels_leaves_them_to_the_folders(prepare: Prepare, pets: Path) -> None:
    (pets / "metadata.csv").write_text("file_name,text\ncat/0.png,a cat that sleeps\n")
    assert named(prepare(test_share=0)) == RIGHT


# Parquet ------------------------------------------------------------------------------------------------


def write_parquet(path: Path, labels: list[int | None], names: list[str] | None) -> None:
    """As the hub has MNIST: an image is {bytes, path}, its level its number; label numbers have names."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    images = []
    for i in range(len(labels)):
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    about = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    kind = pa.schema(
        {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()}, about
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"image": images, "label": labels}, schema=kind), path)


def test_parquet_of_the_hub(prepare: Prepare, folder: Path) -> None:
    words = ["zero", "one", "two"]
    write_parquet(folder / "mnist" / "train-00000-of-00002.parquet", [2, 0, 2], words)
    write_parquet(folder / "mnist" / "train-00001-of-00002.parquet", [1], words)
    write_parquet(folder / "mnist" / "test-00000-of-00001.parquet", [1, 0], words)
    dataset = prepare(channels=1)
    assert levels(dataset) == [0, 1, 2, 0]
    train = dataset.split("train")
    assert [train.classes[i] for i in train.labels] == ["two", "zero", "two", "one"]
    assert named(dataset, "test") == {0: "one", 1: "zero"}
    assert prepare(channels=1, labels="none").split("test").labels is None


def test_one_parquet_file_without_names_of_its_classes(prepare: Prepare, folder: Path) -> None:
    write_parquet(folder / "rows.parquet", [7, 3], None)
    assert named(prepare(path=str(folder / "rows.parquet"), test_share=0)) == {0: "3"} | {0: "7", 1: "3"}
    write_parquet(folder / "rows.parquet", [7, None], None)
    with pytest.warns(UserWarning, match=r"does not name were left out \(1\)"):
        assert named(prepare(path=str(folder / "rows.parquet"), test_share=0)) == {0: "7"}


def test_labels_of_parquet_outside_its_classes_are_refused(prepare: Prepare, folder: Path) -> None:
    write_parquet(folder / "train.parquet", [0, 3], ["a", "b"])
    with pytest.raises(UserError, match=r"train\.parquet, row 1: label 3, where there are 2 classes"):
        prepare()


def test_parquet_without_pyarrow_or_images_is_refused_in_words(
    prepare: Prepare, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["a"], "label": [1]}), folder / "train.parquet")
    with pytest.raises(UserError, match="no column of encoded images: its columns are text, label"):
        prepare()
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match="which needs pyarrow") as caught:
        prepare()
    assert 'pip install "pluglab-datasets[parquet]"' in caught.value.render()


# Folders and splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "images/"])
def test_a_labeled_train_beside_a_flat_test_keeps_its_labels(
    prepare: Prepare, folder: Path, below: str
) -> None:
    for i, name in enumerate(PETS):
        save(folder / "train" / name / "a.png", (i, i, i))
    save(folder / "test" / below / "a.png")
    save(folder / "test" / below / "b.png")
    with pytest.warns(UserWarning, match="images of test are in no class folders"):
        dataset = prepare()
    assert named(dataset) == {0: "cat", 1: "dog"}
    assert dataset.split("test").labels is None
    with pytest.raises(UserError, match="the images of test have no class folders") as caught:
        prepare(labels="folders")
    assert 'labels = "auto"' in caught.value.render()


def test_a_table_that_names_no_test_image_leaves_them_unlabeled(prepare: Prepare, folder: Path) -> None:
    """train.csv beside train/ and test/, as competitions have it."""
    many(folder / "train", 3)
    many(folder / "test", 2)
    table = "image,label\ntrain/000.png,a\ntrain/001.png,b\ntrain/002.png,a\n"
    (folder / "train.csv").write_text(table)
    with pytest.warns(UserWarning, match=r"train\.csv names no image of test: they have no labels"):
        dataset = prepare(labels="train.csv")
    assert named(dataset) == {0: "a", 1: "b", 2: "a"}
    assert levels(dataset, "test") == [0, 1]
    assert dataset.split("test").labels is None
    (folder / "train.csv").write_text("image,label\ntest/000.png,a\n")
    with pytest.raises(UserError, match=r"train\.csv names no image of the train split"):
        prepare(labels="train.csv")


def test_the_same_share_of_every_class_is_held_out(prepare: Prepare, folder: Path) -> None:
    sizes = {"a": 40, "b": 20, "c": 10, "d": 1}
    for name, count in sizes.items():
        many(folder / name, count)
    dataset = prepare(test_share=0.1)
    counts = Counter(dataset.split("test").labels.tolist())
    assert counts == {0: 4, 1: 2, 2: 1}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.34, 0.5, 0.9])
def test_what_is_held_out_is_the_share_of_all_and_within_one_of_each_class(share: float) -> None:
    sizes = {"a": 31, "b": 3, "c": 3, "d": 57, "e": 1}
    entries = [Entry(f"{name}/{i}", f"{name}/{i}", name) for name, n in sizes.items() for i in range(n)]
    splits = held_out(entries, share)
    assert len(splits["test"]) == max(1, round(share * len(entries)))
    counts = Counter(entry.label for entry in splits["test"])
    exact = len(splits["test"]) / len(entries)
    assert all(abs(counts[name] - exact * n) <= 1 for name, n in sizes.items())
    assert splits["train"] + splits["test"] == sorted(entries, key=(splits["train"] + splits["test"]).index)
    moved = {e.name for e in held_out([*entries, Entry("a/n", "a/n", "a")], share)["test"]}
    assert len({e.name for e in splits["test"]} - moved) <= 2


# Files --------------------------------------------------------------------------------------------------


def test_class_folders_that_are_links_are_followed(prepare: Prepare, pets: Path, tmp_path: Path) -> None:
    """As are links to files; not a link to a folder above, which would never end."""
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in PETS:
        (linked / name).symlink_to(pets / name, target_is_directory=True)
    (pets / "cat" / "again").symlink_to(pets, target_is_directory=True)
    (pets / "dog" / "2.png").symlink_to(save(tmp_path / "far.png", (102, 102, 102)))
    assert named(prepare(path=str(linked), test_share=0)) == {**RIGHT, 102: "dog"}


def test_a_link_that_leads_nowhere_is_a_damaged_file(prepare: Prepare, folder: Path) -> None:
    many(folder, 2)
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    with pytest.warns(UserWarning, match=r"1 of 3 files cannot be read .*: lost\.png"):
        assert levels(prepare(test_share=0)) == [0, 1]


@pytest.mark.parametrize("suffix", ["tif", "tiff", "jp2", "ppm", "pgm", "avif", "jfif"])
def test_less_common_formats_are_read(prepare: Prepare, folder: Path, suffix: str) -> None:
    kinds = {"jfif": "JPEG", "jp2": "JPEG2000", "pgm": "PPM", "tif": "TIFF"}
    image = Image.new("L" if suffix == "pgm" else "RGB", (8, 8), 77 if suffix == "pgm" else (77, 77, 77))
    try:
        image.save(folder / f"a.{suffix}", kinds.get(suffix))
    except (OSError, KeyError, ValueError):
        pytest.skip(f"this Pillow cannot write {suffix}")
    assert levels(prepare(test_share=0))[0] == pytest.approx(77, abs=2)


def test_pictures_of_kinds_that_are_not_read_are_told(prepare: Prepare, folder: Path) -> None:
    many(folder, 2)
    (folder / "b.heic").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"of kinds that are not read were left out \(1\): b\.heic"):
        prepare(test_share=0)
    (folder / "b.heic").unlink()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(folder / "float.tif")
    with pytest.warns(UserWarning, match=r"cannot be read as images and were left out: float\.tif"):
        prepare(test_share=0)


def test_moved_images_are_not_decoded_again_and_changed_ones_are(
    prepare: Prepare, folder: Path, tmp_path: Path
) -> None:
    """The cache is keyed by content: neither place nor time nor size says what it is."""
    save(folder / "a.bmp", (1, 1, 1))
    before = prepare(test_share=0).split("train")
    elsewhere = tmp_path / "elsewhere" / folder.name
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    moved = prepare(path=str(elsewhere), test_share=0).split("train")
    assert moved.digest == before.digest
    assert len(list((tmp_path / "cache" / "prepared").glob("image_folder-*/"))) == 1
    stat = (elsewhere / "a.bmp").stat()
    save(elsewhere / "a.bmp", (2, 2, 2))
    os.utime(elsewhere / "a.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (elsewhere / "a.bmp").stat().st_size == stat.st_size
    assert levels(prepare(path=str(elsewhere), test_share=0)) == [2]
