"""What a plugin's author did wrong is told with the author's own file and line, never with one of ours."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import pluglab
from pluglab.storage.run_folder import RunFolder
from tests.core.support import Install, Lab, only_run

OURS = str(Path(pluglab.__file__).parent)
HERE = "# here"  # stands in the author's code on the line that is at fault

METHODS = """
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from pluglab import Evaluation, Figure, Images, Options, Role, Table, TrainerBase
from pluglab.capabilities import Classifies


class Method(TrainerBase):
    def __init__(self, config, data): ...

    def step(self, batch, progress):
        return {"loss": torch.zeros(())}


class Look:
    needs = ()

    def evaluate(self, trainer, data, context):
        return Evaluation({"accuracy": 1.0})


class Noise:
    def prepare(self, context): ...

    def split(self, name):
        return Images(torch.zeros(8, 1, 8, 8, dtype=torch.uint8))


"""

# How a recipe names a component of each kind, beside a trainer and data that are good.
USES = {
    "trainer": 'trainer = "mine"',
    "dataset": 'trainer = "toy"\ndata.train = "mine"',
    "transform": 'trainer = "toy"\ntransforms = ["mine"]',
    "evaluator": 'trainer = "toy"\nevaluate = ["mine"]',
    "schedule": 'trainer = { name = "toy", schedule = "mine" }',
    "optimizer": 'trainer = { name = "toy", optimizer = "mine" }',
    "observer": 'trainer = "toy"\nrun.observers = ["mine"]',
    "launcher": 'trainer = "toy"\nrun.launcher = "mine"',
}

Told = Callable[..., str]


def write(kind: str, code: str) -> tuple[Path, Path]:
    """A recipe, and a plugin whose component `Mine` of this kind the recipe uses."""
    plugin, recipe = Path("mine.py").absolute(), Path("r.toml")
    register = f"def lab_register(registry):\n    registry.add({kind!r}, 'mine', Mine)\n"
    plugin.write_text(f"{METHODS}{textwrap.dedent(code)}\n\n{register}")
    data = "" if kind == "dataset" else '\ndata.train = "toy_images"'
    recipe.write_text(f'steps = 3\nbatch_size = 4\nlog_every = 1\nrun.precision = "32"\n{USES[kind]}{data}\n')
    return recipe, plugin


def place(plugin: Path) -> str:
    """'file:line' of the line that is marked."""
    lines = plugin.read_text().splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if text.endswith(HERE)]
    return f"{plugin}:{line}"


@pytest.fixture
def told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Told:
    """What `lab run` says to the author of `Mine`, who made a mistake on the marked line."""

    def call(kind: str, code: str, *words: str) -> str:
        recipe, plugin = write(kind, code)
        left = lab("run", recipe, "--plugin", plugin, *words)
        assert left == (1 if Path("runs").exists() else 2)  # 2 where nothing was written
        error = capsys.readouterr().err
        error = error[error.index("error: ") :]
        assert place(plugin) in error
        assert OURS not in error and "Traceback" not in error
        assert error.count("error: ") == 1
        return error

    return call


# Components, when they are first used -----------------------------------------------------------------

TARGETS = [
    pytest.param(
        "trainer",
        """
        class Mine(Method):
            def step(self, batch):  # here
                return {}
        """,
        "trainer 'mine' of plugin 'mine': step is called with (batch, progress), and takes (batch)",
        id="a step with a missing argument",
    ),
    pytest.param(
        "trainer",
        """
        class Mine:  # here
            roles = (Role("train"),)
            def __init__(self, data): ...
            def setup(self, fabric): ...
            def state_dict(self): return {}
            def load_state_dict(self, state): ...
        """,
        "trainer 'mine' of plugin 'mine' has no step(batch, progress)",
        id="a trainer without a step",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):
            class Config:  # here
                width: int = 1
        """,
        "its Config must be a subclass of pluglab.Options",
        id="a Config that is no model",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):  # here
            Config = {"width": 1}
        """,
        "its Config must be a subclass of pluglab.Options",
        id="a Config that is no class",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):  # here
            roles = ("train",)
        """,
        """roles must be a tuple of Role, such as (Role("train"),), not ('train',)""",
        id="roles that are texts",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):  # here
            roles = Role("train")
        """,
        "roles must be a tuple of Role",
        id="a role alone",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):  # here
            roles = (Role("train", labels="hiden"),)
        """,
        "role 'train' has labels='hiden'",
        id="a role whose labels are misspelled",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine(Look):  # here
            needs = ("predict",)
        """,
        "needs must be a tuple of capabilities, not ('predict',)",
        id="needs that are texts",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine(Look):  # here
            needs = Classifies
        """,
        "needs must be a tuple of capabilities",
        id="a need alone",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine:  # here
            def evaluate(self, trainer, data, context):
                return Evaluation()
        """,
        "evaluator 'mine' of plugin 'mine' has no needs",
        id="an evaluator without needs",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine(Look):
            def evaluate(self, trainer, data):  # here
                return Evaluation()
        """,
        "evaluate is called with (trainer, data, context), and takes (trainer, data)",
        id="an evaluate with a missing argument",
    ),
    pytest.param(
        "dataset",
        """
        class Mine:  # here
            def split(self, name):
                return Images(torch.zeros(8, 1, 8, 8, dtype=torch.uint8))
        """,
        "dataset 'mine' of plugin 'mine' has no prepare(context)",
        id="a data set without prepare",
    ),
    pytest.param(
        "transform",
        """
        class Mine:
            random = True
            def __call__(self, images):  # here
                return images
        """,
        "__call__ is called with (images, generator), and takes (images)",
        id="a transform without a generator",
    ),
    pytest.param(
        "transform",
        """
        class Mine:  # here
            def __call__(self, images, generator):
                return images
        """,
        "transform 'mine' of plugin 'mine' has no random",
        id="a transform that does not say whether it is random",
    ),
    pytest.param(
        "schedule",
        """
        class Mine:
            def __call__(self):  # here
                return 1.0
        """,
        "__call__ is called with (p), and takes ()",
        id="a schedule of nothing",
    ),
    pytest.param(
        "optimizer",
        """
        def Mine():  # here
            return None
        """,
        "it is called with (parameters), and takes ()",
        id="an optimizer of nothing",
    ),
    pytest.param(
        "observer",
        """
        class Mine:
            def step_logged(self, run, step):  # here
                ...
        """,
        "step_logged is called with (run, step, scalars), and takes (run, step)",
        id="an observer with a missing argument",
    ),
    pytest.param(
        "launcher",
        """
        class Mine:
            def launch(self, jobs):  # here
                return {}
        """,
        "launch is called with (jobs, say), and takes (jobs)",
        id="a launcher with a missing argument",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(TrainerBase):  # here
            def __init__(self, config, data): ...
        """,
        "trainer 'mine' of plugin 'mine' has no step(batch, progress)",
        id="a TrainerBase without a step",
    ),
    pytest.param(
        "trainer",
        """
        def Mine(config, data):  # here
            return Method(config, data)
        """,
        "trainer 'mine' of plugin 'mine' must be a class",
        id="a function that makes a trainer",
    ),
    pytest.param(
        "trainer",
        """
        class Mine(Method):
            def predict(self, images):  # here
                return images
        """,
        "predict is called with (images, role), and takes (images)",
        id="a capability with a missing argument",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine(Look):
            def check(self, trainer):  # here
                return None
        """,
        "check is called with (trainer, data), and takes (trainer)",
        id="a check with a missing argument",
    ),
    pytest.param(
        "evaluator",
        """
        class Mine(Look):
            def prepare(self):  # here
                ...
        """,
        "prepare is called with (context), and takes ()",
        id="a prepare with a missing argument",
    ),
    pytest.param(
        "observer",
        """
        class Mine:  # here
            def step_loged(self, run, step, scalars): ...
        """,
        "observer 'mine' of plugin 'mine' has no method of its kind",
        id="an observer whose only method is misspelled",
    ),
]


