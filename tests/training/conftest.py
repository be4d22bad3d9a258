"""Small trainers of several families with any optimizer, on the CPU in any precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pluglab.cli import main
from pluglab.engine.engine import Engine
from pluglab.engine.hardware import Hardware, LabFabric
from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from pluglab.training import set_mode
from pluglab.training.accumulation import Accumulation
from tests.core.support import only_run
from tests.registries import registry_of

CLASSES = ("a", "b", "c")
SIZE = 16
SMALL: dict[str, dict[str, Any]] = {
    "dann": {"encoder": "dsn_paper", "schedule": "constant", "adaptation": "constant"},
    "ddpm": {
        "denoiser": {"name": "unet", "channels": [8, 16], "blocks": [1, 1]},
        "timesteps": 50,
        "schedule": "constant",
    },
    "dcgan": {"width": 8},
    "sngan": {"width": 8},
}
OPTIMIZERS = {
    "lion": "lion_pytorch:Lion",
    "schedule_free": "schedulefree:AdamWScheduleFree",
    "plain_sgd": "torch.optim:SGD",
    "made_lion": "tests.training.optimizers:lion",
    "made_schedule_free": "tests.training.optimizers:schedule_free",
}


@pytest.fixture(scope="session")
def registry() -> Registry:
    registry, registrar = registry_of("domain_adaptation", "diffusion", "gan"), Registrar("strangers")
    for name, target in OPTIMIZERS.items():
        registrar.add("optimizer", name, target)
    registry.extend(registrar.entries)
    return registry


def fabric_of(precision: str = "32") -> LabFabric:
    return LabFabric(Hardware("cpu", 1, precision, False, False, 1, ""))


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """A small trainer by name and options, set up and in training mode."""

    def build(name: str, seed: int = 0, precision: str = "32", **options: Any) -> Any:
        torch.manual_seed(seed)
        component = make(registry, "trainer", name, **{**SMALL[name], **options})
        specs = {role.name: ImageSpec(3, SIZE, SIZE, 100, CLASSES) for role in component.target.roles}
        trainer = component.build(specs)
        trainer.setup(fabric_of(precision))
        set_mode(trainer, "train")
        return trainer

    return build


def batch_at(step: int, roles: tuple[str, ...], n: int = 8) -> dict[str, Batch]:
    """Smooth images of each role, a fixed function of the step; only the first role has labels."""
    generator = torch.Generator().manual_seed(step)
    batch = {}
    for role in roles:
        coarse = torch.rand(n, 3, 4, 4, generator=generator) * 2 - 1
        images = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        labels = torch.randint(len(CLASSES), (n,), generator=generator)
        batch[role] = Batch(images, labels if role == roles[0] else None)
    return batch


def train(trainer: Any, start: int, stop: int, total: int = 10) -> dict[str, Tensor]:
    """Steps `start` to `stop` - 1 of `total`; the scalars of the last."""
    roles = tuple(role.name for role in trainer.roles)
    scalars: dict[str, Tensor] = {}
    for step in range(start, stop):
        torch.manual_seed(step)  # the engine restores the random generators; here they follow the step
        with trainer.fabric.batch():
            scalars = dict(trainer.step(batch_at(step, roles), Progress(step, total)))
    return scalars


def train_in_parts(trainer: Any, parts: int, step: int = 0, max_grad_norm: float | None = None) -> None:
    """One step on a batch whose gradients are added up part by part, as the engine does it."""
    batch = batch_at(step, tuple(role.name for role in trainer.roles))
    try:
        with trainer.fabric.batch():
            for part in range(parts):
                trainer.fabric.accumulation = Accumulation(part, parts, max_grad_norm)
                cut = {role: _part(one, part, parts) for role, one in batch.items()}
                trainer.step(cut, Progress(step, 10))
    finally:
        trainer.fabric.accumulation = Accumulation()


def _part(batch: Batch, part: int, parts: int) -> Batch:
    labels = None if batch.labels is None else batch.labels.tensor_split(parts)[part]
    return Batch(batch.images.tensor_split(parts)[part], labels)


def tensors(value: Any, path: str = "") -> dict[str, Tensor]:
    """Every tensor within a state, by its path."""
    if isinstance(value, Tensor):
        return {path: value.detach().clone()}
    items = value.items() if isinstance(value, dict) else ()
    return {key: found for k, v in items for key, found in tensors(v, f"{path}.{k}").items()}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`lab WORDS...` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))

    def lab(*words: str) -> int:
        with pytest.raises(SystemExit) as leave:
            main(list(words))
        return int(leave.value.code or 0)

    return lab


@pytest.fixture
def whole_and_resumed(lab: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The folders of two runs of a recipe, of which the second was interrupted after `step` and resumed."""

    def whole_and_resumed(recipe: str, step: int, *words: str) -> tuple[Path, Path]:
        Path("r.toml").write_text(recipe)
        assert lab("run", "r.toml", "--run-dir", "whole", *words) == 0
        after_steps = Engine._after_steps

        def interrupt(engine: Engine) -> None:
            engine.signals.received = 15 if engine.step == step else None
            after_steps(engine)

        with monkeypatch.context() as patch:
            patch.setattr(Engine, "_after_steps", interrupt)
            assert lab("run", "r.toml", *words) == 143
        assert lab("resume", str(only_run()), *words) == 0
        return only_run(Path("whole")), only_run()

    return whole_and_resumed
