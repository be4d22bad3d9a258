"""Small files in the official formats, with made-up pictures, for the tests of what reads them."""

from __future__ import annotations

import bz2
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

COUNTS = {"train": 30, "test": 20}
COLORS = {"train": [(250, 60, 40), (200, 90, 20)], "test": [(20, 80, 240)]}
generator = np.random.default_rng(0)
DIGITS = {s: generator.integers(0, 256, (n, 28, 28), dtype=np.uint8) for s, n in COUNTS.items()}
LABELS = {s: np.arange(n, dtype=np.uint8) % 10 for s, n in COUNTS.items()}
USPS = {s: generator.uniform(-1, 1, (n, 16, 16)).round(4) for s, n in COUNTS.items()}
CROPS = {s: generator.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for s, n in COUNTS.items()}


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root: Path) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(DIGITS[split]))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(LABELS[split]))


def write_usps(root: Path) -> None:
    (root / "USPS").mkdir(parents=True)
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        rows = zip(LABELS[split], USPS[split].reshape(-1, 256), strict=True)
        lines = [f"{y + 1} " + " ".join(f"{i}:{v:.4f}" for i, v in enumerate(row, 1)) for y, row in rows]
        (root / "USPS" / name).write_bytes(bz2.compress("\n".join(lines).encode() + b"\n"))


def write_svhn(root: Path) -> None:
    (root / "SVHN").mkdir(parents=True)
    for split in COUNTS:
        labels = np.where(LABELS[split] == 0, 10, LABELS[split])[:, None]
        contents = {"X": CROPS[split].transpose(1, 2, 3, 0), "y": labels}
        savemat(root / "SVHN" / f"{split}_32x32.mat", contents, do_compression=True)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def encoded(pixels: np.ndarray, format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def photo(color: tuple[int, int, int]) -> bytes:
    return encoded(np.full((48, 64, 3), color, np.uint8), "JPEG")


def write_photos(root: Path) -> None:
    """Photographs of one color each; those of the train and test splits share none."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "BSR_bsds500.tgz", "w:gz") as archive:
        add(archive, "BSR/BSDS500/data/groundTruth/train/1.mat", b"not a picture")
        for split, colors in COLORS.items():
            for i, color in enumerate(colors):
                add(archive, f"BSR/BSDS500/data/images/{split}/{i}.jpg", photo(color))


def write_release_tar(root: Path) -> None:
    (root / "MNIST-M").mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "MNIST-M" / "mnist_m.tar.gz", "w:gz") as archive:
        for split in COUNTS:
            lines = []
            for i in reversed(range(COUNTS[split])):  # stored in another order than the index has
                add(archive, f"mnist_m/mnist_m_{split}/{i:08}.png", encoded(CROPS[split][i], "PNG"))
                lines.insert(0, f"{i:08}.png {LABELS[split][i]}\n")
            add(archive, f"mnist_m/mnist_m_{split}_labels.txt", "".join(lines).encode())


def write_release_npz(root: Path) -> None:
    (root / "MNIST-M").mkdir(parents=True, exist_ok=True)
    np.savez(root / "MNIST-M" / "some.npz", images=CROPS["test"][:7], labels=LABELS["test"][:7])


def write_all(root: Path) -> None:
    write_mnist(root)
    write_usps(root)
    write_svhn(root)
    write_photos(root)