@pytest.mark.parametrize(("kind", "code", "message"), TARGETS)
def test_a_component_that_is_not_what_its_kind_asks_for(
    told: Told, kind: str, code: str, message: str
) -> None:
    error = told(kind, code)
    assert message in error.splitlines()[0]
    assert "--> r.toml:" in error  # where the recipe names it
    assert not Path("runs").exists()


def test_a_target_that_is_no_code_is_told_with_the_line_that_registers_it(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, plugin = write("trainer", "Mine = 3")
    lines = plugin.read_text().splitlines()
    assert lab("run", recipe, "--plugin", plugin) == 2
    error = capsys.readouterr().err
    assert "trainer 'mine' of plugin 'mine' must be a class or a function, not 3\n" in error
    assert f"{plugin}:{len(lines)}" in error and OURS not in error


@pytest.mark.parametrize(
    ("kind", "code", "given", "takes"),
    [
        ("trainer", "class Mine(Method):\n    def __init__(self, config): ...", "config, data", "config"),
        (
            "trainer",
            "class Mine(Method):\n    def __init__(self, config, data, more): ...",
            "config, data",
            "config, data, more",
        ),
        ("evaluator", "class Mine(Look):\n    def __init__(self, config): ...", "", "config"),
        (
            "evaluator",
            "class Mine(Look):\n    class Config(Options): ...\n    def __init__(self): ...",
            "config",
            "",
        ),
        ("dataset", "class Mine(Noise):\n    def __init__(self, config): ...", "", "config"),
        ("observer", "class Mine:\n    def __init__(self, config): ...", "", "config"),
    ],
)
def test_a_constructor_that_asks_for_something_else(
    told: Told, kind: str, code: str, given: str, takes: str
) -> None:
    error = told(kind, f"{code}  {HERE}")
    assert error.startswith(
        f"error: {kind} 'mine' of plugin 'mine': it is made with ({given}), and takes ({takes})\n"
    )
    assert not Path("runs").exists()


def test_what_is_right_in_another_way_is_taken(lab: Lab) -> None:
    recipe, plugin = write(
        "trainer",
        """
        class Settings(BaseModel):
            width: int = 1

        class Mine(Method):
            Config = Settings
            roles = [Role("train")]

            def __init__(self, config, *rest, **more):
                self.nets = nn.ModuleList([nn.Linear(1, 1)])

            def step(self, batch, progress, more=None):
                return {"loss": torch.zeros(()), "half": torch.zeros((), dtype=torch.bfloat16)}

        class Watch:
            def __getattr__(self, name):
                raise AttributeError(name)

        def one(p): return 1.0

        class Seen(Look):
            def evaluate(self, *everything):
                still = np.zeros((2, 2, 3), np.uint8)
                return Evaluation({"a": np.float32(1), "b": 2}, {"x": still, "y": Figure(still)})
        """,
    )
    plugin.write_text(plugin.read_text() + "    registry.add('evaluator', 'seen', Seen)\n")
    plugin.write_text(plugin.read_text() + "    registry.add('observer', 'watch', Watch)\n")
    plugin.write_text(plugin.read_text() + "    registry.add('schedule', 'one', one)\n")
    words = ("--set", "evaluate=['seen']", "--set", "run.observers=['watch']")
    assert lab("run", recipe, "--plugin", plugin, *words) == 0
    assert RunFolder(only_run()).results()["scalars"] == {"a": 1.0, "b": 2.0}
    assert lab("run", Path("r.toml"), "--plugin", plugin, "--set", "trainer={name='toy',schedule='one'}") == 0


# Defaults of options ---------------------------------------------------------------------------------

REFERENCE = 'Annotated[Component, Reference("optimizer")]'
DEFAULTS = [
    ('bad: int = "x"', "the default of 'bad' of trainer 'mine' should be a whole number"),
    (
        "bad: int = Field(0, ge=1)",
        "the default of 'bad' of trainer 'mine' should be greater than or equal to 1",
    ),
    ("bad: list[int] = ['x']", "the default of 'bad' of trainer 'mine' should be a whole number"),
    (f'bad: {REFERENCE} = named("admm")', "the default of 'bad' of trainer 'mine': unknown optimizer 'admm'"),
    (
        f'bad: {REFERENCE} = named("admm", lr=1.0)',
        "the default of 'bad' of trainer 'mine': unknown optimizer 'admm'",
    ),
    (
        f'bad: list[{REFERENCE}] = named(["adam", "admm"])',
        "the default of 'bad' of trainer 'mine': unknown optimizer 'admm'",
    ),
    (
        f'bad: {REFERENCE} = named("adam", lrr=1.0)',
        "the default of 'bad' of trainer 'mine': unknown option 'lrr' for optimizer 'adam'",
    ),
    (
        f'bad: {REFERENCE} = named("adam", lr=-1.0)',
        "the default of 'bad' of trainer 'mine': option 'lr' of optimizer 'adam' is wrong",
    ),
    (
        'bad: Annotated[Component, Reference("optimzer")] = named("adam")',
        "the option 'bad' of trainer 'mine' is an optimzer, and no plugin declares that kind",
    ),
    (
        'bad: Annotated[Component, Reference("optimzer")]',
        "the option 'bad' of trainer 'mine' is an optimzer, and no plugin declares that kind",
    ),
]


def with_option(option: str) -> str:
    """A trainer with this option."""
    imports = "import Annotated\nfrom pydantic import Field\nfrom pluglab import Component, Reference, named"
    config = f"class Mine(Method):\n    class Config(Options):\n        good: int = 1\n        {option}"
    return f"from typing {imports}\n\n{config}"


@pytest.mark.parametrize(("option", "message"), DEFAULTS)
@pytest.mark.parametrize("show", [True, False])
def test_a_default_that_its_author_got_wrong(
    told: Told, lab: Lab, capsys: pytest.CaptureFixture[str], option: str, message: str, show: bool
) -> None:
    code = f"{with_option(option)}  {HERE}"
    if show:
        _, plugin = write("trainer", code)
        assert lab("show", "trainer", "mine", "--plugin", plugin) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {message}\n  --> {place(plugin)}\n")
    else:
        error = told("trainer", code, "--dry-run")
        assert error.startswith(f"error: {message}\n --> r.toml:5\n")  # where the recipe names it
        assert f"  = the plugin's author wrote it in {place(Path('mine.py').absolute())}\n" in error
        assert "lab show trainer mine" not in error.splitlines()[0]


def test_a_wrong_default_does_no_harm_where_a_recipe_gives_another_value(lab: Lab) -> None:
    recipe, plugin = write("trainer", with_option(f'bad: {REFERENCE} = named("admm")'))
    assert lab("run", recipe, "--plugin", plugin, "--dry-run", "--set", "trainer.bad='adam'") == 0


def test_what_a_recipe_gives_is_the_recipes_fault(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, plugin = write("trainer", with_option(f'ref: {REFERENCE} = named("adam")'))
    for given in ("'admm'", "{ lr = -1.0 }", "{ name = 'adam', lrr = 1 }"):
        assert lab("run", recipe, "--plugin", plugin, "--dry-run", "--set", f"trainer.ref={given}") == 2
        error = capsys.readouterr().err
        assert "the plugin's author" not in error and "the default" not in error


# What a step returns --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ('{"loss": 0.5}', "float as 'loss'"),
        ('{"good": torch.zeros(()), "loss": torch.zeros(3)}', "a tensor of shape (3,) as 'loss'"),
        ('{"loss": torch.zeros(1)}', "a tensor of shape (1,) as 'loss'"),
        ('{"loss": np.float32(1)}', "float32 as 'loss'"),
        ('{"loss": None}', "NoneType as 'loss'"),
        ("None", "NoneType"),
        ("torch.zeros(())", "Tensor"),
        ('[("loss", torch.zeros(()))]', "list"),
    ],
)
def test_a_step_that_returns_no_scalar_tensors(told: Told, value: str, what: str) -> None:
    code = f"class Mine(Method):\n    def step(self, batch, progress):  # here\n        return {value}"
    error = told("trainer", code)
    assert error.startswith(f"error: Mine.step returns {what}: it must return scalar tensors by name\n")
    state = json.loads((only_run() / "run.json").read_text())
    assert (state["status"], state["step"]) == ("failed", 0)


