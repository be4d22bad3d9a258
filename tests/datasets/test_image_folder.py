"""`image_folder` on made-up folders and archives; the real sprites where the data root has them."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets import image_folder

from .conftest import Bar
from .pictures import BLUE, GREEN, RED, Prepare, levels, many, pack_tar, pack_zip, save

pytestmark = pytest.mark.filterwarnings("error")  # caveats that a test does not expect


def only(dataset: Any) -> np.ndarray:
    """H x W x C of the one image."""
    (pixels,) = dataset.split("train").pixels.numpy()
    return pixels.transpose(1, 2, 0)


def test_every_format_at_every_depth_is_read_in_the_order_of_names(prepare: Prepare, folder: Path) -> None:
    names = ["a.png", "b/c.jpg", "b/d/e.webp", "f.bmp", "g.gif", "h.JPEG"]
    for i, name in enumerate(names):
        save(folder / name, (40 * i, 40 * i, 40 * i))
    (folder / "LICENSE").write_text("not an image")
    (folder / ".hidden.png").write_text("a file of the system's")
    dataset = prepare(test_share=0)
    assert dataset.split("train").pixels.shape == (6, 3, 8, 8)
    assert np.abs(np.array(levels(dataset)) - 40 * np.arange(6)).max() <= 1
    assert dataset.split("train").labels is None
    assert dataset.split("train").classes is None


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_an_archive_is_read_like_the_folder_that_is_in_it(
    prepare: Prepare, folder: Path, tmp_path: Path, suffix: str
) -> None:
    many(folder)
    path = tmp_path / f"pictures.{suffix}"
    if suffix == "zip":
        pack_zip(folder, path)
    else:
        pack_tar(folder, path, "w:gz" if suffix == "tar.gz" else "w")
    archive, plain = prepare(path=str(path)), prepare()
    for split in ("train", "test"):
        assert levels(archive, split) == levels(plain, split)


def test_a_relative_path_is_looked_for_in_the_working_directory_and_then_the_data_root(
    prepare: Prepare, context: DataContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert context.root
    save(context.root / "here" / "a.png", (1, 1, 1))
    assert levels(prepare(path="here", test_share=0)) == [1]
    save(tmp_path / "here" / "a.png", (2, 2, 2))
    assert levels(prepare(path="here", test_share=0)) == [2]
    with pytest.raises(UserError, match="there is no 'nowhere'") as caught:
        prepare(path="nowhere")
    assert f"looked for {tmp_path / 'nowhere'}" in caught.value.render()
    assert f"looked for {context.root / 'nowhere'}" in caught.value.render()


# Pixels -------------------------------------------------------------------------------------------------


def test_the_center_is_cut_out_and_nothing_is_resampled_where_it_has_the_size(
    prepare: Prepare, folder: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 14, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "wide.png")
    assert np.array_equal(only(prepare(test_share=0)), noise[:, 3:11])


def test_shrinking_is_anti_aliased_and_nearest_is_not(prepare: Prepare, folder: Path) -> None:
    """A checkerboard of single pixels averages to gray; picked pixels stay black or white."""
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(folder / "board.png")
    middle = only(prepare(test_share=0, filter="bilinear"))[2:-2, 2:-2]
    assert np.abs(middle.astype(int) - 127).max() <= 2
    assert set(np.unique(only(prepare(test_share=0, filter="nearest")))) <= {0, 255}


def test_fit_pads_or_stretches(prepare: Prepare, folder: Path) -> None:
    save(folder / "wide.png", RED, size=(32, 16))
    padded = only(prepare(test_share=0, fit="pad", background="#0000ff"))
    assert np.array_equal(padded[2:6], np.broadcast_to(RED, (4, 8, 3)))
    assert np.array_equal(padded[[0, 1, 6, 7]], np.broadcast_to(BLUE, (4, 8, 3)))
    assert np.array_equal(only(prepare(test_share=0, fit="stretch")), np.broadcast_to(RED, (8, 8, 3)))


@pytest.mark.parametrize(("background", "expected"), [("white", (255, 127, 127)), ("#000", (128, 0, 0))])
def test_transparent_pixels_show_the_background(
    prepare: Prepare, folder: Path, background: str, expected: tuple[int, int, int]
) -> None:
    """128/255 of red over the background: 255 (1 - 128/255) = 127 for white."""
    save(folder / "half.png", (*RED, 128), mode="RGBA")
    assert np.array_equal(
        only(prepare(test_share=0, background=background)), np.broadcast_to(expected, (8, 8, 3))
    )


def test_palettes_with_and_without_transparency(prepare: Prepare, folder: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*BLUE, *GREEN])
    image.putpixel((0, 0), 0)
    image.save(folder / "a.png")
    image.save(folder / "b.png", transparency=0)
    opaque, transparent = prepare(test_share=0, background="black").split("train").pixels.numpy()
    assert tuple(opaque[:, 0, 0]) == BLUE
    assert tuple(transparent[:, 0, 0]) == (0, 0, 0)
    assert tuple(opaque[:, 1, 1]) == tuple(transparent[:, 1, 1]) == GREEN


def test_gray_images_of_8_and_16_bits_become_color_and_color_becomes_luma(
    prepare: Prepare, folder: Path
) -> None:
    save(folder / "a.png", 100, mode="L")
    Image.fromarray(np.full((8, 8), 100 * 257, dtype=np.uint16)).save(folder / "b.png")
    save(folder / "c.png", RED)
    color = prepare(test_share=0).split("train").pixels[:, :, 0, 0].tolist()
    assert color == [[100] * 3, [100] * 3, list(RED)]
    gray = prepare(test_share=0, channels=1).split("train").pixels
    assert gray.shape == (3, 1, 8, 8)
    assert gray[:, 0, 0, 0].tolist() == [100, 100, 76]  # 0.299 * 255, BT.601


def test_the_camera_s_orientation_is_applied(prepare: Prepare, folder: Path) -> None:
    """EXIF orientation 3 is a turn by 180 degrees: the first row becomes the last, mirrored."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(noise).save(folder / "turned.png", exif=exif)
    assert np.array_equal(only(prepare(test_share=0)), noise[::-1, ::-1])


