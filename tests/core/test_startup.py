"""What a command does not wait for when it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pluglab.cli.app import build_app, keep_called
from pluglab.components import config_class
from pluglab.plugins.loading import load_plugins
from pluglab.plugins.signatures import options_from_signature
from tests.core.support import TOYS, lab_process

ROOT = Path(__file__).parents[2]
HEAVY = "torch", "numpy", "sklearn", "scipy", "matplotlib", "torchvision", "tensorboard", "torchmetrics"
COMPILER = "torch._dynamo"
# Tells, at the end of a process, which of these it has imported (not stand-ins), and its peak in MB.
WATCHED = """
import atexit, re, sys
def tell():
    there = [name for name in {names!r} if getattr(sys.modules.get(name), "__file__", None)]
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
    print("IMPORTED", int(peak[1]) // 1024, *there, file=sys.stderr)
atexit.register(tell)
from pluglab.cli import main
main()
"""
WATCHING = """
import gc

def lab_run_started(run):
    (run.folder / "garbage.txt").write_text(f"{gc.isenabled()} {gc.get_freeze_count() > 1000}")
"""


def watched(*words: str | Path) -> tuple[set[str], int]:
    """The heavy libraries that a command imports, and its peak memory in MB."""
    code = WATCHED.format(names=(*HEAVY, COMPILER))
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("IMPORTED")]
    _, peak, *names = line.split()
    return set(names), int(peak)


# What a command reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["tag", "runs/mine"], {"tag"}),
        (["list", "trainers"], {"list"}),
        (["new", "recipe"], None),  # a group of commands, which is found as ever
        (["tga", "runs/mine"], None),  # a slip, for which the nearest of all commands is told
        (["--help"], None),
        ([], None),
    ],
)
def test_only_the_declaration_of_the_called_command_is_read(words: list[str], kept: set[str] | None) -> None:
    app = build_app(load_plugins(only=""))
    every = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    keep_called(app, words)
    assert set(typer.main.get_command(app).commands) == (every if kept is None else kept)  # type: ignore[attr-defined]


def test_a_slip_in_a_command_is_told_the_nearest() -> None:
    done = lab_process("tga", "runs/mine")
    assert done.returncode == 2
    assert "tag" in done.stderr


def test_lab_report_is_declared_without_what_makes_reports() -> None:
    words = "import pluglab_report.plugin, sys; print('pluglab_report.chapters' in sys.modules)"
    chapter = "from pluglab_report import Chapter, Text; print(Chapter.__module__, Text.__module__)"
    command = [sys.executable, "-c", f"{words}; {chapter}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert said.split() == ["False", "pluglab_report.chapters", "pluglab_report.blocks"]


# Which commands import what ------------------------------------------------------------------------------

DIGITS = ROOT / "recipes" / "dann_digits.toml"
LIGHT = [
    ("--help",),
    ("--version",),
    ("run", "--help"),
    ("doctor", "--help"),
    ("list", "plugins"),
    ("list", "kinds"),
    ("list", "trainers"),
    ("list", "recipes"),
    ("list", "runs"),
    ("show", "trainer", "dann"),
    ("show", "trainer", "stylegan2_lite"),
    ("show", "evaluator", "latent_tsne"),
    ("show", "optimizer", "adamw"),
    ("show", "recipe", DIGITS),
    ("schema", "--out", "schema.json"),
    ("new", "recipe", "mine", "--trainer", "dann"),
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the plugins that are installed."""
    monkeypatch.delenv("LAB_PLUGINS")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("words", LIGHT, ids=lambda words: " ".join(str(word) for word in words[:3]))
def test_commands_that_train_nothing_import_nothing_heavy(words: tuple[str | Path, ...]) -> None:
    imported, peak = watched(*words)
    assert imported == set()
    assert peak < (90 if words[0] == "schema" else 60)  # of all components; torch alone takes 500


def test_commands_on_runs_import_torch_only_to_train(recipe: Path) -> None:
    toys = "--plugin", TOYS
    imported, _ = watched("run", recipe, *toys, "--set", "run.observers=['console']")
    assert imported == {"torch", "numpy"}
    (folder,) = Path("runs").glob("*/*")
    for words in (
        ("list", "runs"),
        ("compare", "runs"),
        ("tag", folder, "--add", "good"),
        ("clean", folder, "--dry-run"),
    ):
        imported, peak = watched(*words)
        assert (words[0], imported) == (words[0], set())
        assert peak < 60


# Stand-ins -----------------------------------------------------------------------------------------------

EVERYTHING = """
import contextlib, io, json, sys
from pluglab.cli import show, stand_ins
from pluglab.plugins.loading import load_plugins

plugins, found = load_plugins(), {}
if sys.argv[1] == "stand-ins":
    stand_ins.allow()
    stand_ins.use()
for entry in list(plugins.registry):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            show._show_component(entry, plugins, as_json=True)
        except BaseException as error:
            print(type(error).__name__, error if isinstance(error, Exception) else "")
    found[f"{entry.kind} {entry.qualified}"] = said.getvalue()
print(json.dumps(found))
"""


def everything(how: str) -> dict[str, str]:
    """What `lab show` says of each component, all in one process."""
    command = [sys.executable, "-c", EVERYTHING, how]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = json.loads(said)
    return found


@pytest.mark.usefixtures("installed")
def test_stand_ins_change_nothing_of_what_is_shown() -> None:
    shown, truth = everything("stand-ins"), everything("whole")
    assert len(truth) > 80
    assert {name: text for name, text in shown.items() if text != truth[name]} == {}


ASKING = """
import torch
from pluglab import Options, Role, TrainerBase

HALF = float(torch.tensor(0.5))

class Asking(TrainerBase):
    "Wants a number of torch as soon as it is imported."

    class Config(Options):
        share: float = HALF
        threads: int = torch.tensor(7).item()

    roles = (Role("train"),)

    def __init__(self, config, data):
        self.config = config

    def step(self, batch, progress):
        return {}

def lab_register(registry):
    registry.add("trainer", "asking", Asking)
    registry.add("trainer", "later", "asking_later:Later")
"""
LATER = """
from typing import Any

import torch
from pluglab import Options, TrainerBase

class Later(TrainerBase):
    "Its default is a value of torch that nobody asked for yet."

    class Config(Options):
        threads: Any = torch.tensor(7).item()

    def __init__(self, config, data):
        self.config = config

    def step(self, batch, progress):
        return {}
"""


def shown(plugin: Path, name: str) -> dict[str, object]:
    command = [sys.executable, "-m", "pluglab", "show", "trainer", name, "--json", "--plugin", str(plugin)]
    environment = {**os.environ, "PYTHONPATH": str(plugin.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return {option["option"]: option["default"] for option in json.loads(done.stdout)["options"]}


def test_a_plugin_that_asks_torch_for_values_is_shown_with_them(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    (tmp_path / "asking_later.py").write_text(LATER)
    assert shown(tmp_path / "asking.py", "asking") == {"share": "0.5", "threads": "7"}
    assert shown(tmp_path / "asking.py", "later") == {"threads": "7"}


def test_a_mistake_is_told_as_it_is_without_stand_ins(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    command = [
        sys.executable,
        "-m",
        "pluglab",
        "show",
        "trainer",
        "askin",
        "--plugin",
        str(tmp_path / "asking.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "did you mean 'asking'?" in done.stderr


def test_optimizers_have_the_options_of_torch() -> None:
    """Ours are written down, so that they can be shown without torch."""
    import torch

    from pluglab.components import Options

    classes = {name.lower(): value for name, value in vars(torch.optim).items() if isinstance(value, type)}
    registry = load_plugins().registry
    entries = [
        entry for entry in registry.entries("optimizer") if entry.plugin == "core" and entry.name != "sgd"
    ]
    assert len(entries) == 8
    for entry in entries:
        ours = config_class(entry).model_fields
        torchs = options_from_signature(classes[entry.name], Options, skip=1).model_fields
        assert {k: (v.annotation, v.default) for k, v in ours.items()} == {
            k: (v.annotation, v.default) for k, v in torchs.items()
        }, entry.name


def test_optimizers_are_made_with_every_option_they_are_given() -> None:
    import torch

    registry = load_plugins().registry
    for entry in registry.entries("optimizer"):
        if entry.plugin != "core" or entry.name == "sgd":
            continue
        odd = {"lr": 0.37, "eps": 3e-7, "weight_decay": 0.11, "rho": 0.7, "lr_decay": 0.2, "alpha": 0.6,
               "initial_accumulator_value": 0.3, "betas": (0.6, 0.7), "momentum": 0.4, "momentum_decay": 0.05,
               "amsgrad": True, "decoupled_weight_decay": True, "centered": True}  # fmt: skip
        given = {name: odd[name] for name in config_class(entry).model_fields}
        made = entry.load()([torch.nn.Parameter(torch.zeros(1))], **given)
        assert {name: made.param_groups[0][name] for name in given} == given, entry.name


# Fabric, the compiler, garbage ---------------------------------------------------------------------------


def test_trainers_import_no_torchmetrics_which_is_there_all_the_same() -> None:
    words = "import pluglab.training, sys; pluglab.training.TrainerBase; print('torchmetrics' in sys.modules)"
    command = [sys.executable, "-c", f"{words}; import torchmetrics; print(torchmetrics.__name__)"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "torchmetrics"]


OPTIMIZING = """
import sys, torch
import pluglab.training.fabric as fabric
from lightning_fabric.wrappers import OptimizedModule

def turned():
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam([network.weight], 0.1)
    optimizer.add_param_group({"params": [network.bias], "lr": 0.2})
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return network, [*network.weight.flatten().tolist(), *network.bias.tolist()], network.weight.requires_grad

network, without, _ = turned()
print("torch._dynamo" in sys.modules, isinstance(network, OptimizedModule))
compiled = torch.compile(network, backend="eager")
print(isinstance(compiled, OptimizedModule), isinstance(network, OptimizedModule))
print(turned()[1:] == (without, True), "torch._dynamo" in sys.modules)
"""


def test_the_compiler_of_torch_comes_when_something_is_compiled() -> None:
    command = [sys.executable, "-c", OPTIMIZING]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False", "True", "False", "True", "True"]


def test_garbage_is_collected_in_a_training_but_not_among_what_was_imported(
    recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "watching.py").write_text(WATCHING)
    assert lab_process("run", recipe, "--plugin", tmp_path / "watching.py").returncode == 0
    (found,) = Path("runs").glob("*/*/garbage.txt")
    assert found.read_text() == "True True"