def test_what_was_a_tuple_once_is_told_where_it_is_unpacked(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, plugin = write(
        "trainer",
        """
        class Mine(Method):
            def step(self, batch, progress):
                images, labels = batch["train"]  # here
                return {"loss": images.mean()}
        """,
    )
    assert lab("run", recipe, "--plugin", plugin) == 1
    assert f"TypeError: cannot unpack non-iterable Batch object\n  --> {place(plugin)}\n" in (
        capsys.readouterr().err
    )


def test_a_mistake_in_one_of_several_runs_is_that_runs_failure(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, plugin = write(
        "trainer",
        """
        class Mine(Method):
            def step(self, batch, progress):  # here
                return {"loss": 0.5}
        """,
    )
    variants = '[variants.good.trainer]\nname = "toy"\n[variants.bad.trainer]\nname = "mine"\n'
    recipe.write_text(recipe.read_text().replace('trainer = "mine"\n', "") + variants)
    assert lab("run", recipe, "--plugin", plugin) == 1
    error = capsys.readouterr().err
    assert "error: bad, seed 0: Mine.step returns float as 'loss'" in error
    assert f"  --> {place(plugin)}\n" in error and OURS not in error
    states = {name: RunFolder(only_run() / name).read()["status"] for name in ("good-seed0", "bad-seed0")}
    assert states == {"good-seed0": "finished", "bad-seed0": "failed"}


@pytest.mark.parametrize(
    ("held", "container"),
    [
        ("[nn.Linear(1, 1), nn.Linear(1, 1)]", "nn.ModuleList"),
        ("(nn.Linear(1, 1),)", "nn.ModuleList"),
        ('{"a": nn.Linear(1, 1)}', "nn.ModuleDict"),
        ("[torch.optim.SGD([nn.Parameter(torch.zeros(1))])]", "nn.ModuleList"),
        ("[[nn.Linear(1, 1)]]", "nn.ModuleList"),
        ("{nn.Linear(1, 1)}", "nn.ModuleList"),
    ],
)
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_networks_in_a_plain_container(told: Told, held: str, container: str, words: tuple[str, ...]) -> None:
    error = told(
        "trainer",
        f"class Mine(Method):\n    def __init__(self, config, data):  # here\n        self.nets = {held}",
        *words,
    )
    assert not Path("runs").exists()
    assert "'nets', where they would be neither set up nor saved" in error.splitlines()[0]
    assert f"an {container}" in error


# What others return -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        (
            "dataset",
            "class Mine(Noise):\n    def split(self, name):  # here\n        return torch.zeros(8, 1, 8, 8)",
            "Mine.split('train') returns a tensor of shape (8, 1, 8, 8): it must return Images",
        ),
        (
            "transform",
            "class Mine:\n    random = True\n"
            "    def __call__(self, images, generator):  # here\n        images * 2",
            "Mine makes NoneType of a batch of shape (4, 1, 8, 8)",
        ),
        (
            "transform",
            "class Mine:\n    random = True\n"
            "    def __call__(self, images, generator):  # here\n        return images[:2]",
            "Mine makes a tensor of shape (2, 1, 8, 8) of a batch of shape (4, 1, 8, 8)",
        ),
        (
            "optimizer",
            "def Mine(parameters):  # here\n    ...",
            "Mine returns NoneType: it must return an optimizer",
        ),
        (
            "trainer",
            "class Mine(Method):\n    def diagnose(self, scalars):  # here\n        ...",
            "Mine.diagnose returns NoneType: it must return a list of texts",
        ),
        (
            "launcher",
            "class Mine:\n    def launch(self, jobs, say):  # here\n        ...",
            "Mine.launch returns NoneType: it must return failures by label",
        ),
    ],
)
def test_what_is_returned_is_not_what_the_kind_promises(
    told: Told, kind: str, code: str, message: str
) -> None:
    assert message in told(kind, code).splitlines()[0]


