"""What TensorBoard is given, read back as TensorBoard reads it."""

from __future__ import annotations

import io
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    PLUGIN_NAME,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from pluglab.observers.tensorboard.observer import TensorBoardObserver
from pluglab.observers.tensorboard.tags import logged_tag, tag
from pluglab.protocols import Evaluation, Figure, RunInfo, Table
from pluglab.storage.run_folder import RunFolder, write_json, write_recipe

STILL, FILM = np.full((4, 5, 3), 255, np.uint8), np.zeros((2, 4, 5, 3), np.uint8)
EVALUATION = Evaluation(
    scalars={"accuracy/target": 0.75, "ece": 0.9, "broken": float("nan")},
    figures={"still": Figure(STILL, "What there is to see"), "film": FILM},
    tables={"classes": Table(["class", "accuracy"], [["a|b", 0.123456], ["c", 1]])},
)
TRAINER = {"name": "dann", "weight": 0.5, "optimizer": {"name": "adam", "lr": 1e-3}}
RECIPE = {"batch_size": 64, "trainer": TRAINER}
RESULTS = {
    "step": 20,
    "scalars": {"accuracy/target": 80.0, "ece": 0.5, "b": None},
    "headline": ["accuracy/target"],
}


def a_run(folder: Path, variant: str = "DANN", recipe: Mapping[str, Any] = RECIPE) -> RunInfo:
    folder.mkdir(exist_ok=True)
    write_recipe(RunFolder(folder).recipe, recipe, "A recipe")
    RunFolder(folder).architecture.with_suffix(".txt").write_text("net: Linear(1, 2)\n\n| a | table |")
    return RunInfo(folder, "r", variant, seed=3, steps=100, batch_size=128)


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return a_run(tmp_path / "run")


def read(run: RunInfo) -> Any:
    sizes = {"images": 0, "tensors": 0, "scalars": 0}
    return EventAccumulator(str(run.folder / "tensorboard"), sizes).Reload()


def board(run: RunInfo, start: int, stop: int, value: float) -> TensorBoardObserver:
    observer = TensorBoardObserver()
    observer.run_started(run, start)
    for step in range(start + 10, stop + 1, 10):
        observer.step_logged(run, step, {"loss/class": value, "lr/optimizer": 0.1})
    observer.checkpoint_saved(run, stop, run.folder / "any.pt")
    return observer


def text(found: Any, name: str) -> str:
    words: bytes = found.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0]
    return words.decode()


# Names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "key", "expected"),
    [
        ("accuracy", "accuracy/target", "accuracy/target"),
        ("proxy_a_distance", "proxy_a_distance", "proxy_a_distance"),
        ("generation_quality", "fid", "generation_quality/fid"),
        ("accuracy", "accuracy_of", "accuracy/accuracy_of"),
        ("late", "accuracy/target", "late/accuracy/target"),
    ],
)
def test_no_name_is_there_twice(label: str, key: str, expected: str) -> None:
    assert tag(label, key) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("loss/class", "loss/class"), ("training/accuracy", "training/accuracy"), ("score", "training/score")],
)
def test_what_is_logged_is_in_its_family(name: str, expected: str) -> None:
    assert logged_tag(name) == expected


# Tabs ------------------------------------------------------------------------------------------------


def test_scalars_pictures_and_tables(run: RunInfo) -> None:
    observer = board(run, 0, 20, 0.5)
    observer.evaluated(run, 20, "accuracy", EVALUATION)
    observer.health(run, 20, "loss is flat")
    observer.run_finished(run, "finished", {})
    found = read(run)
    assert [(event.step, event.value) for event in found.Scalars("loss/class")] == [(10, 0.5), (20, 0.5)]
    assert found.Scalars("accuracy/target")[0].value == 0.75
    assert found.Scalars("lr/optimizer")[0].value == pytest.approx(0.1)
    assert {image.width for name in ("still", "film") for image in found.Images(f"accuracy/{name}")} == {5}
    encoded = found.Images("accuracy/still")[0].encoded_image_string
    assert (np.asarray(Image.open(io.BytesIO(encoded))) == STILL).all()
    assert found.SummaryMetadata("accuracy/still").summary_description == "What there is to see"
    assert found.Images("accuracy/film")[0].encoded_image_string.startswith(b"GIF89a")
    assert (
        text(found, "accuracy/classes")
        == "| class | accuracy |\n| --- | --- |\n| a\\|b | 0.1235 |\n| c | 1 |\n"
    )
    assert text(found, "health") == "loss is flat"


