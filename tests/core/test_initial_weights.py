"""`--init`: a training starts from the weights of another run or of a file, as far as they fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.core.runs import RECIPE, facts, folders, lab, made, results, state, trained, write

STILL = (
    "steps=1",
    "evaluate=[]",
    "trainer.noise=0.0",
    "trainer.optimizer={ name = 'sgd', lr = 1e-30 }",
    "trainer.ema_half_life=1e12",
    "trainer.ema_ramp_up=0",
)
NETWORKS = ("body", "head", "average")


def begun(weights: object, *sets: str, code: int = 0) -> Path:
    """The folder of a run from these weights that hardly moves away from them."""
    words = [word for one in (*STILL, *sets) for word in ("--set", one)]
    return made("run", write(), "--init", weights, *words, code=code)


def weights_of(run: Path) -> dict[str, Tensor]:
    """The weights of the networks and averages of a run, but for running statistics."""
    parts = state(run)["trainer"]
    flat = {f"{part}.{key}": value for part in NETWORKS for key, value in parts[part].items()}
    return {key: value for key, value in flat.items() if key.endswith(("weight", "bias"))}


def alike(one: dict[str, Tensor], other: dict[str, Tensor], prefix: str = "") -> bool:
    return all(torch.allclose(one[key], other[key], atol=1e-20) for key in one if key.startswith(prefix))


def put(path: str, value: Any) -> Path:
    torch.save(value, path)
    return Path(path)


@pytest.fixture
def source() -> Path:
    """A run with the checkpoints of steps 4, 8 and 12."""
    return trained("run.keep_every=4")


def test_from_a_run_or_from_one_of_its_steps(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begun(source)
    assert alike(weights_of(run), weights_of(source))
    assert f"starting from {source}@12: 16 tensors taken\n" in capsys.readouterr().err
    told = facts(run)["init"]
    assert (told["source"], told["taken"], told["kept"], told["unused"]) == (f"{source}@12", 16, {}, [])
    earlier = weights_of(begun(f"{source}@4"))
    assert not alike(earlier, weights_of(source))
    parts = state(source, 4)["trainer"]
    assert torch.equal(earlier["body.1.weight"], parts["body"]["1.weight"])
    assert facts(run)["step"] == 1, "it starts at step 0"


def test_the_reported_step_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = trained(
        "evaluate=[{ name = 'certain', every = 4 }]", "select={ metric = 'certain', mode = 'min' }"
    )
    assert results(chosen)["step"] == 4
    begun(chosen)
    assert f"starting from {chosen}@4" in capsys.readouterr().err


def test_from_files_of_any_make(source: Path) -> None:
    parts = state(source)["trainer"]
    full = {f"{part}.{key}": value for part in NETWORKS for key, value in parts[part].items()}
    files = [
        put("full.pt", full),
        put("parallel.pth", {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in full.items()}}),
        put("compiled.pt", {"model": {k.replace("body.", "body._orig_mod."): v for k, v in full.items()}}),
        next((source / "checkpoints").glob("step_00000012*")),
    ]
    for file in files:
        assert alike(weights_of(begun(file)), weights_of(source)), file


def test_from_safetensors(source: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    parts = state(source)["trainer"]
    full = {f"{part}.{key}": value.clone() for part in NETWORKS for key, value in parts[part].items()}
    safetensors.save_file(full, "full.safetensors")
    assert alike(weights_of(begun("full.safetensors")), weights_of(source))


def test_names_without_a_network_go_to_the_one_they_fit_and_its_average_follows(source: Path) -> None:
    """The average is a copy of what was put in, not of what the seed had made."""
    file = put("body.pt", dict(state(source)["trainer"]["body"]))
    run = begun(file)
    found, wanted = weights_of(run), weights_of(source)
    assert alike(
        {k: v for k, v in found.items() if k.startswith("body.")},
        {f"body.{k}": v for k, v in state(source)["trainer"]["body"].items()},
    )
    assert torch.equal(found["average.1.weight"], wanted["body.1.weight"])
    told = facts(run)["init"]
    assert told["kept"] == {"head": ["2.weight", "2.bias"]} and told["following"] == {}


def test_that_an_average_follows_the_weights_that_were_taken_is_said(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from an export, which holds averaged weights under the name of their network."""
    parts = state(source)["trainer"]
    exported = {f"body.{key}": value for key, value in parts["average"].items()}
    capsys.readouterr()
    run = begun(put("exported.pt", exported))
    said = capsys.readouterr().err
    assert "  the average 'average' starts as a copy of 'body'\n" in said
    assert "as usual start 2 that it lacks, or has of another shape: head.2.weight, head.2.bias\n" in said
    assert torch.equal(weights_of(run)["average.1.weight"], exported["body.1.weight"])
    only_head = {f"head.{key}": value for key, value in parts["head"].items()}
    told = facts(begun(put("head.pt", only_head)))["init"]
    assert told["following"] == {} and told["kept"].keys() == {"body", "average"}