# What an evaluator returns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"accuracy": 1.0}', "Mine.evaluate must return an Evaluation, not dict"),
        ("None", "Mine.evaluate must return an Evaluation, not NoneType"),
        (
            'Evaluation({"a": torch.ones(())})',
            "Mine.evaluate: the scalar 'a' is Tensor: it must be a float",
        ),
        ('Evaluation({"a": True})', "Mine.evaluate: the scalar 'a' is bool: it must be a float"),
        ('Evaluation({"a": "1"})', "Mine.evaluate: the scalar 'a' is str: it must be a float"),
        ("Evaluation([1.0])", "Mine.evaluate: scalars must be a mapping of names, not [1.0]"),
        ("Evaluation({1: 1.0})", "scalars must be a mapping of names, not {1: 1.0}"),
        ('Evaluation({"a": 1.0}, protocol=3)', "protocol must be a mapping of names, not 3"),
        ('Evaluation({"a": 1.0}, headline="a")', "headline must be a tuple of names, not 'a'"),
        ('Evaluation({"a": 1.0}, protocols={"b": {}})', "protocols names 'b', and there is no such scalar"),
        ('Evaluation({"a": 1.0}, better={"b": "max"})', "better names 'b', and there is no such scalar"),
        ('Evaluation({"a": 1.0}, better={"a": "more"})', "better says 'more' of 'a': it is 'max' or 'min'"),
        ('Evaluation({"a": 1.0}, better=["a"])', "better must be a mapping of names, not ['a']"),
        ('Evaluation(protocol={"a": {1}})', "the protocol must be numbers, texts, arrays, and lists"),
        ('Evaluation(tables={"t": Table(("a", "b"), [(1,)])})', "rows that are not as long as its 2 columns"),
        ('Evaluation(tables={"t": Table(("a",), [({1},)])})', "the table 't' must be numbers"),
        ('Evaluation(figures={"f": np.zeros((0, 4, 4, 3), np.uint8)})', "the figure 'f' is empty"),
        ('Evaluation(figures={"../f": np.zeros((4, 4, 3), np.uint8)})', "a figure is called '../f'"),
        (
            'Evaluation(figures={"f": Figure(np.zeros((4, 4, 3), np.uint8), "", {"x": {1}})})',
            "the data of figure 'f' must be numbers",
        ),
        (
            'Evaluation({"accuracy": 1.0}, headline=("acuracy",))',
            "Mine.evaluate: headline names 'acuracy', and there is no such scalar",
        ),
        (
            'Evaluation(figures={"f": np.zeros((4, 4, 3))})',
            "figure 'f' must be uint8 H x W x 3 (or T x H x W x 3), not float64 (4, 4, 3)",
        ),
        ('Evaluation(figures={"f": Figure(np.zeros((4, 4), np.uint8))})', "not uint8 (4, 4)"),
        ('Evaluation(figures={"f": [[0]]})', "figure 'f' must be uint8 H x W x 3"),
        ('Evaluation(tables={"t": [[1]]})', "the table 't' is list: it must be a Table"),
    ],
)
def test_an_evaluation_that_is_none(told: Told, value: str, message: str) -> None:
    code = f"""
    class Mine(Look):
        def evaluate(self, trainer, data, context):  # here
            return {value}
    """
    error = told("evaluator", code)
    assert message in error.splitlines()[0]
    assert "--> r.toml:5" not in error and "--> r.toml:6" in error  # where the recipe names it
    assert "  = the plugin's author wrote it in " in error
    state = json.loads((only_run() / "run.json").read_text())
    assert state["status"] == "failed" and error.startswith(f"error: {state['error']}\n")


