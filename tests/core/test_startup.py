"""What a command does not wait for when it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.core.support import lab_process

WATCHING = """
import gc

def lab_run_started(run):
    (run.folder / "garbage.txt").write_text(f"{gc.isenabled()} {gc.get_freeze_count() > 1000}")
"""


def test_trainers_import_no_torchmetrics_which_is_there_all_the_same() -> None:
    words = "import pluglab.training, sys; pluglab.training.TrainerBase; print('torchmetrics' in sys.modules)"
    command = [sys.executable, "-c", f"{words}; import torchmetrics; print(torchmetrics.__name__)"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "torchmetrics"]


def test_garbage_is_collected_in_a_training_but_not_among_what_was_imported(
    recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "watching.py").write_text(WATCHING)
    assert lab_process("run", recipe, "--plugin", tmp_path / "watching.py").returncode == 0
    (found,) = Path("runs").glob("*/*/garbage.txt")
    assert found.read_text() == "True True"