def test_an_average_follows_a_network_that_was_named(source: Path) -> None:
    parts = state(source)["trainer"]
    file = put("named.pt", {f"body.{key}": value for key, value in parts["body"].items()})
    found = weights_of(begun(file))
    assert torch.equal(found["average.1.weight"], parts["body"]["1.weight"])
    own = put("own.pt", {**torch.load(file), **{f"average.{k}": v for k, v in parts["average"].items()}})
    found = weights_of(begun(own))
    assert torch.equal(found["average.1.weight"], parts["average"]["1.weight"])


def test_what_does_not_fit_is_left_and_told(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch = made("run", write(), *(w for one in (*STILL, "trainer.width=6") for w in ("--set", one)))
    capsys.readouterr()
    run = begun(source, "trainer.width=6")
    assert alike(weights_of(run), {**weights_of(scratch), "head.2.bias": weights_of(source)["head.2.bias"]})
    told = capsys.readouterr().err
    assert "as usual start 13 that it lacks, or has of another shape: body.1.weight, " in told
    assert "not used: 13 of its own: body.1.weight, " in told
    assert "body.1.weight" in facts(run)["init"]["unused"]


def test_parts_of_a_name_are_not_taken_for_a_wrapper(source: Path) -> None:
    parts = state(source)["trainer"]
    file = put(
        "odd.pt", {f"submodule.{k}": v for k, v in parts["body"].items()} | {"head.2.bias": torch.ones(2)}
    )
    assert "submodule.1.weight" in facts(begun(file))["init"]["unused"]


def refusals(source: Path) -> list[tuple[object, str]]:
    put("other.pt", {"some.thing": torch.zeros(3)})
    put("list.pt", [1, 2])
    Path("text.pt").write_text("no weights")
    Path("empty").mkdir()
    return [
        ("other.pt", "no weight of other.pt fits the trainer by name and shape"),
        ("list.pt", "list.pt holds no tensors by name"),
        ("text.pt", "text.pt cannot be read as weights"),
        ("empty", "empty is not the folder of one run"),
        ("nowhere", "there is no run and no file nowhere to start from"),
        (f"{source}@5", "no whole checkpoint of step 5; there are: 4, 8, 12"),
        ("other.pt@5", "other.pt is a file, and has no step 5"),
    ]


def test_what_cannot_be_is_refused_before_there_is_a_folder(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for weights, told in refusals(source):
        for dry in ([], ["--dry-run"]):
            assert lab("run", write(), "--init", weights, *dry) == 2
            assert told in capsys.readouterr().err
    assert folders() == {source}


def test_an_experiment_is_refused_and_its_runs_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    experiment = made("run", write(RECIPE.replace("batch_size", "seeds = [0, 1]\nbatch_size")))
    assert lab("run", write(), "--init", experiment) == 2
    assert f"give one of its runs: {experiment}/seed0, {experiment}/seed1" in capsys.readouterr().err
    assert alike(weights_of(begun(experiment / "seed1")), weights_of(experiment / "seed1"))


def test_the_key_of_a_recipe_does_the_same(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made("run", write(f"init = '{source}'\n" + RECIPE))
    assert facts(run)["identity"] == facts(made("run", write(), "--init", source))["identity"]
    write("init = 'nowhere'\n" + RECIPE)
    assert lab("run", "r.toml") == 2
    assert "--> r.toml:1" in capsys.readouterr().err


def test_the_weights_count_by_content(source: Path) -> None:
    one, other = facts(begun(f"{source}@4")), facts(begun(source))
    plain = facts(made("run", write(), *(word for one in STILL for word in ("--set", one))))
    assert len({one["identity"], other["identity"], plain["identity"]}) == 3
    file = next((source / "checkpoints").glob("step_00000012*"))
    assert other["start"] == {"init": file.name.split(".")[1]}
    shutil.copytree(source, "elsewhere")
    assert facts(begun("elsewhere"))["identity"] == other["identity"]


def test_the_source_may_be_gone_when_the_run_goes_on(source: Path) -> None:
    sets = ("steps=30", "trainer.breaks_at=20", "trainer.optimizer.lr=0.2")
    words = [word for one in sets for word in ("--set", one)]
    run = made("run", write(), "--init", source, *words, code=1)
    shutil.rmtree(source)
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.02") == 0
    assert results(run)["step"] == 30
    assert lab("evaluate", run) == 0
    assert lab("extend", run, "--set", "steps=40") == 0


def test_a_source_that_has_changed_since_is_no_source(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that failed before its first checkpoint starts again, and must not start from other weights."""
    words = ("trainer.breaks_at=2", "trainer.optimizer.lr=0.2", "log_every=1")
    run = made("run", write(), "--init", source, *(w for one in words for w in ("--set", one)), code=1)
    assert lab("resume", source, "--set", "steps=16") == 0
    capsys.readouterr()
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.02") == 1
    assert "holds other weights than when the run was made" in capsys.readouterr().err
