"""The data sets read from their official files; small made-up files here, the real ones in test_real_data."""

from __future__ import annotations

import gzip
import os
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets as torchvision
from torchvision.datasets.mnist import read_image_file

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.archives import read_photos, read_release
from pluglab_datasets.mnist import read_idx
from pluglab_datasets.svhn import read_svhn
from pluglab_datasets.usps import read_usps

from . import official
from .conftest import Bar

NAMES = ["mnist", "usps", "svhn", "mnist_m"]
Prepare = Callable[..., Any]


@pytest.fixture
def root(context: DataContext) -> Path:
    assert context.root
    official.write_all(context.root)
    return context.root


@pytest.fixture
def prepare(build: Callable[..., Any], context: DataContext) -> Prepare:
    """`prepare(name, **options)`: the data set, ready; its caveats are not what these tests are about."""

    def prepared(name: str, **options: Any) -> Any:
        dataset = build("dataset", name, download=False, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.prepare(context)
        return dataset

    return prepared


def pixels(images: Images) -> np.ndarray:
    return images.pixels.numpy()


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize(("name", "channels"), [("mnist", 1), ("usps", 1), ("svhn", 3), ("mnist_m", 3)])
def test_every_data_set_has_its_shape_labels_and_classes(
    root: Path, prepare: Prepare, name: str, channels: int, size: int
) -> None:
    dataset = prepare(name, size=size)
    for split, count in official.COUNTS.items():
        images = dataset.split(split)
        assert images.pixels.shape == (count, channels, size, size)
        assert images.labels.tolist() == official.LABELS[split].tolist()
        assert images.classes == tuple("0123456789")


def test_mnist_is_unscaled_and_framed_by_two_pixels(root: Path, prepare: Prepare) -> None:
    raw = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    assert torch.equal(prepare("mnist", size=28).split("train").pixels[:, 0], read_image_file(str(raw)))
    framed = pixels(prepare("mnist").split("train"))[:, 0]
    assert np.array_equal(framed[:, 2:-2, 2:-2], official.DIGITS["train"])
    assert framed[:, [0, 1, -2, -1]].max() == framed[:, :, [0, 1, -2, -1]].max() == 0


def test_packed_mnist_is_the_same(root: Path, prepare: Prepare) -> None:
    plain = prepare("mnist").split("test")
    for file in (root / "MNIST" / "raw").iterdir():
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = prepare("mnist").split("test")
    assert "MNIST/raw/t10k-images-idx3-ubyte.gz" in packed.provenance["files"]
    assert packed.digest == plain.digest


def test_usps_has_the_levels_that_torchvision_reads(root: Path) -> None:
    """Within one level, as ours are rounded and torchvision's are cut off."""
    reference = torchvision.USPS(str(root / "USPS"), train=False)
    levels, labels = read_usps(root / "USPS" / "usps.t.bz2")
    assert labels.tolist() == reference.targets
    assert np.abs(levels[:, 0].astype(int) - reference.data).max() <= 1
    assert np.array_equal(levels[:, 0], np.rint((official.USPS["test"] + 1) * 127.5))


def test_the_margin_of_usps_is_black(root: Path, prepare: Prepare) -> None:
    bare, framed = (pixels(prepare("usps", margin=m).split("train")) for m in (0, 8))
    assert bare[:, :, :6].max() > 200
    assert framed[:, :, :7].max() == framed[..., -7:].max() == 0
    inner = framed[:, :, 8:-8, 8:-8].astype(int)  # with a margin of 8 the size is 32, and nothing is resized
    assert np.array_equal(inner[:, 0], np.rint((official.USPS["train"] + 1) * 127.5))


def test_svhn_is_read_as_it_is_and_ten_is_the_digit_zero(root: Path, prepare: Prepare) -> None:
    images = prepare("svhn").split("train")
    assert np.array_equal(pixels(images).transpose(0, 2, 3, 1), official.CROPS["train"])
    assert images.labels.tolist() == official.LABELS["train"].tolist()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_built_mnist_m_is_the_difference_of_digit_and_photograph(
    root: Path, prepare: Prepare, split: str, binary: bool
) -> None:
    """Photographs of one color: an image is |color - digit| for a color of its own split's photographs."""
    built = pixels(prepare("mnist_m", binary=binary).split(split)).astype(int)
    digits = np.pad(official.DIGITS[split], [(0, 0), (2, 2), (2, 2)]).astype(int)
    digits = 255 * (digits > 0) if binary else digits
    corner = built[:, :, 0, 0]
    assert np.array_equal(built, np.abs(corner[:, :, None, None] - digits[:, None]))
    nearest = [min(official.COLORS[split], key=lambda c: np.abs(np.array(c) - row).max()) for row in corner]
    assert np.abs(corner - np.array(nearest)).max() <= 3  # JPEG
    assert set(nearest) == set(official.COLORS[split])


def test_mnist_m_is_a_function_of_its_seed(root: Path, prepare: Prepare, context: DataContext) -> None:
    hashes = [prepare("mnist_m", seed=seed).split("train").digest for seed in (0, 1)]
    assert hashes[0] != hashes[1]
    for folder in (context.cache / "prepared").glob("mnist_m-*/provenance.json"):
        folder.unlink()
    assert prepare("mnist_m", seed=0).split("train").digest == hashes[0]


def test_mnist_m_reads_a_copy_of_the_release_for_the_split_that_asks(root: Path, prepare: Prepare) -> None:
    official.write_release_npz(root)
    dataset = prepare("mnist_m", test="MNIST-M/some.npz")
    train, test = dataset.split("train"), dataset.split("test")
    assert len(train) == 30
    assert "built" in train.provenance["source"]
    assert np.array_equal(pixels(test).transpose(0, 2, 3, 1), official.CROPS["test"][:7])
    assert test.provenance["source"] == "the original release"
    assert "test has 7 images where the official data set has 9,001" in " ".join(test.provenance["caveats"])
    assert len(prepare("mnist_m", test="built").split("test")) == 20
    assert len(prepare("mnist_m").split("test")) == 20  # a file of no published name is never just taken
    middle = prepare("mnist_m", size=28, test="MNIST-M/some.npz").split("test")
    assert np.array_equal(pixels(middle).transpose(0, 2, 3, 1), official.CROPS["test"][:7, 2:-2, 2:-2])


def test_the_archive_of_the_release_needs_nothing_else(context: DataContext, prepare: Prepare) -> None:
    assert context.root
    official.write_release_tar(context.root)
    dataset = prepare("mnist_m")
    for split in official.COUNTS:
        images = dataset.split(split)
        assert np.array_equal(pixels(images).transpose(0, 2, 3, 1), official.CROPS[split])
        assert images.labels.tolist() == official.LABELS[split].tolist()


def test_a_release_that_is_asked_for_must_be_there(root: Path, prepare: Prepare) -> None:
    with pytest.raises(UserError, match=r"needs MNIST-M/mnist_m\.tar\.gz, not found"):
        prepare("mnist_m", train="release")
    with pytest.raises(UserError, match="there is no 'relaese'") as caught:
        prepare("mnist_m", train="relaese")
    assert "'release'" in caught.value.render()


# Provenance and caveats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_other_files_than_the_official_ones_are_read_with_a_warning(
    root: Path, build: Callable[..., Any], context: DataContext, name: str
) -> None:
    dataset = build("dataset", name)
    for _ in range(2):  # the second time from the prepared arrays
        with pytest.warns(UserWarning) as caught:
            dataset.prepare(context)
        said = [str(warning.message) for warning in caught]
        assert any(f"{name}: train has 30 images where the official data set has" in line for line in said)
        assert any("is not the official file (its MD5 differs)" in line for line in said)
    assert dataset.split("train").provenance["count"] == 30


