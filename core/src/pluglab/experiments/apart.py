"""Evaluators in processes of their own: `[run] evaluate_in = "process"`.

So one that ends its process, by a fault in native code say, does not end the training.

Each look starts a process, which reads the run from its folder as `lab evaluate` does, takes the trainer's
state from a file, and leaves what the evaluator found in another. Taints, results and observers stay with the
training.
"""

from __future__ import annotations

import json
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pluglab.ctrl_c import STRAY
from pluglab.engine.engine import Engine
from pluglab.engine.evaluation import CrashError, Look
from pluglab.errors import LabError, RunError, UserError
from pluglab.experiments.experiment import Changes, reopen
from pluglab.experiments.new_engine import new_engine
from pluglab.experiments.session import Session, session_of
from pluglab.plugins.loading import is_trusting, load_plugins
from pluglab.recipe.recipe import EvaluatorUse
from pluglab.storage.failures import as_error

MAIN = """
import sys
from pathlib import Path
from pluglab.experiments.apart import answer
from pluglab.launchers.following import end_with_parent

end_with_parent()
answer(Path(sys.argv[1]))
"""
LINES = 3  # of the place where a process crashed


class Apart:
    """Looks at the trainer of one run through evaluators that run elsewhere.

    `run` is its folder, and `sets` are what the person has changed of its recipe.
    """

    def __init__(self, run: Path, engine: Engine, sets: Sequence[str], session: Session) -> None:
        if engine.fabric.world_size > 1:
            help = ["leave run.evaluate_in out, or train on one device"]
            raise UserError("evaluators of a run on several devices run in its processes", help=help)
        self.run, self.engine, self.sets, self.session = run, engine, sets, session

    def __call__(self, use: EvaluatorUse, folder: Path) -> Look:
        """Raises `CrashError` where the process ends without an answer, and what the evaluator raises."""
        with self._place() as place:
            (place / "asked.json").write_text(json.dumps(self._asked(use, folder)))
            state = {"trainer": self.engine.trainer.state_dict(), "step": self.engine.step}
            torch.save(state, place / "state.pt")
            with (place / "said").open("w+") as said:
                code = _wait_for(place, said)
                if not (place / "answer").is_file():
                    raise CrashError(
                        use.label, _words(code), _lines((place / "said").read_text(errors="replace"))
                    )
            # Of the process just started, in a folder that has had a name for no longer than that.
            found, told = pickle.loads((place / "answer").read_bytes())
        for words in told:
            warnings.warn(words, stacklevel=2)
        if isinstance(found, BaseException):
            raise found
        look: Look = found
        return look

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """A folder in that of the run, which goes with what killed processes leave."""
        place = self.run / f".evaluating.{secrets.token_hex(4)}"
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _asked(self, use: EvaluatorUse, folder: Path) -> dict[str, Any]:
        root = self.session.context.root
        return {
            "run": str(self.run.resolve()),
            "evaluator": self.engine.recipe.evaluators.index(use),
            "figures": str(folder.resolve()),
            "sets": list(self.sets),
            "data_root": str(root.resolve()) if root else None,
            "plugins": [str(file.resolve()) for file in self.session.plugins.files],
            "trust": is_trusting(),
        }


def _wait_for(place: Path, said: Any) -> int:
    command = [sys.executable, "-P", "-X", "faulthandler", "-c", MAIN, str(place)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
    )
    try:
        return process.wait()
    finally:
        process.kill()


def _words(code: int) -> str:
    names = {number.value: number.name for number in signal.Signals}
    return f"exit code {code}" if code >= 0 else names.get(-code, f"signal {-code}")


def _lines(text: str) -> list[str]:
    """The innermost places of a crash, as Python's fault handler tells them."""
    places = [line.strip() for line in text.splitlines() if line.strip().startswith("File ")]
    return places[:LINES] or text.splitlines()[-LINES:]


# In the other process --------------------------------------------------------------------------------


def answer(place: Path) -> None:
    """Do what is asked in a folder, and leave the answer there: what was found, or what was raised."""
    asked = json.loads((place / "asked.json").read_text())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found: Look | LabError
        try:
            found = _look(asked, torch.load(place / "state.pt", weights_only=True))
        except LabError as error:
            found = RunError(error.message, help=error.help, where=error.where)
        except STRAY as error:
            found = as_error(error)
    words = [str(item.message) for item in told if item.category is UserWarning]
    (place / "unfinished").write_bytes(pickle.dumps((found, words)))
    (place / "unfinished").rename(place / "answer")


def _look(asked: Mapping[str, Any], state: Mapping[str, Any]) -> Look:
    folder, root = Path(asked["run"]), asked["data_root"]
    files = [Path(file) for file in asked["plugins"]]
    session = session_of(folder, Path(root) if root else None, files, load_plugins(files), _quiet)
    experiment = reopen(folder, session, Changes(tuple(asked["sets"])), training=True)
    engine = new_engine(experiment, 0, session)
    engine.trainer.load_state_dict(state["trainer"])
    engine.step = state["step"]
    with engine.look():
        return engine.find(engine.recipe.evaluators[asked["evaluator"]], Path(asked["figures"]))


def _quiet(text: str) -> None:
    """The training has said it."""
