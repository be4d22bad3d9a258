"""What identifies a run is what its training depends on, data by content, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pluglab.experiments.prepare import prepare
from pluglab.experiments.session import new_session
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.recipe import load_recipe
from tests.core.runs import ADAPTATION, PLUGIN, RECIPE, events, facts, lab, results, store, trained, write

STORED = RECIPE.replace('data.train = "drawn"', 'data.train = { name = "stored", path = "data/a.npz" }')


def identity(*sets: str, recipe: str = RECIPE) -> str:
    """Of the run that `lab run` would make of the recipe with these changes."""
    session = new_session(load_plugins([PLUGIN]), None, print)
    recipes = load_recipe(write(recipe), sets).resolve_all(session.plugins.registry)
    return prepare(recipes, session)[0].identity()["identity"]


@pytest.mark.parametrize(
    "change",
    [
        "evaluate=[]",
        "evaluate=['certain', { name = 'hits', bonus = 2.0 }]",
        "title=other",
        "run.observers=[]",
        "run.precision=bf16",
        "run.keep_every=2",
        "log_every=5",
        "checkpoint_every=5",
        "table=['certain']",
        "select={ metric = 'certain' }",
        "epochs=2",  # of 48 images: the same 12 steps
        "trainer=run_plugin/learner",
        "data.train=run_plugin/drawn",
        "trainer.optimizer={ name = 'core/adam', lr = 0.01 }",
        "data.train.held_out=1",
    ],
)
def test_what_the_training_does_not_depend_on_does_not_count(change: str) -> None:
    assert identity(change) == identity()


def test_what_the_training_depends_on_counts() -> None:
    changes = [
        "trainer.optimizer.lr=0.02",
        "trainer.noise=0.2",
        "trainer.schedule=one_cycle",
        "seeds=[1]",
        "batch_size=4",
        "steps=13",
        "gradient_accumulation_steps=2",
        "max_grad_norm=1.0",
        "data.train.pixel=1",
        "data.train.flipped=true",
    ]
    found = {change: identity(change) for change in changes}
    assert len({identity(), *found.values()}) == 1 + len(changes), found


def test_transforms_of_roles_that_the_trainer_reads_count(tmp_path: Path) -> None:
    """A role that only evaluators read may be transformed otherwise."""
    plugin = tmp_path / "brighter.py"
    plugin.write_text(
        "class Brighter:\n    random = False\n    def __call__(self, images, generator):\n"
        "        return images + 1\n\n"
        "def lab_register(registry):\n    registry.add('transform', 'brighter', Brighter)\n"
    )
    session = new_session(load_plugins([PLUGIN, plugin]), None, print)
    more = RECIPE.replace('data.train = "drawn"', 'data.train = "drawn"\ndata.other = "drawn"')
    found = {}
    for role in ("none", "train", "other"):
        sets = [] if role == "none" else [f"data.{role}.transforms=['brighter']"]
        recipes = load_recipe(write(more), sets).resolve_all(session.plugins.registry)
        found[role] = prepare(recipes, session)[0].identity()["identity"]
    assert found["other"] == found["none"] != found["train"]


def test_data_count_by_content_and_not_by_their_path() -> None:
    store("data/a.npz")
    before = identity(recipe=STORED)
    shutil.copytree("data", "elsewhere")
    assert identity("data.train.path=elsewhere/a.npz", recipe=STORED) == before
    store("data/a.npz", pixel=1)
    assert identity(recipe=STORED) != before


def test_an_option_of_a_role_that_the_trainer_does_not_read_does_not_count() -> None:
    other = 'data.other = { name = "drawn", pixel = 9 }\n'
    assert identity(recipe=RECIPE.replace("evaluate =", other + "evaluate =")) == identity()


def test_run_json_tells_the_identity_and_the_hash_of_every_split() -> None:
    run = trained(recipe=ADAPTATION)
    told = facts(run)
    assert told["format"] == 2
    assert told["identity"] == identity(recipe=ADAPTATION)
    hashes = {role: one["sha256"] for role, one in told["data"].items()}
    assert set(hashes) == {"source", "target"}
    assert all(set(one) == {"train", "test"} for one in hashes.values())
    assert len({digest for one in hashes.values() for digest in one.values()}) == 4


def test_evaluators_edited_into_a_recipe_count_and_a_trainer_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained()
    file = run / "recipe.toml"
    text = file.read_text()
    file.write_text(text.replace("bonus = 0.0", "bonus = 2.0"))
    assert lab("evaluate", run) == 0
    assert results(run)["scalars"]["hits_2/hits/train"] == results(run)["scalars"]["hits/train"] + 2
    for old, new in [("lr = 0.01", "lr = 0.02"), ("steps = 12", "steps = 13")]:
        file.write_text(text.replace(old, new))
        for words in (["evaluate", run], ["resume", run], ["extend", run, "--set", "steps=20"]):
            capsys.readouterr()
            assert lab(*words) == 2
            assert "was changed after the run started" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_an_option_that_has_come_to_be_since_changes_no_run(code: int) -> None:
    """A plugin's, or one of torch's, with a default: a run goes on, and is evaluated, as it was recorded."""
    broken = ["trainer.breaks_at=9", "trainer.optimizer.lr=0.2"]
    run = trained(*(broken if code else []), code=code)
    text = PLUGIN.read_text()
    newer = text.replace("        noise: float", "        novel: int = 3\n        noise: float", 1)
    assert newer != text
    Path("newer.py").write_text(newer)
    before = facts(run)
    assert lab("evaluate", run, "--plugin", "newer.py", plugin=False) == 0
    assert lab("resume", run, "--plugin", "newer.py", plugin=False) == code
    after = facts(run)
    assert after["identity"] == before["identity"] and "changes" not in after
    assert lab("extend", run, "--set", "steps=16", "--plugin", "newer.py", plugin=False) == code


def test_resume_of_a_recipe_goes_on_with_its_evaluators_of_today() -> None:
    """The unfinished run is found, since it trains the same; it ends with what the recipe asks for now."""
    broken = ("trainer.breaks_at=9", "trainer.optimizer.lr=0.2", "log_every=1")
    run = trained(*broken, code=1)
    words = [word for one in (*broken, "evaluate=['told']", "trainer.noise=0.1") for word in ("--set", one)]
    assert lab("run", "r.toml", "--resume", *words) == 1
    assert [event["step"] for event in events(run, "run_started")] == [0, 8]
    assert '"told"' in (run / "recipe.toml").read_text()
    assert lab("evaluate", run) == 0
    assert list(results(run)["steps"]["8"]["evaluations"]) == ["told"]


FORMAT_1 = [
    ["evaluate", "RUN"],
    ["resume", "RUN"],
    ["extend", "RUN", "--set", "steps=20"],
    ["sample", "RUN", "--out", "made"],
    ["run", "r.toml", "--init", "RUN"],
]


def test_a_folder_of_an_earlier_version_is_refused_in_a_line_that_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, good = trained(), trained("seeds=[1]")
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"format": 2', '"format": 1').replace('"0.', '"0.0.'))
    told = f"{run} was made by pluglab 0.0."
    for words in FORMAT_1:
        capsys.readouterr()
        assert lab(*(str(run) if word == "RUN" else word for word in words)) == 2
        assert f"error: {told}" in capsys.readouterr().err
    assert lab("compare", "runs", plugin=False) == 0
    assert f"left out: {told}" in capsys.readouterr().err
    assert lab("list", "runs") == 0
    assert str(good) in (listed := capsys.readouterr().out)
    assert told in listed
