"""Small trained runs, each made once, and `lab` in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pluglab.cli import main

ODD = Path(__file__).parent / "odd_networks.py"
PLUGINS = "autoencoder,datasets,diffusion,domain_adaptation,export,gan,metrics"
TRAINERS = {
    "dcgan": '{ name = "dcgan", width = 8 }',
    "sngan": '{ name = "sngan", width = 8 }',
    "acgan": '{ name = "acgan", width = 8 }',
    "stylegan2_lite": '{ name = "stylegan2_lite", width = 4, latent_size = 16 }',
    "ddpm": '{ name = "ddpm", denoiser = { name = "unet", channels = [8, 16], blocks = [1, 1] }, '
    "sampling = { steps = 2 } }",
    "vae": '{ name = "vae", latent_size = 4, networks = { name = "convolutional", encoder_channels = [8, 8], '
    "decoder_channels = [8, 8] } }",
    "source_only": '{ name = "source_only", encoder = { name = "modern", width = 4 } }',
    "dann": '{ name = "dann", encoder = { name = "modern", width = 4 } }',
    "dsn": '{ name = "dsn", encoder = { name = "modern", width = 4 } }',
    "adda": '{ name = "adda", encoder = { name = "modern", width = 4 }, pretraining = 0.5 }',
}
SIZES = {"stylegan2_lite": 32, "source_only": 28, "dann": 28, "dsn": 28, "adda": 28}
MORE = {"source_only": 'evaluate = ["accuracy"]', "dann": 'evaluate = ["accuracy"]'}

Lab = Callable[..., int]
Trained = Callable[..., Path]


def lab(*words: str | Path) -> int:
    """`lab WORDS...`; returns its exit code."""
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words)])
    return int(leave.value.code or 0)


def config_in(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


@pytest.fixture(scope="package", autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_PLUGINS", PLUGINS)
        patch.setenv("LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run of a trainer, by its name or as TOML, after two steps."""
    made: dict[str, Path] = {}

    def run(name: str, trainer: str = "", *words: str | Path) -> Path:
        key = trainer or name
        if key not in made:
            folder = tmp_path_factory.mktemp(name)
            (folder / "r.toml").write_text(recipe(name, trainer))
            assert lab("run", folder / "r.toml", "--run-dir", folder, *words) == 0
            (made[key],) = [path.parent for path in folder.glob("*/*/run.json")]
        return made[key]

    return run


def recipe(name: str, trainer: str = "") -> str:
    size = SIZES.get(name, 16)
    data = {"train": "digits"}
    if name in ("source_only", "dann", "dsn", "adda"):
        data = {"source": "digits"} | ({} if name == "source_only" else {"target": "digits_m"})
    sources = [f'data.{role} = {{ name = "{source}", size = {size} }}' for role, source in data.items()]
    head = ["steps = 2", "batch_size = 8", f"trainer = {trainer or TRAINERS[name]}", MORE.get(name, "")]
    return "\n".join([*head, *sources, "run.threads = 1"])


@pytest.fixture(scope="package")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an exported trainer, by its name."""
    made: dict[str, Path] = {}

    def export(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("exported") / name
            assert lab("export", trained(name), "--out", made[name]) == 0
        return made[name]

    return export