def test_curves_are_scalars_and_no_picture(run: RunInfo) -> None:
    observer = board(run, 0, 10, 0.5)
    figures = {plot: Figure(STILL, data={"plot": plot}) for plot in ("curves", "points")}
    observer.evaluated(run, 10, "looks", Evaluation(figures=figures))
    observer.run_finished(run, "finished", {})
    assert read(run).Tags()["images"] == ["looks/points"]


def test_the_recipe_and_the_networks_are_there_as_text(run: RunInfo) -> None:
    board(run, 0, 10, 0.5).run_finished(run, "finished", {})
    assert '    name = "dann"\n    weight = 0.5' in text(read(run), "recipe")
    assert text(read(run), "networks") == "    net: Linear(1, 2)\n    \n    | a | table |"


def options(found: Any) -> dict[str, Any]:
    content = found.PluginTagToContent(PLUGIN_NAME)[SESSION_START_INFO_TAG]
    values = parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_a_run_by_itself_has_the_options_of_its_trainer(run: RunInfo) -> None:
    """The batch size is that of the recipe, not that of all roles."""
    board(run, 0, 10, 0.5).run_finished(run, "interrupted", {})
    known = {"variant": "DANN", "seed": 3, "trainer": "dann", "steps": 100, "batch_size": 64}
    assert options(read(run)) == {**known, "trainer.weight": 0.5, "trainer.optimizer": "adam"}
    assert EXPERIMENT_TAG not in read(run).PluginTagToContent(PLUGIN_NAME)


def test_runs_of_an_experiment_show_in_what_they_differ_and_what_came_of_it(tmp_path: Path) -> None:
    other = {**RECIPE, "trainer": {**TRAINER, "optimizer": {"name": "adam", "lr": 0.1}}}
    write_json(tmp_path / "experiment.json", {"format": 2, "runs": ["a", "b"]})
    runs = [a_run(tmp_path / "a"), a_run(tmp_path / "b", "high", other)]
    for run in runs:
        board(run, 0, 20, 0.5).run_finished(run, "finished", RESULTS)
    a, b = (options(read(run)) for run in runs)
    assert {key for key in a if a[key] != b[key]} == {"variant", "trainer.optimizer.lr"}
    assert a["trainer.optimizer.lr"] == 1e-3 and "trainer.weight" not in a
    found = read(runs[0])
    (event,) = found.Scalars("results/accuracy/target")
    assert (event.step, event.value) == (20, 80)
    experiment = parse_experiment_plugin_data(found.PluginTagToContent(PLUGIN_NAME)[EXPERIMENT_TAG])
    assert [metric.name.tag for metric in experiment.metric_infos] == ["results/accuracy/target"]