def test_a_misspelled_headline_has_its_correction(told: Told) -> None:
    code = """
    class Mine(Look):
        def evaluate(self, trainer, data, context):  # here
            return Evaluation({"accuracy": 1.0}, headline=("acuracy",))
    """
    assert "  = did you mean 'accuracy'?\n" in told("evaluator", code)


# What an evaluator promises ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", ['{"accuracy": "train"}', '["accuracy"]', '"accuracy"', "3"])
def test_a_promise_that_is_none(told: Told, value: str) -> None:
    error = told(
        "evaluator", f"class Mine(Look):\n    def check(self, trainer, data): return {value}  # here"
    )
    assert "Mine.check must return the roles whose labels each scalar reads, by name" in error
    assert '= as in {"accuracy/source": ["source"]}' in error
    assert not Path("runs").exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_promise_about_a_role_that_there_is_not(told: Told, words: tuple[str, ...]) -> None:
    code = 'class Mine(Look):\n    def check(self, trainer, data): return {"accuracy": ["trian"]}  # here'
    assert "'trian'" in told("evaluator", code, *words)
    assert not Path("runs").exists()


def test_a_scalar_that_was_not_announced(told: Told) -> None:
    code = """
    class Mine(Look):
        def check(self, trainer, data):  # here
            return {"acuracy": ["train"]}
    """
    error = told("evaluator", code)
    assert "Mine reports 'accuracy', which its check() did not announce" in error
    assert "  = did you mean 'acuracy'?\n" in error