# The prepared arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_second_use_reads_the_prepared_arrays(
    root: Path, prepare: Prepare, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(name).split("test")
    monkeypatch.setattr(type(prepare(name)), "read", None)  # calling it would fail
    again = prepare(name).split("test")
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.labels, again.labels)
    assert first.provenance == again.provenance


def test_prepared_arrays_cannot_be_spoiled_by_their_reader(root: Path, prepare: Prepare) -> None:
    images = prepare("svhn").split("test")
    images.pixels.zero_()
    assert prepare("svhn").split("test").pixels.any()


@pytest.mark.parametrize("damaged", ["train_pixels.npy", "test_labels.npy", "provenance.json"])
@pytest.mark.parametrize("size", [0, 100])
def test_damaged_prepared_arrays_are_made_anew(
    root: Path, prepare: Prepare, context: DataContext, damaged: str, size: int
) -> None:
    before = prepare("usps").split("train").provenance
    (file,) = context.cache.glob(f"prepared/usps-*/{damaged}")
    os.truncate(file, size)
    assert prepare("usps").split("train").provenance == before


def test_damaged_prepared_arrays_are_told(build: Callable[..., Any], context: DataContext) -> None:
    build("dataset", "digits").prepare(context)
    (file,) = context.cache.glob("prepared/digits-*/train_pixels.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.warns(UserWarning, match="prepared images in .* are damaged, so they are made again"):
        build("dataset", "digits").prepare(context)


def test_what_a_killed_process_has_left_half_made_goes(
    root: Path, prepare: Prepare, context: DataContext
) -> None:
    prepare("usps")
    (folder,) = [path for path in context.cache.glob("prepared/usps-*") if path.is_dir()]
    folder.rename(folder.with_name(f".{folder.name}.0123abcd"))
    (folder.parent / ".other-0123456789abcdef.0123abcd").mkdir()  # may be in the making
    prepare("usps")
    assert [path.name for path in folder.parent.glob(".*")] == [".other-0123456789abcdef.0123abcd"]


def test_another_source_file_is_prepared_anew(root: Path, prepare: Prepare) -> None:
    prepare("svhn")
    savemat(root / "SVHN" / "test_32x32.mat", {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.ones((4, 1))})
    assert len(prepare("svhn").split("test")) == 4


def test_a_failed_preparation_leaves_nothing(root: Path, prepare: Prepare, context: DataContext) -> None:
    (root / "USPS" / "usps.t.bz2").write_bytes(b"BZh91AY&SY nonsense")
    with pytest.raises(UserError):
        prepare("usps")
    assert [path.suffix for path in (context.cache / "prepared").iterdir()] in ([], [".lock"])


def test_the_data_root_is_never_written_to(root: Path, prepare: Prepare) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    for name in NAMES:
        prepare(name)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


# Files that are not what they should be -----------------------------------------------------------------


def replaced_photos(root: Path, name: str, data: bytes) -> None:
    with tarfile.open(root / "BSR_bsds500.tgz", "w:gz") as archive:
        official.add(archive, name, data)


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a .mat without y": (
        "svhn",
        lambda root: savemat(root / "SVHN" / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 2), np.uint8)}),
        r"train_32x32\.mat has no y: it holds X",
    ),
    "a .mat without X and y": (
        "svhn",
        lambda root: savemat(root / "SVHN" / "test_32x32.mat", {"other": [1]}),
        r"test_32x32\.mat has no X and no y: it holds other",
    ),
    "a .mat that is none": (
        "svhn",
        lambda root: (root / "SVHN" / "train_32x32.mat").write_bytes(b"<html>not found</html>" * 50),
        r"train_32x32\.mat cannot be read",
    ),
    "an empty .mat": (
        "svhn",
        lambda root: (root / "SVHN" / "train_32x32.mat").write_bytes(b""),
        r"train_32x32\.mat cannot be read",
    ),
    "a .mat cut in half": (
        "svhn",
        lambda root: os.truncate(root / "SVHN" / "train_32x32.mat", 40_000),
        r"train_32x32\.mat cannot be read",
    ),
    "images of another shape": (
        "svhn",
        lambda root: savemat(root / "SVHN" / "train_32x32.mat", {"X": np.zeros((2, 32, 32, 3)), "y": [1, 2]}),
        r"must hold X as uint8 32 x 32 x 3 x N",
    ),
    "labels out of range": (
        "svhn",
        lambda root: savemat(
            root / "SVHN" / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 1), np.uint8), "y": [11]}
        ),
        r"train_32x32\.mat has labels outside 0 to 10: 11 at image 1",
    ),
    "no images at all": (
        "svhn",
        lambda root: savemat(
            root / "SVHN" / "train_32x32.mat",
            {"X": np.zeros((32, 32, 3, 0), np.uint8), "y": np.zeros((0, 1))},
        ),
        "the train split of data set 'svhn' is empty",
    ),
    "an IDX file cut short": (
        "mnist",
        lambda root: os.truncate(root / "MNIST" / "raw" / "train-images-idx3-ubyte", 5000),
        "is no complete IDX file",
    ),
    "an IDX file of another kind": (
        "mnist",
        lambda root: (root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"hello"),
        "is no complete IDX file",
    ),
    "an empty IDX file": (
        "mnist",
        lambda root: (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b""),
        "t10k-labels-idx1-ubyte cannot be read|is no complete IDX file",
    ),
    "images and labels of different lengths": (
        "mnist",
        lambda root: (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(
            official.idx(official.LABELS["train"])
        ),
        "do not fit together",
    ),
    "no bzip2": (
        "usps",
        lambda root: (root / "USPS" / "usps.bz2").write_bytes(b"plain"),
        "usps.bz2 cannot be read",
    ),
    "an archive that is none": (
        "mnist_m",
        lambda root: (root / "BSR_bsds500.tgz").write_bytes(b"plain"),
        "BSR_bsds500.tgz is neither a folder nor a tar nor a zip",
    ),
    "an archive cut short": (
        "mnist_m",
        lambda root: os.truncate(root / "BSR_bsds500.tgz", 600),
        "BSR_bsds500.tgz cannot be read",
    ),
    "an archive without photographs": (
        "mnist_m",
        lambda root: replaced_photos(root, "readme.txt", b""),
        r"has no photograph BSDS500/data/images/train/\*\.jpg",
    ),
    "a photograph that is no image": (
        "mnist_m",
        lambda root: replaced_photos(root, "BSR/BSDS500/data/images/train/7.jpg", b"not a picture"),
        r"BSR_bsds500\.tgz:BSR/BSDS500/data/images/train/7\.jpg is no image that can be read",
    ),
    "a photograph cut short": (
        "mnist_m",
        lambda root: replaced_photos(
            root, "BSR/BSDS500/data/images/train/7.jpg", official.photo((1, 2, 3))[:-200]
        ),
        "is no image that can be read",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_an_error_that_names_it(root: Path, prepare: Prepare, case: str) -> None:
    name, break_it, message = BROKEN[case]
    break_it(root)
    with pytest.raises(UserError, match=message):
        prepare(name)


def test_a_release_without_its_arrays_is_an_error(root: Path, prepare: Prepare) -> None:
    (root / "MNIST-M").mkdir()
    path = root / "MNIST-M" / "some.npz"
    np.savez(path, pictures=[1])
    with pytest.raises(UserError, match=r"some\.npz cannot be read"):
        prepare("mnist_m", test=str(path))
    np.savez(path, images=np.zeros((2, 3, 32, 32), np.uint8), labels=[1, 2])
    with pytest.raises(UserError, match="must hold uint8 N x 32 x 32 x 3"):
        prepare("mnist_m", test=str(path))


READERS: dict[str, Callable[[Path], object]] = {
    "MNIST/raw/train-images-idx3-ubyte": read_idx,
    "USPS/usps.bz2": read_usps,
    "SVHN/train_32x32.mat": read_svhn,
    "BSR_bsds500.tgz": lambda path: read_photos(path, ["train", "test"], Bar),
    "MNIST-M/mnist_m.tar.gz": lambda path: read_release(path, "train"),
    "MNIST-M/some.npz": lambda path: read_release(path, "test"),
}


@pytest.mark.parametrize("name", READERS)
def test_no_damage_gets_past_a_reader_as_anything_but_a_user_error(root: Path, name: str) -> None:
    official.write_release_npz(root)
    official.write_release_tar(root)
    whole, random = (root / name).read_bytes(), np.random.default_rng(0)
    refused = 0
    for end in random.integers(0, len(whole), 10):
        garbled = bytearray(whole)
        garbled[int(random.integers(0, 100))] ^= 0xFF
        for damaged in (whole[:end], bytes(garbled)):
            (root / name).write_bytes(damaged)
            try:
                READERS[name](root / name)
            except UserError:
                refused += 1
    assert refused >= 10