def test_one_page_has_all_the_scores(run: RunInfo) -> None:
    observer = board(run, 0, 20, 0.5)
    observer.evaluated(run, 10, "accuracy", Evaluation({"accuracy/target": 1.0}))
    observer.evaluated(run, 20, "quality", Evaluation({"fid (1k)": 2.0}))
    observer.run_finished(run, "finished", {})
    layout = layout_pb2.Layout()
    layout.ParseFromString(read(run).Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    scores, training = layout.category
    assert {chart.title: list(chart.multiline.tag) for chart in scores.chart} == {
        "accuracy/target": ["^accuracy/target$"],
        "quality/fid (1k)": [r"^quality/fid\ \(1k\)$"],
    }
    assert [chart.title for chart in training.chart] == ["losses", "learning rates", "norms of gradients"]


def cloud(shade: int) -> dict[str, Any]:
    page = Image.new("RGB", (8, 6), (shade, 0, 0))
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    png = b64encode(buffer.getvalue()).decode()
    return {
        "plot": "points",
        "features": np.array([[1.5, -2.0], [0.123456789, 4.0], [5.0, 6.0]], np.float32),
        "class": ["a\tb", None, "c"],
        "role": ["source", "target", "target"],
        "thumbnails": {"png": png, "width": 4, "height": 3, "columns": 2, "rows": [0, 1, 2]},
    }


def test_features_are_in_the_projector_with_classes_roles_and_pictures(run: RunInfo) -> None:
    observer = board(run, 0, 20, 0.5)
    for step, shade in ((10, 10), (20, 200)):
        observer.evaluated(run, step, "tsne", Evaluation(figures={"by": Figure(STILL, data=cloud(shade))}))
    few = {**cloud(0), "thumbnails": None}
    del few["thumbnails"], few["role"]
    observer.evaluated(run, 20, "tsne", Evaluation(figures={"few": Figure(STILL, data=few)}))
    observer.run_finished(run, "finished", {})
    folder = run.folder / "tensorboard"
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    whole, without = config.embeddings
    assert (whole.tensor_name, without.tensor_name) == ("tsne_by", "tsne_few")
    assert (folder / whole.tensor_path).read_text() == "1.5\t-2\n0.12346\t4\n5\t6\n"
    assert (folder / whole.metadata_path).read_text() == "class\trole\na b\tsource\n\ttarget\nc\ttarget\n"
    assert (folder / without.metadata_path).read_text() == "a b\n\nc\n"
    assert list(whole.sprite.single_image_dim) == [4, 3] and not without.sprite.image_path
    sprites = Image.open(folder / whole.sprite.image_path)
    assert sprites.size == (8, 6) and sprites.getpixel((0, 0)) == (200, 0, 0), "the newest look"


# Going on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "expected"), [(30, [1, 1, 1, 2, 2]), (0, [2, 2, 2, 2, 2])])
def test_a_resume_hides_what_is_done_again(run: RunInfo, start: int, expected: list[float]) -> None:
    board(run, 0, 40, 1.0).run_finished(run, "interrupted", {})
    board(run, start, 50, 2.0).run_finished(run, "finished", RESULTS)
    found = read(run)
    assert [event.step for event in found.Scalars("loss/class")] == [10, 20, 30, 40, 50]
    assert [event.value for event in found.Scalars("loss/class")] == expected
    assert len(found.Tensors("recipe/text_summary")) == (1 if start else 2)  # shown once: both are of step 0
    assert options(found)["trainer"] == "dann"


def twice(found: Any) -> list[tuple[str, int]]:
    """Scalars and pictures that are there more than once at a step."""
    tags = found.Tags()
    pairs = [(tag, event.step) for tag in tags["scalars"] for event in found.Scalars(tag)]
    pairs += [(tag, event.step) for tag in tags["images"] for event in found.Images(tag)]
    return sorted({pair for pair in pairs if pairs.count(pair) > 1})


def test_the_last_evaluations_of_a_killed_run_are_there_once(run: RunInfo) -> None:
    """They come after the checkpoint of the last step, so that a resumed run makes them again."""
    before = board(run, 0, 40, 1.0)
    before.evaluated(run, 40, "all", EVALUATION)
    before.health(run, 40, "one")
    again = board(run, 40, 40, 2.0)
    again.evaluated(run, 40, "all", EVALUATION)
    again.evaluated(run, 40, "late", EVALUATION)
    again.health(run, 40, "two")
    again.run_finished(run, "finished", RESULTS)
    found = read(run)
    assert twice(found) == []
    assert [event.step for event in found.Scalars("loss/class")] == [10, 20, 30, 40]
    assert len(found.Scalars("late/ece")) == 1 and len(found.Tensors("all/classes/text_summary")) == 1
    assert len(found.Tensors("health/text_summary")) == 2


def test_the_selected_step_is_there_once(run: RunInfo) -> None:
    """It is evaluated during the training, and at the end again."""
    observer = board(run, 0, 20, 1.0)
    for _ in range(2):
        observer.evaluated(run, 10, "all", EVALUATION)
    observer.run_finished(run, "finished", RESULTS)
    assert twice(read(run)) == []


def test_a_half_written_event_hides_nothing_after_it(run: RunInfo) -> None:
    board(run, 0, 40, 1.0)
    (events,) = (run.folder / "tensorboard").glob("events.*")
    events.write_bytes(events.read_bytes()[:-7])  # as SIGKILL can leave it
    again = board(run, 30, 50, 2.0)
    again.run_finished(run, "finished", RESULTS)
    found = read(run)
    assert [event.step for event in found.Scalars("loss/class")] == [10, 20, 30, 40, 50]


def test_a_clock_that_went_back_hides_nothing(run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for start, ahead in ((0, 500.0), (30, 400.0), (30, 0.0), (30, -500.0)):
        monkeypatch.setattr(time, "time", lambda ahead=ahead: now + ahead)
        board(run, start, 50, ahead).run_finished(run, "finished", RESULTS)
    found = read(run)
    assert [event.step for event in found.Scalars("loss/class")] == [10, 20, 30, 40, 50]
    assert [event.value for event in found.Scalars("loss/class")] == [500, 500, 500, -500, -500]
    assert twice(found) == []


def test_an_observer_that_never_saw_a_start_leaves_nothing_behind(run: RunInfo) -> None:
    TensorBoardObserver().run_finished(run, "failed", {})
    assert not (run.folder / "tensorboard").exists()