# Splits and labels --------------------------------------------------------------------------------------


def test_a_share_is_held_out_by_the_hash_of_names(prepare: Prepare, folder: Path) -> None:
    many(folder)
    before = prepare(test_share=0.25)
    train, test = set(levels(before)), set(levels(before, "test"))
    assert len(test) == 5
    assert train | test == set(range(20))
    assert not train & test
    assert test != set(range(5))
    assert test != set(range(15, 20))
    save(folder / "new.png", (99, 99, 99))
    moved = test ^ (set(levels(prepare(test_share=0.25), "test")) - {99})
    assert len(moved) <= 1


def test_folders_called_like_splits_are_the_splits_and_those_below_the_classes(
    prepare: Prepare, folder: Path
) -> None:
    for split, classes in {"train": ["cat", "dog", "dog"], "test": ["dog", "emu"]}.items():
        for i, name in enumerate(classes):
            save(folder / "data" / split / name / f"{i}.png", (i, i, i))
    dataset = prepare()
    assert dataset.split("train").classes == dataset.split("test").classes == ("cat", "dog", "emu")
    assert dataset.split("train").labels.tolist() == [0, 1, 1]
    assert dataset.split("test").labels.tolist() == [1, 2]


def test_val_is_the_test_split_where_there_is_no_other(prepare: Prepare, folder: Path) -> None:
    save(folder / "train" / "a.png", (1, 1, 1))
    save(folder / "val" / "a.png", (2, 2, 2))
    assert levels(prepare(), "test") == [2]
    save(folder / "test" / "a.png", (3, 3, 3))
    assert [levels(prepare(), split) for split in ("train", "val", "test")] == [[1], [2], [3]]


def test_images_outside_the_splits_are_told(prepare: Prepare, folder: Path) -> None:
    for name in ("train/a.png", "test/b.png", "extra/c.png"):
        save(folder / name)
    with pytest.warns(UserWarning, match=r"images outside .* left out \(1\): extra/c\.png"):
        prepare()


def test_class_folders_are_numbered_in_the_order_of_numbers(prepare: Prepare, folder: Path) -> None:
    for name in ("10", "2", "1"):
        save(folder / name / "a.png")
    images = prepare(test_share=0).split("train")
    assert images.classes == ("1", "2", "10")
    assert images.labels.tolist() == [0, 2, 1]  # in the order of the files' names: 1, 10, 2
    assert prepare(test_share=0, labels="none").split("train").labels is None