def test_who_promised_no_scalars_and_reports_one(told: Told) -> None:
    code = "class Mine(Look):\n    def check(self, trainer, data): return {}  # here"
    assert "Mine reports 'accuracy', which its check() did not announce" in told("evaluator", code)


def test_a_promise_to_read_no_labels_does_not_hide_that_they_were_read(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, plugin = write(
        "evaluator",
        """
        class Mine(Look):
            def check(self, trainer, data):
                return {"accuracy": []}

            def evaluate(self, trainer, data, context):
                return Evaluation({"accuracy": float(data["other"]["test"].labels.sum())})
        """,
    )
    text = recipe.read_text().replace('["mine"]', '[{ name = "mine", every = 1 }]')
    recipe.write_text(text + 'data.other = "toy_images"\nselect.metric = "accuracy"\n')
    assert lab("run", recipe, "--plugin", plugin) == 1
    assert "'accuracy' is computed from the labels of 'other', which are hidden" in capsys.readouterr().err


def test_a_check_cannot_look_at_the_content_of_the_data(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, plugin = write(
        "evaluator",
        """
        class Mine(Look):
            def check(self, trainer, data):
                data["train"]["test"].labels
        """,
    )
    assert lab("run", recipe, "--plugin", plugin) == 2
    assert "check() can ask data for shapes and counts, not for content" in capsys.readouterr().err


# What a plugin registers ------------------------------------------------------------------------------

OF_NO_KIND = """
class Mine: ...

def lab_register(registry):
    registry.add("encodr", "mine", Mine)  # here
    registry.kind("encoder", summary="a network")
"""


def test_a_file_with_a_component_of_a_kind_that_nobody_declares(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Path("mine.py").absolute()
    plugin.write_text(OF_NO_KIND)
    assert lab("run", recipe, "--plugin", plugin) == 2
    assert capsys.readouterr().err == (
        "error: no plugin declares the kind 'encodr' of 'mine'; did you mean 'encoder'?\n"
        f"  --> {place(plugin)}\n"
        "  = a kind of your own: registry.kind('encodr', summary=\"...\")\n"
    )


def test_an_installed_plugin_with_a_component_of_a_kind_that_nobody_declares(
    install: Install, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("odd", OF_NO_KIND + "\ndef lab_step_logged(run): raise AssertionError('it was called')\n")
    assert lab("list", "plugins", "--json") == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "odd"]
    assert row["status"] == "broken"
    assert row["error"].startswith("no plugin declares the kind 'encodr' of 'mine'; did you mean 'encoder'?")
    assert "stranger_" in row["error"] and row["error"].endswith(":5)")
    assert lab("run", recipe, "--set", "steps=1") == 0  # all else works, without its hooks
    assert "left out" not in capsys.readouterr().err


def test_a_trainer_that_cannot_do_what_it_was_registered_for(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, plugin = write(
        "trainer", f"class Mine(Method):  {HERE}\n    def predict(self, images, role): ..."
    )
    text = plugin.read_text().replace("import Classifies\n", "import Classifies, Samples\n")

    def run(can: str) -> int:
        plugin.write_text(text.replace("Mine)\n", f"Mine, can={can})\n"))
        return lab("run", recipe, "--plugin", plugin)

    assert run("[Classifies]") == 0
    assert run("[Classifies, Samples]") == 2
    error = capsys.readouterr().err
    assert "'mine' of plugin 'mine' is registered as one that can sample images, and has no sample\n" in error
    assert place(plugin) in error and OURS not in error
    assert run("['classify images']") == 2
    error = capsys.readouterr().err
    assert "can= of trainer 'mine' must be capabilities, such as Classifies" in error
    assert f"{plugin}:{len(text.splitlines())}" in error and OURS not in error


def test_a_kind_is_listed_with_its_summary_and_its_components(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Path("mine.py")
    plugin.write_text(OF_NO_KIND.replace("encodr", "encoder"))
    assert lab("list", "kinds", "--json", "--plugin", plugin) == 0
    rows = {row["kind"]: row for row in json.loads(capsys.readouterr().out)}
    facts = {"plugin": "mine", "components": 1, "summary": "a network", "protocol": ""}
    assert rows["encoder"] == {"kind": "encoder", **facts}
    assert rows["trainer"]["protocol"] == "pluglab.protocols:Trainer"
    assert lab("list", "encoders", "--json", "--plugin", plugin) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["mine"]


def test_a_component_is_held_to_the_protocol_of_a_plugins_own_kind(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Path("mine.py").absolute()
    plugin.write_text(
        textwrap.dedent(
            """
            from typing import Annotated, Protocol

            from pluglab import Component, Options, Reference, TrainerBase

            class Encoder(Protocol):
                width: int
                def encode(self, images): ...

            class Narrow:
                width = 1
                def encode(self): ...  # here

            class Method(TrainerBase):
                class Config(Options):
                    encoder: Annotated[Component, Reference("encoder")]

                def __init__(self, config, data): ...

                def step(self, batch, progress): ...

            def lab_register(registry):
                registry.kind("encoder", protocol=Encoder, summary="a network")
                registry.add("encoder", "narrow", Narrow)
                registry.add("trainer", "method", Method)
            """
        )
    )
    words = ("--plugin", plugin, "--set", "trainer={name='method',encoder='narrow'}")
    assert lab("run", recipe, *words) == 2
    error = capsys.readouterr().err
    assert "encoder 'narrow' of plugin 'mine': encode is called with (images), and takes ()" in error
    assert place(plugin) in error and OURS not in error


def test_a_command_that_would_hide_one_of_ours(
    install: Install, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "bold",
        """
        def lab_commands(app):
            @app.command()
            def fine() -> None: ...

            @app.command()
            def run(recipe: str) -> None:
                print("not the command that you know")
        """,
    )
    assert lab("run", recipe, "--set", "steps=1") == 0
    out, err = capsys.readouterr()
    assert "not the command" not in out
    assert err.startswith("warning: plugin 'bold' is left out: ")
    assert lab("list", "plugins", "--json", toys=False) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "bold"]
    assert row["status"] == "broken"
    assert row["error"].startswith("CommandError: there is a command 'run' already (")
    assert row["error"].endswith(".py:6)") and OURS not in row["error"]
    assert f"warning: plugin 'bold' is left out: {row['error']}" == err.splitlines()[0]
    assert lab("fine", toys=False) == 2  # all or nothing


@pytest.mark.parametrize(
    ("code", "words", "line"),
    [
        ("@app.command('run', hidden=True)\ndef mine(): ...", "there is a command 'run' already", 4),
        ("@app.command()\ndef RUN(): ...", "there is a command 'run' already", 4),
        ("group = typer.Typer()\napp.add_typer(group, name='run')", "there is a command 'run' already", 3),
        (
            "group = typer.Typer()\n@group.command()\ndef run(): ...\napp.add_typer(group)",
            "there is a command 'run' already",
            5,
        ),
        (
            "@app.command()\ndef one(): ...\n@app.command('one')\ndef two(): ...",
            "there is a command 'one' already",
            6,
        ),
        ("del app.registered_commands[0]", "it may add commands, and change none that there are", 3),
        ("@app.callback()\ndef all(): ...", "it may add commands, and change none that there are", 3),
    ],
)
def test_what_a_plugin_may_not_do_to_the_command_line(
    install: Install, lab: Lab, capsys: pytest.CaptureFixture[str], code: str, words: str, line: int
) -> None:
    install("bold", f"import typer\n\ndef lab_commands(app):\n{textwrap.indent(code, '    ')}\n")
    assert lab("run", "--help", toys=False) == 0
    out, err = capsys.readouterr()
    assert "Train, evaluate and log what a recipe says." in out
    assert err.startswith(f"warning: plugin 'bold' is left out: CommandError: {words} (")
    assert err.endswith(f".py:{line})\n") and OURS not in err


def test_a_group_of_commands_may_be_added(
    install: Install, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "group = typer.Typer()\n@group.command()\ndef run(): print('mine')\n@group.command()\ndef b(): ...\n"
    )
    code += "app.add_typer(group, name='more')"
    install("kind", f"import typer\n\ndef lab_commands(app):\n{textwrap.indent(code, '    ')}\n")
    assert lab("more", "run", toys=False) == 0
    assert capsys.readouterr() == ("mine\n", "")
