"""`pluglab.run` and `pluglab.load`: what the commands do, for Python and notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pluglab
from tests.core.runs import PLUGIN, facts, folders, lab, state, store, trained, write

SMALL: dict[str, Any] = {
    "steps": 4,
    "batch_size": 8,
    "trainer": "learner",
    "data": {"train": "drawn"},
    "evaluate": ["hits"],
    "run": {"threads": 1, "precision": "32"},
}


def run(recipe: Any, **more: Any) -> Any:
    return pluglab.run(recipe, plugins=[PLUGIN], **more)


def test_a_recipe_file_is_run_as_the_command_does() -> None:
    runs = run(write())
    command = trained()
    assert facts(runs.folder)["identity"] == facts(command)["identity"]
    assert runs.folders == {"seed 0": runs.folder}
    assert runs.scalars == runs.results["scalars"]
    assert runs.table.columns == ["", "hits/train"]
    assert runs.figures() == {"hits_bar": runs.folder / "figures/hits_bar.png"}
    assert repr(runs) == f"<r: seed 0, {runs.folder}>"


def test_overrides_are_options_of_the_recipe() -> None:
    written = run(
        write(), steps=2, trainer={"optimizer": {"lr": 0.5}}, **{"data.train.count": 16}, evaluate=[]
    )
    recipe = pluglab.load(written.folder, trust=True).recipe.to_dict()
    assert recipe["steps"] == 2
    assert recipe["trainer"]["optimizer"]["lr"] == 0.5
    assert recipe["data"]["train"]["count"] == 16


def test_values_of_python_are_taken_for_what_they_mean() -> None:
    store("data/a.npz")
    runs = run(
        {**SMALL, "data": {"train": {"name": "stored", "path": Path("data/a.npz")}}, "seeds": range(1)},
        steps=np.int64(2),
        trainer={"noise": np.float32(0.5)},
    )
    assert pluglab.load(runs.folder, trust=True).recipe.options.steps == 2
    with pytest.raises(pluglab.UserError, match="a value has no place in a recipe"):
        run(SMALL, trainer={"noise": None})


@pytest.mark.parametrize(
    ("recipe", "more", "told"),
    [
        ("nowhere.toml", {}, "there is no recipe nowhere.toml"),
        (SMALL, {"nonsense": 1}, "unknown option 'nonsense' for the recipe"),
        (SMALL, {"trainer": {"widht": 1}}, "unknown option 'widht' for trainer 'learner'"),
        (SMALL, {"trainer": {"width": "much"}}, "option 'width' of trainer 'learner' is wrong"),
        (SMALL, {"variants": ["some"]}, "has no variant 'some'"),
        (SMALL, {"data_root": "nowhere"}, "the data root nowhere is not a folder"),
        ({"steps": 4}, {}, "needs the option 'trainer'"),
    ],
)
def test_wrong_input_is_a_user_error_in_the_words_of_the_command(
    recipe: Any, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(pluglab.UserError, match=told):
        run(recipe, **more)
    assert folders() == set()


def test_plugin_files_that_are_missing() -> None:
    with pytest.raises(pluglab.UserError, match="unknown trainer 'learner'"):
        pluglab.run(SMALL)
    with pytest.raises(pluglab.UserError, match=r"there is no plugin file no\.py"):
        pluglab.run(SMALL, plugins=["no.py"])


def test_a_run_that_fails_is_a_run_error_with_the_way_out() -> None:
    trainer = {"breaks_at": 3, "optimizer": {"lr": 0.5}}
    with pytest.raises(pluglab.RunError, match="'loss' became NaN or infinite") as raised:
        run(SMALL, trainer=trainer, log_every=1)
    assert any("lab resume" in line for line in raised.value.help)


def test_several_runs_are_asked_for_by_their_names() -> None:
    runs = run({**SMALL, "title": "two"}, seeds=[0, 1])
    assert list(runs.folders) == list(runs.results) == ["seed 0", "seed 1"]
    assert "±" in runs.table.rows[0][1]
    for ask in (lambda: runs.scalars, runs.load, runs.figures):
        with pytest.raises(pluglab.UserError, match=r"which run is meant\?"):
            ask()
    with pytest.raises(pluglab.UserError, match="there is no run 'sed 1'") as raised:
        runs.load("sed 1")
    assert "did you mean 'seed 1'?" in raised.value.help
    assert runs.load("seed 1").run.path == runs.folders["seed 1"]
    assert runs.figures("seed 1")["hits_bar"].is_file()
    with pytest.raises(pluglab.UserError, match="holds 2 runs"):
        pluglab.load(runs.folder, trust=True)


def test_a_model_is_loaded_with_its_plugin_files_or_with_those_that_are_named() -> None:
    runs = run(write(), **{"run.keep_every": 4})
    for model in (
        runs.load(),
        pluglab.load(runs.folder, trust=True),
        pluglab.load(runs.folder, plugins=[PLUGIN]),
    ):
        assert (model.name, model.step, model.classes) == ("learner", 12, ("dark", "bright"))
    weights = state(runs.folder, 4)["trainer"]["body"]["1.weight"]
    assert torch.equal(
        pluglab.load(runs.folder, step=4, trust=True).trainer.body.state_dict()["1.weight"], weights
    )
    images = np.zeros((3, 1, 4, 4), np.uint8)
    assert model.predict(images).shape == (3, 2)
    assert repr(model) == f"<learner after 12 steps, {runs.folder}>"


def test_where_to_compute_and_where_data_lie_may_be_said() -> None:
    folder = trained()
    count: dict[str, Any] = {"data.train.count": 9}
    model = pluglab.load(folder, trust=True, run={"device": "cpu", "precision": "bf16"}, **count)
    assert model.fabric.hardware.precision == "bf16"


@pytest.mark.parametrize("option", ["trainer.width", "trainer.noise", "steps"])
def test_a_model_is_not_loaded_as_another_one(option: str) -> None:
    folder, other = trained(), dict[str, Any]([(option, 7)])
    with pytest.raises(pluglab.UserError, match=f"the run was trained with another {option}"):
        pluglab.load(folder, trust=True, **other)


def test_what_there_is_not_is_not_loaded() -> None:
    folder = trained()
    looks: list[tuple[str | Path, dict[str, Any], str]] = [
        ("nowhere", {}, "nowhere is no run folder"),
        (folder, {"step": 7}, "no whole checkpoint of step 7; there are: 8, 12"),
        (folder, {"plugins": ["no.py"]}, "there is no plugin file no.py"),
    ]
    for path, more, told in looks:
        with pytest.raises(pluglab.UserError, match=told):
            pluglab.load(path, trust=True, **more)


def test_a_model_of_a_run_that_is_under_way_again_is_its_newest() -> None:
    """What was reported before is not there any more."""
    folder = trained()
    words = ["steps=30", "trainer.breaks_at=25", "trainer.optimizer.lr=0.2", "log_every=1"]
    assert lab("resume", folder, *(word for one in words for word in ("--set", one))) == 1
    assert pluglab.load(folder, trust=True).step == 24


def test_a_notebook_shows_runs_and_models() -> None:
    runs = run({**SMALL, "title": "<mine>"})
    shown = runs._repr_html_()
    assert shown.startswith("<table><tr><th></th><th>hits/train</th></tr>")
    assert "<td>&lt;mine&gt;</td>" in shown
    assert shown.count("data:image/png;base64,") == 1
    assert str(runs.folder) in shown
    assert runs.load()._repr_html_().startswith("<p><b>learner</b> after 4 steps, ")
    bare = run(SMALL, evaluate=[])
    assert bare.scalars == {}
    assert "<table>" in bare._repr_html_()
