"""What a person reads after a mistake: the exact words, exit code 2, nothing written, no traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import pluglab
from pluglab.errors import did_you_mean
from pluglab.recipe.keys import Machine
from pluglab.storage.run_folder import resuming
from tests.core.support import Lab, only_run

ODD = Path(__file__).parent / "odd_plugin.py"

RECIPE = """\
# A recipe to make mistakes in.
steps = 4
batch_size = 4
trainer = "toy"
evaluate = ["toy_accuracy"]

[data.train]
name = "toy_images"

[run]
device = "cpu"
precision = "32"
"""

Said = Callable[..., str]


@pytest.fixture
def said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Said:
    """What `lab run r.toml` says of a recipe in which some words are replaced by others."""

    def call(*changes: str, code: int = 2, text: str = RECIPE, words: tuple[str, ...] = ()) -> str:
        for before, after in zip(changes[::2], changes[1::2], strict=True):
            assert before in text
            text = text.replace(before, after, 1)
        Path("r.toml").write_text(text)
        assert lab("run", "r.toml", "--plugin", ODD, *words) == code
        output = capsys.readouterr()
        assert "Traceback" not in output.err + output.out
        assert code != 2 or (output.out == "" and not Path("runs").exists())
        return output.err

    return call


def errors(text: str) -> str:
    """From the first error on: preparation may have said something before."""
    return text[text.index("error: ") :].rstrip("\n")


def test_an_unknown_option(said: Said) -> None:
    found = errors(said('trainer = "toy"\n', '[trainer]\nname = "toy"\nwidht = 4\n', "evaluate", "#"))
    assert found == (
        "error: unknown option 'widht' for trainer 'toy'\n"
        " --> r.toml:6\n"
        "  |\n"
        "6 | widht = 4\n"
        "  | ^^^^^ did you mean 'width'?\n"
        "  = `lab show trainer toy` lists every option"
    )


def test_an_unknown_option_of_the_recipe(said: Said) -> None:
    assert errors(said("batch_size", "batchsize")) == (
        "error: unknown option 'batchsize' for the recipe\n"
        " --> r.toml:3\n"
        "  |\n"
        "3 | batchsize = 4\n"
        "  | ^^^^^^^^^ did you mean 'batch_size'?\n"
        "  = known: title, seeds, steps, epochs, batch_size, gradient_accumulation_steps, max_grad_norm, "
        "init, log_every, checkpoint_every, trainer, data, transforms, evaluate, select, axes, table, "
        "reported, run"
    )


def test_an_option_of_the_recipe_that_slid_into_a_table(said: Said) -> None:
    assert errors(said('name = "toy_images"\n', 'name = "toy_images"\nseeds = [1]\n')) == (
        "error: unknown option 'seeds' for dataset 'toy_images'\n"
        " --> r.toml:9\n"
        "  |\n"
        "9 | seeds = [1]\n"
        "  | ^^^^^\n"
        "  = 'seeds' is an option of the recipe: write it above the first [table]\n"
        "  = `lab show dataset toy_images` lists every option"
    )


def test_an_unknown_option_of_the_machine(said: Said) -> None:
    assert errors(said("precision", "presicion")) == (
        "error: unknown option 'presicion' for [run]\n"
        "  --> r.toml:12\n"
        "   |\n"
        '12 | presicion = "32"\n'
        "   | ^^^^^^^^^ did you mean 'precision'?\n"
        "  = known: device, devices, precision, channels_last, compile, threads, deterministic, keep_every, "
        "gradient_norms, evaluate_in, observers, launcher"
    )


def test_an_unknown_name(said: Said) -> None:
    assert errors(said('"toy"', '"toyy"')) == (
        "error: unknown trainer 'toyy'\n"
        " --> r.toml:4\n"
        "  |\n"
        '4 | trainer = "toyy"\n'
        "  |           ^^^^^^\n"
        "  = did you mean 'toy'?\n"
        "  = known: lost, needy, stumbling, toy, toy_other, unbuildable"
    )


def test_a_component_whose_module_is_missing(said: Said) -> None:
    lines = ODD.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "no_such_module:Lost" in text)
    assert errors(said('"toy"', '"lost"')) == (
        "error: trainer 'lost' of plugin 'odd_plugin' cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_module'\n"
        " --> r.toml:4\n"
        "  |\n"
        '4 | trainer = "lost"\n'
        "  |           ^^^^^^\n"
        "  = its target is no_such_module:Lost\n"
        "  = `lab list plugins` shows where the plugin comes from\n"
        f"  = the plugin's author wrote it in {ODD}:{line}"
    )


@pytest.mark.parametrize(
    ("before", "after", "option", "caret", "note"),
    [
        ("steps = 4", 'steps = "many"', "steps", '"many"', "should be a whole number"),
        ("steps = 4", 'steps = "4"', "steps", '"4"', "should be 4, without quotes"),
        ("steps = 4", "steps = true", "steps", "true", "should be a number"),
        ("steps = 4", "steps = 0.5", "steps", "0.5", "should be a whole number"),
        ("steps = 4", "steps = 0", "steps", "0", "should be greater than or equal to 1"),
        ("steps = 4", "steps = [4]", "steps", "[4]", "should be a whole number"),
        ("steps = 4", "epochs = 0", "epochs", "0", "should be greater than 0"),
        ("steps", "seeds = []\nsteps", "seeds", "[]", "should have at least 1 item"),
        ("steps", "seeds = 3\nsteps", "seeds", "3", "should be a list"),
        ("steps", "seeds = [1, 1]\nsteps", "seeds", "[1, 1]", "should not hold the same seed twice"),
        ("steps", 'seeds = [0, "a"]\nsteps', "seeds.1", '"a"', "should be a whole number"),
        ("steps", 'seeds = [0, "1"]\nsteps', "seeds.1", '"1"', "should be 1, without quotes"),
        ("steps", "title = 5\nsteps", "title", "5", "should be text in quotes"),
        ('["toy_accuracy"]', '"toy_accuracy"', "evaluate", '"toy_accuracy"', "should be a list"),
        ('precision = "32"', "compile = 3", "compile", "3", "should be true or false"),
        ('precision = "32"', 'threads = "x"', "threads", '"x"', "should be a whole number or 'auto'"),
        ('"32"', '"16"', "precision", '"16"', "should be 'auto', '32', 'bf16' or 'fp16'"),
        ('"cpu"', '"gpu"', "device", '"gpu"', "should be 'auto', 'cpu', 'cuda' or 'mps'"),
        ("[run]", "[select]\nmetric = 1\n[run]", "select.metric", "1", "should be text in quotes"),
    ],
)
def test_values_of_the_wrong_type(
    said: Said, before: str, after: str, option: str, caret: str, note: str
) -> None:
    lines = errors(said(before, after)).splitlines()
    owner = "[run]" if option in Machine.model_fields else "the recipe"
    assert lines[0] == f"error: option '{option}' of {owner} is wrong"
    shown, under = lines[3], lines[4]
    start = under.index("^")
    assert shown[start : start + under.count("^")] == caret
    assert under.endswith(f"^ {note}")
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("value", "message", "note"),
    [
        (
            "{ name = 'toy', width = 0 }",
            "option 'width' of trainer 'toy' is wrong",
            "greater than or equal to 1",
        ),
        (
            "{ name = 'toy', optimizer = { betas = [1] } }",
            "option 'betas' of optimizer 'adam' is wrong",
            "more",
        ),
        ("{ name = 'toy', optimizer = 'adm' }", "unknown optimizer 'adm'", "did you mean 'adam'?"),
        (
            "{ name = 'toy', optimizer = 3 }",
            "'trainer.optimizer' must name an optimizer",
            "known: adadelta, adagrad, adam, adamax",
        ),
        ("5", "'trainer' must name a trainer", "known: lost"),
        ("{ width = 5 }", "'trainer' must name a trainer", "known: lost"),
        ("['toy']", "'trainer' must name a trainer", "known: lost"),
        ("'needy'", "trainer 'needy' needs the option 'level'", "  = level: How high to go."),
    ],
)
def test_a_trainer_that_is_named_wrongly(said: Said, value: str, message: str, note: str) -> None:
    found = errors(said('"toy"', value, "evaluate", "#"))
    assert found.startswith(f"error: {message}\n --> r.toml:4\n")
    assert note in found
    assert found.count("error: ") == 1


def test_a_missing_role(said: Said) -> None:
    assert errors(said("[data.train]", "[data.trian]")) == (
        "error: trainer 'toy' needs data for the role 'train'\n"
        " --> r.toml:7\n"
        "  |\n"
        "7 | [data.trian]\n"
        "  |  ^^^^\n"
        "  = the recipe has data for 'trian'\n"
        '  = add [data.train] with name = "..."; `lab list datasets` shows what there is'
    )


def test_an_evaluator_that_the_trainer_cannot_serve(said: Said) -> None:
    assert errors(said("toy_accuracy", "toy_samples")) == (
        "error: evaluator 'toy_samples' needs a trainer that can sample images; 'toy' cannot\n"
        " --> r.toml:5\n"
        "  |\n"
        '5 | evaluate = ["toy_samples"]\n'
        "  |             ^^^^^^^^^^^^^\n"
        "  = a trainer can sample images if it has sample(); or leave this evaluator out"
    )


def test_malformed_toml(said: Said) -> None:
    assert errors(said('"toy"', "toy")) == (
        "error: not valid TOML: invalid value\n"
        " --> r.toml:4\n"
        "  |\n"
        "4 | trainer = toy\n"
        '  |           ^^^ text needs quotes: "toy"'
    )


def test_an_empty_recipe(said: Said) -> None:
    assert errors(said(text="")) == (
        "error: the recipe needs the option 'trainer'\n"
        "  --> r.toml\n"
        "  = trainer: The method: a name, or a table with a `name` and options; `lab list trainers` shows "
        "what there is.\n"
        "\n"
        "error: the recipe needs the option 'data'\n"
        "  --> r.toml\n"
        "  = data: One table a role, [data.ROLE]: a dataset's `name` and options, and `transforms` "
        "of its own.\n"
        "\n"
        "error: the recipe does not say how long to train\n"
        "  --> r.toml\n"
        "  = add `steps = 1000`, or `epochs = 10`"
    )


def test_steps_and_epochs(said: Said) -> None:
    assert errors(said("steps = 4", "steps = 4\nepochs = 1")) == (
        "error: both `steps` and `epochs` are given\n"
        " --> r.toml:3\n"
        "  |\n"
        "3 | epochs = 1\n"
        "  | ^^^^^^\n"
        "  = give one of them"
    )


def test_all_problems_at_once(said: Said) -> None:
    found = errors(
        said(
            *("steps = 4", "steps = 0\ntransforms = ['jiter']"),
            *('"toy"', '{ name = "toy", width = "wide", schedule = "one_cicle" }'),
            *('["toy_accuracy"]', '["accuracy", { name = "toy_accuracy", every = 0 }]'),
            *('"toy_images"', '"toy_image"'),
            *('"cpu"', '"gpu"'),
        )
    )
    assert re.findall(r"error: (.*)\n\s+--> r.toml:(\d+)", found) == [
        ("unknown schedule 'one_cicle'", "5"),
        ("option 'width' of trainer 'toy' is wrong", "5"),
        ("unknown transform 'jiter'", "3"),
        ("option 'device' of [run] is wrong", "12"),
        ("option 'steps' of the recipe is wrong", "2"),
        ("unknown dataset 'toy_image'", "9"),
        ("unknown evaluator 'accuracy'", "6"),
        ("option 'every' is wrong", "6"),
    ]


def test_missing_roles_and_misfits_come_together(said: Said) -> None:
    found = errors(said('"toy"', '"toy_other"'))
    assert re.findall(r"error: (.*)", found) == [
        "trainer 'toy_other' needs data for the role 'source'",
        "trainer 'toy_other' needs data for the role 'target'",
        "evaluator 'toy_accuracy' needs a trainer that can classify images; 'toy_other' cannot",
    ]


# Data ------------------------------------------------------------------------------------------------


def test_an_empty_data_set(said: Said) -> None:
    assert errors(said('"toy_images"', '"toy_images"\ncount = 0')) == (
        "error: data set 'toy_images' has no images in its 'train' split\n"
        " --> r.toml:7\n"
        "  |\n"
        "7 | [data.train]\n"
        "  |       ^^^^^"
    )


def test_a_data_set_that_needs_a_root(said: Said) -> None:
    change = ('"toy_images"', '"rooted"', '"toy"', '"stumbling"', "evaluate", "#")
    assert errors(said(*change)) == (
        "error: data set 'rooted' needs a data root\n"
        " --> r.toml:7\n"
        "  |\n"
        "7 | [data.train]\n"
        "  |       ^^^^^\n"
        "  = give --data-root DIR"
    )


def test_a_data_root_that_is_not_there(said: Said) -> None:
    assert said(words=("--data-root", "nowhere")) == (
        "error: the data root nowhere is not a folder\n"
        "  = give the folder that holds MNIST/, USPS/, SVHN/, ..., or leave it out for embedded data\n"
    )


def test_images_of_two_sizes(said: Said) -> None:
    more = '"toy_images"\n[data.more]\nname = "toy_images"\nsize = 9\n'
    assert errors(said('"toy_images"\n', more)) == (
        "error: the roles' images differ in size: train 8x8, more 9x9\n"
        " --> r.toml:7\n"
        "  |\n"
        "7 | [data.train]\n"
        "  |  ^^^^\n"
        "  = give every role the same size, for example `size = 32`"
    )


@pytest.mark.parametrize(("channels", "code"), [(1, 0), (3, 0), (2, 2), (4, 2)])
def test_images_of_channels_that_do_not_go_together(said: Said, channels: int, code: int) -> None:
    more = f'"toy_images"\n[data.more]\nname = "toy_images"\nchannels = {channels}\n'
    told = f"the roles' images differ in channels: train 1, more {channels}\n"
    assert (told in said('"toy_images"\n', more, code=code)) == bool(code)


def test_missing_labels(said: Said) -> None:
    assert errors(said('"toy_images"', '"toy_images"\nlabeled = false')) == (
        "error: trainer 'toy' needs labels for 'train', and 'toy_images' has none\n"
        " --> r.toml:7\n"
        "  |\n"
        "7 | [data.train]\n"
        "  |       ^^^^^"
    )


def test_images_that_are_none(said: Said) -> None:
    found = errors(said('"toy_images"', '"misshapen"'))
    assert found.startswith(
        "error: images must be uint8 N x C x H x W, got float32 4 x 8 x 8\n --> r.toml:7\n"
    )


def test_a_trainer_that_refuses_the_data(said: Said) -> None:
    found = errors(said('"toy_images"', '"toy_images"\nsize = 2'))
    assert found.startswith("error: the toy network needs images of 4 pixels, got 2\n --> r.toml:4\n")
    assert found.endswith("\n  = size = 8")


def test_small_data_is_told_not_refused(said: Said) -> None:
    found = said('"toy_images"', '"toy_images"\ncount = 3', code=0)
    assert "a batch of 4 repeats images of train (3 images)\n" in found


# Files and folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("else.toml", "error: there is no recipe else.toml\n  = recipes in .: good.toml\n"),
        ("god.toml", "error: there is no recipe god.toml\n  = did you mean good.toml?\n"),
        ("good", "error: there is no recipe good\n  = did you mean good.toml?\n"),
        ("bake.toml", "error: there is no recipe bake.toml\n  = did you mean recipes/baker.toml?\n"),
        (".", "error: . is a directory, not a recipe\n  = recipes in .: good.toml\n"),
        ("folder", "error: folder is a directory, not a recipe\n  = `lab list recipes` shows what is here\n"),
        ("good.toml/x.toml", "error: good.toml/x.toml cannot be read: Not a directory\n"),
    ],
)
@pytest.mark.parametrize("command", [("run",), ("describe",), ("show", "recipe")])
def test_a_recipe_that_cannot_be_read(
    lab: Lab, capsys: pytest.CaptureFixture[str], path: str, message: str, command: tuple[str, ...]
) -> None:
    Path("good.toml").write_text(RECIPE)
    Path("folder").mkdir()
    Path("recipes").mkdir()
    Path("recipes/baker.toml").write_text(RECIPE)
    assert lab(*command, path) == 2
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("command", ["resume", "evaluate"])
@pytest.mark.parametrize("path", [".", "gone", "file"])
def test_a_folder_that_is_no_run(
    lab: Lab, capsys: pytest.CaptureFixture[str], command: str, path: str
) -> None:
    Path("file").write_text("x")
    assert lab(command, path) == 2
    help = "  = give a folder that `lab run` made; `lab list runs` lists them\n"
    assert capsys.readouterr().err == f"error: {path} is no run folder\n{help}"


def test_a_run_folder_that_cannot_be_made(said: Said) -> None:
    Path("file").write_text("x")
    found = errors(said(words=("--run-dir", "file")))
    assert found == "error: cannot make a run folder in file/r: Not a directory"


def test_a_device_that_is_not_there(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = errors(said('"cpu"', '"cuda"'))
    assert found == "error: there is no 'cuda' device here\n  = set run.device to 'auto' or 'cpu'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "run.json cannot be read: Expecting property name"),
        ("[]", "run.json is damaged: it holds no JSON object"),
        ("{}", "run.json is damaged: it has no status or identity"),
    ],
)
def test_a_damaged_run(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    assert lab("run", recipe, "--set", "steps=1") == 0
    (only_run() / "run.json").write_text(content)
    for command in ("resume", "evaluate"):
        capsys.readouterr()
        assert lab(command, only_run()) == 2
        assert errors(capsys.readouterr().err).startswith(f"error: {only_run()}/{message}")


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_a_run_of_an_older_version(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert lab("run", recipe, "--set", "steps=1") == 0
    path = only_run() / "run.json"
    facts = json.loads(path.read_text())
    assert facts["format"] == 2
    path.write_text(json.dumps({**facts, "format": 1, "versions": {"pluglab": "0.0.9"}}))
    capsys.readouterr()
    assert lab(command, only_run()) == 2
    assert errors(capsys.readouterr().err).splitlines() == [
        f"error: {only_run()} was made by pluglab 0.0.9, whose run folders pluglab {pluglab.__version__} "
        "does not read",
        f"  = read it with that version, or train it again: lab run {only_run()}/recipe.toml",
    ]


def test_a_changed_recipe_is_not_resumed(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--set", "steps=1") == 0
    resolved = only_run() / "recipe.toml"
    resolved.write_text(resolved.read_text().replace("steps = 1\n", "steps = 2\n"))
    assert lab("resume", only_run()) == 2
    assert errors(capsys.readouterr().err) == (
        f"error: {resolved} was changed after the run started\n"
        "  = undo the change; `lab resume RUN --set KEY=VALUE` and `lab extend` go on with another value\n"
        "  = or start a new run with `lab run` on the changed file"
    )


def test_a_run_without_a_checkpoint_is_not_evaluated(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--set", "steps=2", "--set", "trainer.bad_step=0") == 1
    assert lab("evaluate", only_run()) == 2
    assert f"error: {only_run()} has no whole checkpoint; there are: none" in capsys.readouterr().err


# While it runs ---------------------------------------------------------------------------------------


def going_on() -> str:
    """The command that a message names."""
    return resuming(only_run())


def test_a_loss_that_is_not_finite(said: Said) -> None:
    found = errors(said('"toy"', '{ name = "toy", bad_step = 2 }', code=1))
    resume = going_on()
    assert found == (
        "error: seed 0: 'loss/class' became NaN or infinite at or before step 4\n"
        f"  = go on from the start at a lower rate: {resume} --set trainer.optimizer.lr=0.0001\n"
        f"  = `{resume}` tries again from the last checkpoint"
    )


FAULT = "  = this is a fault in the program or in a plugin; `--debug` shows how it came about"


def test_a_fault_in_a_plugin_is_placed_in_its_code(said: Said) -> None:
    found = errors(said('"toy"', '"unbuildable"', "evaluate", "#", code=1))
    assert re.fullmatch(rf"error: RuntimeError: .*\n  --> {re.escape(str(ODD))}:\d+\n{FAULT}", found)


def test_a_fault_during_training_fails_its_run(said: Said) -> None:
    found = errors(said('"toy"', '"stumbling"', "evaluate", "#", code=1))
    words = "error: seed 0: KeyError: 'a key that the author forgot'"
    assert re.fullmatch(
        rf"{words}\n  --> {re.escape(str(ODD))}:\d+\n{FAULT}\n"
        rf"  = the traceback is in {only_run()}/traceback.txt\n"
        rf"  = `{re.escape(going_on())}` tries again from the last checkpoint",
        found,
    )
    assert "raise KeyError(" in (only_run() / "traceback.txt").read_text()
    facts = json.loads((only_run() / "run.json").read_text())
    assert (facts["status"], facts["step"]) == ("failed", 3)
    assert facts["error"] == "KeyError: 'a key that the author forgot'"


def test_an_evaluator_that_wants_missing_labels(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Path("r.toml")
    recipe.write_text(
        'steps = 2\ntrainer = { name = "needy", level = 1 }\nevaluate = ["greedy"]\n'
        '[data.train]\nname = "rooted"\n[run]\ndevice = "cpu"\nprecision = "32"\n'
    )
    assert lab("run", recipe, "--plugin", ODD, "--data-root", ".") == 1
    assert errors(capsys.readouterr().err) == (
        "error: the 'test' split of 'train' has no labels\n"
        " --> r.toml:3\n"
        "  |\n"
        '3 | evaluate = ["greedy"]\n'
        "  |             ^^^^^^^^"
    )
    assert json.loads((only_run() / "run.json").read_text())["status"] == "failed"


def test_debug_shows_the_traceback(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", "gone.toml", "--debug") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no recipe gone.toml\n")
    assert "Traceback (most recent call last)" in error


def test_out_of_memory_is_told_as_such(
    lab: Lab, capsys: pytest.CaptureFixture[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pluglab.engine.engine.Engine.run", full)
    assert lab("run", recipe) == 1
    assert errors(capsys.readouterr().err) == (
        "error: seed 0: out of memory: the memory is used up\n"
        "  = use a smaller batch_size, or smaller networks\n"
        f"  = the traceback is in {only_run()}/traceback.txt\n"
        f"  = `{going_on()}` tries again from the last checkpoint"
    )


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("nothing", ["hinge"], ""),  # they share "hing"
        ("vea", ["vae", "dea"], "vae"),
        ("Dann", ["dann"], "dann"),
        ("rdam", ["adam"], "adam"),
        ("tetsing", ["listing", "testing"], "testing"),
        ("sgd", ["adam", "lion"], ""),
    ],
)
def test_a_near_name_is_one_that_a_slip_makes(word: str, known: list[str], found: str) -> None:
    assert did_you_mean(word, known) == (f"did you mean '{found}'?" if found else "")
