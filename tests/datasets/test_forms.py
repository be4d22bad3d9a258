"""The official data sets in other forms that people have: read as the same, or refused by name."""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.usps import read_usps

from . import official

Digest = Callable[..., tuple[str, str]]


@pytest.fixture
def root(context: DataContext) -> Path:
    assert context.root
    official.write_all(context.root)
    return context.root


@pytest.fixture
def digest(build: Callable[..., Any], context: DataContext) -> Digest:
    """`digest(name, **options)`: of the train and test splits, caveats aside."""

    def found(name: str, **options: Any) -> tuple[str, str]:
        dataset = build("dataset", name, download=False, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.prepare(context)
        return dataset.split("train").digest, dataset.split("test").digest

    return found


# The cache ----------------------------------------------------------------------------------------------


def test_another_data_set_of_the_same_names_and_sizes_is_not_taken_for_the_first(
    root: Path, digest: Digest
) -> None:
    """Fashion-MNIST and KMNIST have the file names and sizes of MNIST."""
    before = digest("mnist")
    path = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    stat = path.stat()
    path.write_bytes(official.idx(255 - official.DIGITS["train"]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = digest("mnist")
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize("damaged", ["train_pixels.npy", "train_labels.npy"])
def test_prepared_arrays_of_which_a_bit_was_flipped_are_made_anew(
    root: Path, digest: Digest, context: DataContext, damaged: str
) -> None:
    before = digest("mnist")
    (file,) = context.cache.glob(f"prepared/mnist-*/{damaged}")
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)
    assert digest("mnist") == before


def test_hashes_are_remembered_of_files_that_nobody_wrote_to(
    root: Path, digest: Digest, context: DataContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pluglab_datasets import content

    monkeypatch.setattr(content, "SETTLED", -1)
    before = digest("mnist")
    assert list((context.cache / "hashes").iterdir())
    monkeypatch.setattr(content, "_hash", None)  # calling it would fail
    assert digest("mnist") == before


# Forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["MNIST/{}", "MNIST/{}.gz", "MNIST/raw/{}.gz", "MNIST/raw/{dotted}"])
def test_mnist_packed_unpacked_and_without_raw(root: Path, digest: Digest, form: str) -> None:
    before = digest("mnist")
    for file in list((root / "MNIST" / "raw").iterdir()):
        target = root / form.format(file.name, dotted=file.name.replace("-idx", ".idx"))
        data = file.read_bytes()
        file.unlink()
        target.write_bytes(gzip.compress(data) if target.suffix == ".gz" else data)
    assert digest("mnist") == before


def test_mnist_of_another_size_is_refused(root: Path, digest: Digest) -> None:
    images = np.zeros((30, 27, 27), np.uint8)
    (root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(official.idx(images))
    with pytest.raises(UserError, match=r"has images of 27 x 27; those of MNIST are 28 x 28"):
        digest("mnist")


def test_labels_of_mnist_that_are_no_digits_are_refused_with_their_place(root: Path, digest: Digest) -> None:
    labels = official.LABELS["train"].copy()
    labels[4] = 12
    (root / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(official.idx(labels))
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte has labels outside 0 to 9: 12 at image 5"):
        digest("mnist")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_usps_unpacked_and_as_zip_train(root: Path, digest: Digest, ending: str) -> None:
    before = digest("usps")
    for split, name, zip_code in (("train", "usps", "zip.train"), ("test", "usps.t", "zip.test")):
        packed = root / "USPS" / f"{name}.bz2"
        if ending:
            rows = zip(official.LABELS[split], official.USPS[split].reshape(-1, 256), strict=True)
            lines = [f"{y:.4f} " + " ".join(f"{v:.4f}" for v in row) + " \n" for y, row in rows]
            (root / "USPS" / f"{zip_code}.gz").write_bytes(gzip.compress("".join(lines).encode()))
        else:
            (root / "USPS" / name).write_bytes(bz2.decompress(packed.read_bytes()))
        packed.unlink()
    assert digest("usps") == before


def usps_file(folder: Path, values: np.ndarray, labels: list[int]) -> Path:
    rows = zip(labels, values.reshape(len(labels), -1), strict=True)
    lines = [f"{y} " + " ".join(f"{i}:{v:.6f}" for i, v in enumerate(row, 1) if v) for y, row in rows]
    path = folder / "usps"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (0, 255)])
def test_usps_in_any_of_its_ranges_has_the_same_levels(tmp_path: Path, low: float, high: float) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (3, 16, 16))
    levels[0, 0, :2] = 0, 255
    values = low + levels / 255 * (high - low)
    assert np.array_equal(read_usps(usps_file(tmp_path, values, [1, 2, 10]))[0][:, 0], levels)


def test_usps_in_another_range_or_with_other_labels_is_refused(tmp_path: Path) -> None:
    values = np.full((2, 16, 16), 0.5)
    with pytest.raises(UserError, match=r"values from 0 to 300: no gray levels"):
        read_usps(usps_file(tmp_path, values * 600, [1, 2]))
    with pytest.raises(UserError, match=r"values from -0.5 to 2: no gray levels"):
        read_usps(usps_file(tmp_path, np.stack([values[0] * 4, -values[1]]), [1, 2]))
    with pytest.raises(UserError, match=r"usps has labels outside 1 to 10: 0 at line 2"):
        read_usps(usps_file(tmp_path, values, [1, 0]))


def test_files_that_are_not_read_are_named(root: Path, digest: Digest) -> None:
    shutil.rmtree(root / "USPS")
    (root / "USPS").mkdir()
    (root / "USPS" / "usps.h5").write_bytes(b"HDF5")
    with pytest.raises(UserError, match=r"needs USPS/usps\.bz2") as caught:
        digest("usps")
    assert f"{root / 'USPS' / 'usps.h5'} is there, but this form of the data is not read" in (
        caught.value.render()
    )


def test_mnist_m_and_bsds500_unpacked(root: Path, digest: Digest) -> None:
    built = digest("mnist_m")
    with tarfile.open(root / "BSR_bsds500.tgz") as archive:
        archive.extractall(root, filter="data")
    (root / "BSR_bsds500.tgz").unlink()
    assert digest("mnist_m") == built
    official.write_release_tar(root)
    released = digest("mnist_m")
    packed = root / "MNIST-M" / "mnist_m.tar.gz"
    with tarfile.open(packed) as archive:
        archive.extractall(root / "MNIST-M", filter="data")
    packed.unlink()
    assert digest("mnist_m") == released != built
    elsewhere = (root / "MNIST-M").rename(root / "elsewhere")
    assert digest("mnist_m", train=str(elsewhere), test="elsewhere/mnist_m") == released


@pytest.mark.parametrize(
    ("label", "said"), [("10", "is 10, outside 0 to 9"), ("-1", "is -1"), ("", "no label")]
)
def test_labels_of_the_release_that_are_no_digits_are_refused_with_their_line(
    root: Path, digest: Digest, label: str, said: str
) -> None:
    official.write_release_tar(root)
    with tarfile.open(root / "MNIST-M" / "mnist_m.tar.gz") as archive:
        archive.extractall(root / "MNIST-M", filter="data")
    listed = root / "MNIST-M" / "mnist_m" / "mnist_m_train_labels.txt"
    lines = listed.read_text().splitlines()
    lines[2] = f"{lines[2].split()[0]} {label}"
    listed.write_text("\n".join(lines))
    with pytest.raises(UserError, match=rf"mnist_m_train_labels\.txt:3.*{said}"):
        digest("mnist_m", train="MNIST-M/mnist_m", test="built")