@pytest.mark.parametrize("names", [["a.png", "b/c.png"], ["b/a.png", "b/c.png"]])
def test_without_class_folders_there_are_no_labels_unless_asked_for(
    prepare: Prepare, folder: Path, names: list[str]
) -> None:
    for name in names:
        save(folder / name)
    assert prepare(test_share=0).split("train").labels is None
    with pytest.raises(UserError, match="the images have no class folders"):
        prepare(labels="folders")


@pytest.mark.parametrize("inside", [True, False])
def test_labels_from_a_table(
    prepare: Prepare, folder: Path, context: DataContext, inside: bool, tmp_path: Path
) -> None:
    many(folder / "images", 3)
    base = folder if inside else context.root
    assert base
    base.mkdir(exist_ok=True)
    (base / "labels.csv").write_text("label,name\nowl,images/000.png\nant, 002.png\nowl,001.png\n")
    images = prepare(labels="labels.csv", test_share=0).split("train")
    assert images.classes == ("ant", "owl")
    assert images.labels.tolist() == [1, 1, 0]
    if inside:
        pack_tar(folder, tmp_path / "all.tar", "w")
        packed = prepare(path=str(tmp_path / "all.tar"), labels="labels.csv", test_share=0).split("train")
        assert packed.labels.tolist() == [1, 1, 0]


def test_a_changed_table_is_read_again(prepare: Prepare, folder: Path, context: DataContext) -> None:
    many(folder, 1)
    assert context.root
    context.root.mkdir()
    for label in ("owl", "albatross"):
        (context.root / "labels.csv").write_text(f"name,label\n000.png,{label}\n")
        assert prepare(labels="labels.csv", test_share=0).split("train").classes == (label,)


def test_images_that_the_table_does_not_name_are_left_out_and_told(prepare: Prepare, folder: Path) -> None:
    many(folder, 3)
    (folder / "labels.csv").write_text("name,label\n000.png,1\n002.png,0\n")
    with pytest.warns(UserWarning, match=r"images that labels\.csv does not name .*\(1\): 001\.png"):
        dataset = prepare(labels="labels.csv", test_share=0)
    assert levels(dataset) == [0, 2]
    assert dataset.split("train").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\n000.png,1\n00l.png,2\n", r"names images that are not there \(1\): 00l\.png"),
        ("name,label\nc.png,1\n", r"names images of which there are several: c\.png"),
        ("name,label\n000.png\n", r"labels\.csv:2 has no label"),
        ("name,label\n", "names no image"),
        ("\x00\x80", "is no table of names and labels"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(
    prepare: Prepare, folder: Path, table: str, message: str
) -> None:
    many(folder, 2)
    for name in ("a/c.png", "b/c.png"):
        save(folder / name)
    (folder / "labels.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(UserError, match=message) as caught:
        prepare(labels="labels.csv")
    assert caught.value.help


def test_a_table_that_is_not_there_is_an_error(prepare: Prepare, folder: Path) -> None:
    many(folder, 2)
    with pytest.raises(UserError, match=r"no table of labels 'labels\.csv'"):
        prepare(labels="labels.csv")


# Damage and bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_left_out_and_named_every_time(
    prepare: Prepare, folder: Path, tmp_path: Path, packed: bool
) -> None:
    many(folder, 6)
    whole = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "003.png").write_bytes(b"")
    (folder / "zzz.jpg").write_text("no image at all")
    path = folder
    if packed:
        path = tmp_path / "all.zip"
        pack_zip(folder, path)
    for _ in range(2):
        with pytest.warns(UserWarning, match="3 of 7 files cannot be read") as caught:
            dataset = prepare(path=str(path), test_share=0)
        assert all(name in str(caught[0].message) for name in ("001.png", "003.png", "zzz.jpg"))
    assert levels(dataset) == [0, 2, 4, 5]
    assert dataset.split("train").provenance["count"] == 4


def test_nothing_but_damaged_files_is_an_error(prepare: Prepare, folder: Path) -> None:
    (folder / "a.png").write_text("no image")
    with pytest.raises(UserError, match=r"none of the images of the train split can be read: a\.png"):
        prepare(test_share=0)


def test_a_cut_archive_is_an_error(prepare: Prepare, folder: Path, tmp_path: Path) -> None:
    many(folder)
    path = tmp_path / "all.tar.gz"
    pack_tar(folder, path, "w:gz")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="cannot be read"):
        prepare(path=str(path))


