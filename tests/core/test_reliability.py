"""Whatever ends a run, it goes on bit for bit; whatever damages a file is noticed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest
import torch

from pluglab.errors import RunError
from pluglab.storage.atomic import write_file
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import RunFolder, claim_folder
from tests.core.support import RECIPE, TOYS, Lab, lab_process, last_state, only_run, same

EXPERIMENT = RECIPE + "\n[variants.a]\n[variants.b.trainer]\nwidth = 4\n"


def weights(folder: Path) -> tuple[object, object]:
    state = last_state(folder)
    assert state["step"] == 40
    return state["trainer"], state["random"]


def steps_logged(folder: Path) -> list[int]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if line["type"] == "step"]


@pytest.fixture
def uninterrupted(lab: Lab, recipe: Path, tmp_path: Path) -> tuple[object, object]:
    assert lab("run", recipe, "--run-dir", tmp_path / "whole") == 0
    return weights(only_run(tmp_path / "whole"))


@pytest.mark.parametrize("end", ["KILL:13", "KILL:20", "KILL:39", "TERM:24"])
def test_a_run_ended_at_any_step_goes_on_bit_for_bit(
    end: str, lab: Lab, recipe: Path, uninterrupted: tuple[object, object]
) -> None:
    ended = lab_process("run", recipe, TOY_END=end)
    assert ended.returncode == (143 if end.startswith("TERM") else -9), ended.stderr
    folder = only_run()
    state = "interrupted" if end.startswith("TERM") else "died"
    assert RunFolder(folder).read()["status"] == state
    assert lab("resume", folder) == 0
    assert same(weights(folder), uninterrupted)
    assert steps_logged(folder) == [5, 10, 15, 20, 25, 30, 35, 40]
    assert RunFolder(folder).read()["status"] == "finished"


def test_a_signal_saves_the_very_step(recipe: Path) -> None:
    ended = lab_process("run", recipe, TOY_END="INT:23")
    assert ended.returncode == 130
    assert "lab resume" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert last_state(only_run())["step"] == 24


def test_killed_before_the_first_checkpoint_starts_again(
    lab: Lab, recipe: Path, uninterrupted: tuple[object, object]
) -> None:
    lab_process("run", recipe, TOY_END="KILL:4")
    assert lab("resume", only_run()) == 0
    assert same(weights(only_run()), uninterrupted)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_checkpoint_is_passed_over(
    damage: str,
    lab: Lab,
    recipe: Path,
    uninterrupted: tuple[object, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab_process("run", recipe, TOY_END="KILL:35")
    *_, before, newest = sorted((only_run() / "checkpoints").glob("*.pt"))
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    newest.write_bytes(content[: {"cut": len(content) // 2, "flip": None, "empty": 0}[damage]])
    assert lab("resume", only_run()) == 0
    said = capsys.readouterr().err
    assert "warning: checkpoint passed over" in said
    assert f"after step {int(before.name.split('_')[1].split('.')[0])}\n" in said
    assert same(weights(only_run()), uninterrupted)


def test_every_flipped_byte_is_detected(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save({"x": torch.arange(3)}, step=1)
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.warns(UserWarning, match="passed over"):
            assert Checkpoints(tmp_path).latest() is None
    path.write_bytes(content)
    assert Checkpoints(tmp_path).latest() is not None


def test_the_newest_two_and_the_selected_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20, 30, 40, 50):
        checkpoints.save({"step": step}, step, keep=20)
    assert [file.step for file in checkpoints.files()] == [50, 40, 20]


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, ("touch evil",)

    Checkpoints(tmp_path).save({"evil": Evil()}, step=1)
    with pytest.warns(UserWarning, match="passed over"):
        assert Checkpoints(tmp_path).latest() is None
    assert not Path("evil").exists()


def test_a_full_disk_leaves_the_checkpoint_before(
    lab: Lab, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if ".step_" in path.name:
            synced.append(descriptor)
            if len(synced) > 2:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    assert lab("run", recipe) == 1
    said = capsys.readouterr().err
    assert "no space left on the disk" in said
    assert "Traceback" not in said
    folder = only_run() / "checkpoints"
    assert len(list(folder.iterdir())) == 2  # and no temporary file
    assert Checkpoints(folder).latest() is not None
    monkeypatch.undo()


def test_a_real_full_device_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    target = tmp_path / "file"
    write_file(target, b"old")

    def on_the_full_device(path: Path, **_: object) -> None:
        path.symlink_to("/dev/full")

    monkeypatch.setattr(Path, "touch", on_the_full_device)
    with pytest.raises(RunError, match="no space left"):
        write_file(target, b"new" * 10_000)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_nan_ends_the_run_and_keeps_the_checkpoint_before(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--set", "trainer.bad_step=17") == 1
    said = capsys.readouterr().err
    assert "'loss/class' became NaN or infinite at or before step 20" in said
    assert "learning rate" in said
    assert last_state(only_run())["step"] in (10, 14)
    assert RunFolder(only_run()).read()["status"] == "failed"


def test_the_remedies_that_are_told_are_commands_that_work(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--set", "trainer.bad_step=17", "--set", "run.precision='bf16'") == 1
    said = capsys.readouterr().err.splitlines()
    rate, arithmetic = [line for line in said if "go on from step 10" in line]
    for line, steps in ((rate, 20), (arithmetic, 30)):
        words = line.partition(": lab ")[2].split()
        assert lab(*words, "--set", "trainer.bad_step=99", "--set", f"steps={steps}") == 0
    settled = tomllib.loads(RunFolder(only_run()).recipe.read_text())
    assert settled["trainer"]["optimizer"]["lr"] == 0.0001 and settled["run"]["precision"] == "32"


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path) -> None:
    folders = {claim_folder(tmp_path, "same title") for _ in range(50)}
    assert len(folders) == 50


def test_a_run_in_progress_cannot_be_resumed(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab_process("run", recipe, TOY_END="KILL:13")
    with RunFolder(only_run()).held():
        assert RunFolder(only_run()).read()["status"] == "running"
        assert lab("resume", only_run()) == 2
    assert "another process" in capsys.readouterr().err


def test_an_interrupted_experiment_goes_on_where_it_stopped(lab: Lab, recipe: Path) -> None:
    recipe.write_text(EXPERIMENT)
    assert lab("run", recipe, "--run-dir", "whole") == 0
    ended = lab_process("run", recipe, TOY_END="TERM:23")
    folder = only_run()
    assert ended.returncode == 143
    assert f"lab resume {folder} --plugin {TOYS}\n" in ended.stderr
    assert [RunFolder(folder / f"{v}-seed0").read()["status"] for v in "ab"] == ["interrupted", "pending"]
    assert lab("run", recipe, "--resume") == 0
    assert only_run() == folder
    for variant in "ab":
        name = f"{variant}-seed0"
        assert same(weights(folder / name), weights(only_run(Path("whole")) / name))
    written = {v: (folder / f"{v}-seed0" / "run.json").stat().st_mtime_ns for v in "ab"}
    assert lab("resume", folder) == 0  # nothing left to do
    assert written == {v: (folder / f"{v}-seed0" / "run.json").stat().st_mtime_ns for v in "ab"}


def test_one_run_of_an_experiment_can_be_resumed_alone(lab: Lab, recipe: Path) -> None:
    recipe.write_text(EXPERIMENT)
    lab_process("run", recipe, TOY_END="TERM:23")
    assert lab("resume", only_run() / "b-seed0") == 0
    assert RunFolder(only_run() / "b-seed0").read()["status"] == "finished"
    assert RunFolder(only_run() / "a-seed0").read()["status"] == "interrupted"


def test_the_resolved_recipe_repeats_the_run(
    lab: Lab, recipe: Path, uninterrupted: tuple[object, object], tmp_path: Path
) -> None:
    assert lab("run", only_run(tmp_path / "whole") / "recipe.toml", "--run-dir", "again") == 0
    assert same(weights(only_run(Path("again"))), uninterrupted)


def test_a_changed_recipe_is_not_resumed(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab_process("run", recipe, TOY_END="KILL:13")
    resolved = only_run() / "recipe.toml"
    resolved.write_text(resolved.read_text().replace("width = 8", "width = 9"))
    assert lab("resume", only_run()) == 2
    assert "was changed" in capsys.readouterr().err


def test_how_often_one_evaluates_does_not_change_training(
    lab: Lab, recipe: Path, uninterrupted: tuple[object, object]
) -> None:
    assert lab("run", recipe, "--set", "evaluate.1.every=3", "--set", "log_every=4") == 0
    trainer, _ = weights(only_run())
    assert same(trainer, uninterrupted[0])


def test_the_selected_checkpoint_is_reported_and_kept(lab: Lab, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[run]", '[select]\nmetric = "confidence"\nmode = "min"\n\n[run]'))
    assert lab("run", recipe) == 0
    results = json.loads((only_run() / "results.json").read_text())
    lines = map(json.loads, (only_run() / "metrics.jsonl").read_text().splitlines())
    seen = {x["step"]: x["scalars"]["confidence"] for x in lines if "confidence" in x.get("scalars", {})}
    best = min(seen, key=lambda step: seen[step])
    assert results["step"] == results["selected_by"]["step"] == best
    assert results["scalars"]["confidence"] == pytest.approx(seen[best])
    assert Checkpoints(only_run() / "checkpoints").at(best) is not None


def test_the_oracles_pick_stands_beside_the_selected_one(lab: Lab, recipe: Path) -> None:
    select = '[select]\nmetric = "confidence"\nmode = "min"\noracle = "confidence"\n\n[run]'
    recipe.write_text(RECIPE.replace("[run]", select))
    assert lab("run", recipe) == 0
    results = json.loads((only_run() / "results.json").read_text())
    lines = map(json.loads, (only_run() / "metrics.jsonl").read_text().splitlines())
    seen = [x["scalars"]["confidence"] for x in lines if "confidence" in x.get("scalars", {})]
    assert results["scalars"]["oracle confidence"] == max(seen) > results["scalars"]["confidence"]
    assert "oracle confidence" in results["headline"]


def test_an_oracle_that_nobody_reports_is_an_error_before_the_end(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    select = '[select]\nmetric = "confidence"\noracle = "confidenze"\n\n[run]'
    recipe.write_text(RECIPE.replace("[run]", select))
    assert lab("run", recipe) == 1
    assert "no evaluator that runs during training reports 'confidenze'" in capsys.readouterr().err


def test_hidden_labels_do_not_select(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    select = '[select]\nmetric = "toy_accuracy/other"\n\n[data.other]\nname = "toy_images"\n\n[run]'
    recipe.write_text(RECIPE.replace("[run]", select).replace('"toy_accuracy"', '"toy_accuracy"\nevery = 10'))
    assert lab("run", recipe) == 1
    message = "'toy_accuracy/other' is computed from the labels of 'other', which are hidden"
    assert f"error: {message}\n  --> {recipe}:" in capsys.readouterr().err
    assert lab("run", recipe, "--set", "select.allow_hidden_labels=true") == 0


def test_lab_evaluate_repeats_the_figures(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe) == 0
    results = json.loads((only_run() / "results.json").read_text())
    history, pictures = RunFolder(only_run()).history, RunFolder(only_run()).reported_figures()
    before, drawn = history.events(), {name: path.read_bytes() for name, path in pictures.items()}
    capsys.readouterr()
    assert lab("evaluate", only_run(), "--json") == 0
    ((found,),) = json.loads(capsys.readouterr().out).values()
    assert found["scalars"] == results["scalars"]
    assert {name: path.read_bytes() for name, path in pictures.items()} == drawn != {}
    again = json.loads((only_run() / "results.json").read_text())
    assert again["scalars"] == results["scalars"] and again["evaluations"].keys() == {*results["evaluations"]}
    # The history of the training stays as it was, and has what was found afterwards at its end.
    assert history.training() == before
    assert [event["name"] for event in history.events()[len(before) :]] == ["toy_accuracy", "toy_confidence"]


def test_a_run_whose_folder_is_moved_still_resumes(
    lab: Lab, recipe: Path, uninterrupted: tuple[object, object]
) -> None:
    lab_process("run", recipe, TOY_END="KILL:25")
    shutil.move(only_run(), "elsewhere")
    assert lab("resume", "elsewhere") == 0
    assert same(weights(Path("elsewhere")), uninterrupted)


@pytest.mark.parametrize("metric", ["confidnce", "toy_accuracy/train"])
def test_a_metric_that_training_never_reports_is_told_at_its_first_evaluation(
    metric: str, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(RECIPE.replace("[run]", f'[select]\nmetric = "{metric}"\n\n[run]'))
    assert lab("run", recipe) == 1
    said = capsys.readouterr().err
    assert f"no evaluator that runs during training reports '{metric}'" in said
    assert "reported: confidence" in said
    assert not (only_run() / "checkpoints").exists()  # it took 7 steps, not 40


def test_selection_without_an_evaluation_in_training_is_refused(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RECIPE.replace("every = 7\n", "").replace("[run]", '[select]\nmetric = "confidence"\n\n[run]')
    recipe.write_text(text)
    assert lab("run", recipe) == 2
    assert "no evaluator runs during training" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_checkpoint_that_holds_nan_is_passed_over(
    lab: Lab, recipe: Path, uninterrupted: tuple[object, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """None is written any more; one from elsewhere would never be got rid of."""
    lab_process("run", recipe, TOY_END="KILL:33")
    checkpoints = Checkpoints(only_run() / "checkpoints")
    file, state = next(checkpoints.whole())
    state["trainer"]["net"]["0.weight"][0, 0, 0, 0] = float("nan")
    file.path.unlink()
    checkpoints.save(state, file.step)
    assert lab("resume", only_run()) == 0
    assert f"warning: checkpoint passed over: step_{file.step:08d}" in capsys.readouterr().err
    assert same(weights(only_run()), uninterrupted)


def test_a_run_is_finished_when_all_have_been_told(lab: Lab, recipe: Path) -> None:
    Path("killing.py").write_text(
        "import os\n\ndef lab_run_finished(run, status, results):\n    os.kill(os.getpid(), 9)\n\n"
        "def lab_register(registry):\n    pass\n"
    )
    assert lab_process("run", recipe, "--plugin", "killing.py").returncode == -9
    assert RunFolder(only_run()).read()["status"] == "died"
    assert lab("resume", only_run()) == 0
    assert steps_logged(only_run()) == [5, 10, 15, 20, 25, 30, 35, 40]
