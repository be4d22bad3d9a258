"""Code of a plugin that leaves by SystemExit or KeyboardInterrupt fails by its name; the others go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pluglab.ctrl_c import CtrlC, let_ctrl_c_pass, telling_ctrl_c
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, only_run

WAYS = ["SystemExit(0)", "SystemExit(7)", "KeyboardInterrupt"]
PLUGIN = """
from pluglab import Evaluation
from tests.core.toy_plugin import ToyImages, ToyTrainer


class Leaver(ToyTrainer):
    def step(self, batch, progress):
        if progress.step == 3 and self.config.width == 4:
            raise {way}
        return super().step(batch, progress)


class Leaves:
    needs = ()

    def evaluate(self, trainer, data, context):
        if trainer.config.width == 4:
            raise {way}
        return Evaluation({{"fine": 1.0}})


class LeavingImages(ToyImages):
    def prepare(self, context):
        raise {way}


def lab_register(registry):
    registry.add("trainer", "leaver", Leaver)
    registry.add("evaluator", "leaves", Leaves)
    registry.add("dataset", "leaving_images", LeavingImages)
"""
HOOK = """
def lab_step_logged(run, step, scalars):
    raise {way}

def lab_register(registry):
    pass
"""
VARIANTS = "\n[variants.bad.trainer]\nwidth = 4\n[variants.good]\n"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def plugin(text: str, way: str) -> str:
    Path("leaving.py").write_text(text.format(way=way))
    return str(Path("leaving.py").resolve())


@pytest.mark.parametrize("part", ['name = "leaver"', 'name = "toy"'])
def test_a_trainer_or_an_evaluator_that_leaves_fails_its_own_run(
    part: str, way: str, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RECIPE.replace('name = "toy"', part) + VARIANTS
    if "leaver" not in part:
        text = text.replace('"toy_accuracy"', '"leaves"')
    recipe.write_text(text)
    assert lab("run", recipe, "--plugin", plugin(PLUGIN, way)) == 1
    said = capsys.readouterr().err
    name, _, rest = way.partition("(")
    assert f"error: bad, seed 0: {name}" in said and "leaving.py:" in said, rest
    status = {name: RunFolder(only_run() / f"{name}-seed0").read()["status"] for name in ("bad", "good")}
    assert status == {"bad": "failed", "good": "finished"}


def test_a_data_set_that_leaves_is_told(
    way: str, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(RECIPE.replace('"toy_images"', '"leaving_images"'))
    assert lab("run", recipe, "--plugin", plugin(PLUGIN, way)) == 1
    said = capsys.readouterr().err
    assert f"error: {way.partition('(')[0]}" in said and "leaving.py:" in said


def test_a_hook_that_leaves_is_left_out(
    way: str, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--plugin", plugin(HOOK, way)) == 0
    assert "warning: plugin 'leaving' failed in lab_step_logged" in capsys.readouterr().err
    assert RunFolder(only_run()).read()["status"] == "finished"


def test_ctrl_c_is_told_from_what_code_raises() -> None:
    with pytest.raises(KeyboardInterrupt) as told, telling_ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
    assert isinstance(told.value, CtrlC)
    let_ctrl_c_pass(KeyboardInterrupt())  # somebody else's
    with pytest.raises(CtrlC):
        let_ctrl_c_pass(told.value)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_data_are_prepared_ends_everything(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(RECIPE.replace('"toy_images"', '"leaving_images"'))
    code = PLUGIN.replace("        raise {way}\n\n\ndef", "        os.kill(os.getpid(), 2)\n\n\ndef")
    assert lab("run", recipe, "--plugin", plugin("import os" + code, "None")) == 130
    assert "error" not in capsys.readouterr().err