def test_no_images_one_image_and_a_file_that_is_no_archive_are_errors(prepare: Prepare, folder: Path) -> None:
    (folder / "readme.txt").write_text("nothing here")
    with pytest.raises(UserError, match="holds no images"):
        prepare()
    with pytest.raises(UserError, match="neither a folder nor a tar nor a zip"):
        prepare(path=str(folder / "readme.txt"))
    save(folder / "a.png")
    with pytest.raises(UserError, match="there is one image") as caught:
        prepare()
    assert "test_share = 0" in caught.value.render()
    assert len(prepare(test_share=0).split("train")) == 1


def test_images_smaller_than_the_size_are_an_error_unless_enlarging_is_asked_for(
    prepare: Prepare, folder: Path
) -> None:
    save(folder / "small.png", size=(6, 20))
    with pytest.raises(UserError, match=r"small\.png has 6 x 20 pixels, too few for size 8") as caught:
        prepare(test_share=0)
    assert "size = 6" in caught.value.render()
    assert prepare(test_share=0, upscale=True).split("train").pixels.shape[-1] == 8
    assert prepare(test_share=0, fit="pad").split("train").pixels.shape[-1] == 8


def test_a_color_that_there_is_not_is_an_error_at_once(build: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="'whyte' is no color"):
        build("dataset", "image_folder", path="anywhere", background="whyte")


# The cache ----------------------------------------------------------------------------------------------


def test_images_are_decoded_once_with_progress_and_again_after_a_change(
    build: Callable[..., Any], folder: Path, context: DataContext
) -> None:
    bars: list[Bar] = []

    def track(title: str, total: int) -> Any:
        bars.append(Bar(title, total))
        return bars[-1]

    def train(**options: Any) -> list[int]:
        dataset = build("dataset", "image_folder", path=str(folder), test_share=0, **{"size": 8, **options})
        dataset.prepare(dataclasses.replace(context, track=track))
        return levels(dataset)

    many(folder, 3)
    assert train() == train() == [0, 1, 2]
    assert [(bar.total, bar.done) for bar in bars] == [(3, 3)]
    save(folder / "001.png", (50, 50, 50))
    os.utime(folder / "001.png", (1, 1))
    assert train() == [0, 50, 2]
    (folder / "000.png").unlink()
    assert train() == [50, 2]
    train(size=4)
    assert [bar.total for bar in bars] == [3, 3, 2, 2]
    left_over = [path for path in (context.cache / "prepared").rglob("*") if "scratch" in path.name]
    assert not left_over


@pytest.mark.real_data
def test_the_sprites(build: Callable[..., Any], context: DataContext) -> None:
    root = Path(os.environ.get("LAB_DATA_ROOT", "nowhere"))
    if not (root / "sprites64.tar").exists():
        pytest.skip("the data root has no sprites64.tar")
    dataset = build("dataset", "image_folder", path="sprites64.tar")
    dataset.prepare(dataclasses.replace(context, root=root))
    assert dataset.split("train").pixels.shape == (9000, 3, 64, 64)
    assert dataset.split("test").pixels.shape == (1000, 3, 64, 64)
    assert (dataset.split("test").pixels[:, :, 0, 0] == 255).all()  # corners are transparent


# Interrupted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [False, True])
def test_a_preparation_goes_on_where_it_was_interrupted(
    prepare: Prepare, context: DataContext, folder: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    many(folder, 40)
    if damaged:
        (folder / "003.png").write_bytes(b"no picture")
    monkeypatch.setattr(image_folder, "CHUNK", 4)
    monkeypatch.setattr(image_folder, "KEPT", 8)
    read, own = [], image_folder._pixels

    def until(most: int) -> Callable[..., Any]:
        def pixels(framing: Any, name: str, data: bytes) -> Any:
            if len(read) >= most:
                raise SystemExit("killed")
            read.append(name)
            return own(framing, name, data)

        return pixels

    monkeypatch.setattr(image_folder, "_pixels", until(24))
    with pytest.raises(SystemExit):
        prepare(test_share=0)
    before = set(read)
    monkeypatch.setattr(image_folder, "_pixels", until(10**6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = prepare(test_share=0)
    again = len(read) - len(set(read))
    assert len(before) == 24 and again <= 8, again  # no more than was not noted yet
    assert levels(dataset) == [i for i in range(40) if not (damaged and i == 3)]
    assert not list(context.cache.rglob("*.partial"))
