"""report.html: what is on it, and that it is safe to open."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.report.conftest import EVIL, STARRY, STRANGER, TOYS, lab
from tests.report.pages import Page
from tests.report.stranger import CAPTION, MARKUP


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page.of(written / "report.html")


def test_its_sections(page: Page) -> None:
    assert page.texts["h2"] == [
        "Results",
        "Options",
        "Learning curves",
        "Other pictures",
        "Scores and how they were measured",
        "Architectures",
        "Health",
        "Discussion",
        "Provenance",
        "References",
    ]


def test_it_needs_no_network(page: Page) -> None:
    assert all(address.startswith("data:") for address in page.addresses("src", "srcset", "poster", "action"))
    assert [one["href"] for one in page.named("link")] == ["data:,"]
    for one in page.named("a"):
        assert one["href"].startswith(("#", "https://arxiv.org/abs/"))
    policy = next(one["content"] for one in page.named("meta") if "Policy" in one.get("http-equiv", ""))
    assert policy.startswith("default-src 'none'")


def test_every_link_within_the_page_leads_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {address[1:] for address in page.addresses("href") if address.startswith("#")} <= set(ids)


def test_markup_in_a_title_a_variant_a_caption_and_a_table_is_text(page: Page) -> None:
    assert len(page.named("script")) == 1
    assert page.texts["title"] == [f"Toys {EVIL}"]
    assert f"Toys {EVIL}" in page.texts["h1"]
    assert f"A. {EVIL}" in page.texts["p"]
    assert CAPTION in page.texts["p"]
    assert MARKUP in page.texts["td"]
    assert any(EVIL in text for text in page.texts["h4"])


def test_what_a_stranger_drew_and_found_is_there(page: Page) -> None:
    pictures = [one["src"] for one in page.named("img")]
    assert sum(source.startswith("data:image/gif") for source in pictures) == 2  # a variant each
    assert "A film" in page.texts["p"]
    assert "Table: odd" in page.texts["summary"]
    assert {"strange/score", "0.1235"} <= set(page.texts["td"])
    assert "who|what" in page.texts["th"]


def test_a_table_of_numbers_has_means_deviations_and_seeds(made: Path, page: Page) -> None:
    found = json.loads((made / "results.json").read_text())["comparison"]
    mean = found["rows"][0]["scores"]["hits/train"]["mean"]
    text = " ".join(page.texts["td"] + page.texts.get("b", []))
    assert f"{mean:.2f} ± " in text
    assert "seeds" in page.texts["th"]


def test_what_others_have_reported_stands_beside_it(written: Path) -> None:
    rows = (written / "tables" / "general_reported.csv").read_text().splitlines()
    assert rows == [",hits/train,strange/score,source", f"Report B {EVIL},62.28,-,by hand"]


def test_only_what_differs_is_shown(page: Page, written: Path) -> None:
    assert "What differs between the runs" in page.texts["span"]
    rows = (written / "tables" / "general_differences.csv").read_text().splitlines()
    assert rows[1:] == ["trainer.width,4,8"]


def test_all_of_a_variant_has_one_color(page: Page) -> None:
    colors = re.findall(r"--color: (#\w{6})", " ".join(one.get("style", "") for one in page.named("i")))
    assert set(colors) == {"#037aa2", "#5b1c6b"}


def test_pictures_have_words_for_those_who_do_not_see_them(page: Page) -> None:
    assert all(one["alt"] for one in page.named("img"))


def test_a_section_of_another_plugin_stands_before_the_discussion(experiment: Path, tmp_path: Path) -> None:
    assert lab("report", experiment, "--out", tmp_path / "r", "--plugin", STARRY) == 0
    page = Page.of(tmp_path / "r" / "report.html")
    titles = page.texts["h2"]
    assert titles.index("Stars") == titles.index("Discussion") - 1
    assert "1 row of stars" in page.texts["p"]
    assert "wide, seed 1" in page.texts["li"]
    assert "A plot" not in page.texts["p"]


def test_what_is_not_finished_is_told_with_what_there_is(experiment: Path, tmp_path: Path) -> None:
    run = experiment / "wide-seed1"
    (run / "results.json").unlink()
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**state, "status": "interrupted"}))
    assert lab("report", experiment, "--out", tmp_path / "r") == 0
    page = Page.of(tmp_path / "r" / "report.html")
    assert {"interrupted", "12 of 12"} <= set(page.texts["td"])
    assert "Without results yet" in page.texts["span"]


def test_a_run_that_has_not_begun(experiment: Path, tmp_path: Path) -> None:
    for run in experiment.glob("*-seed*"):
        (run / "metrics.jsonl").unlink()
        (run / "results.json").unlink()
        state = json.loads((run / "run.json").read_text())
        kept = {key: state[key] for key in ("format", "recipe", "variant", "seed", "identity", "settings")}
        (run / "run.json").write_text(json.dumps({**kept, "status": "pending"}))
    assert lab("report", experiment, "--out", tmp_path / "r", "--format", "html,md,tex") == 0
    assert "pending" in Page.of(tmp_path / "r" / "report.html").texts["td"]


@pytest.mark.parametrize("place", ["../../secret.png", "figures/link.png"])
def test_a_file_outside_of_a_run_is_never_shown(experiment: Path, tmp_path: Path, place: str) -> None:
    run = experiment / "wide-seed0"
    drawn = run / "figures" / "stranger_still.png"
    secret = tmp_path / "runs" / "secret.png"
    secret.write_bytes(drawn.read_bytes() + b"secret")
    (run / "figures" / "link.png").symlink_to(secret)
    results = json.loads((run / "results.json").read_text())
    results["evaluations"]["stranger"]["figures"]["still"]["file"] = place
    (run / "results.json").write_text(json.dumps(results))
    assert lab("report", experiment, "--out", tmp_path / "r", "--format", "html,md") == 0
    page = Page.of(tmp_path / "r" / "report.html")
    assert sum("wide" in one["alt"] and "stranger drew" in one["alt"] for one in page.named("img")) == 0
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "r").rglob("*.png"))


def test_several_experiments_in_one_report(experiment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    recipe = tmp_path / "other.toml"
    text = (
        'steps = 4\ntrainer = "learner"\ndata.train = {name = "drawn", held_out = 5}\nevaluate = ["hits"]\n'
    )
    recipe.write_text(text + "run.threads = 1\n")
    assert lab("run", recipe, "--run-dir", other, "--plugin", TOYS, "--plugin", STRANGER) == 0
    assert lab("report", experiment, other, "--out", tmp_path / "r") == 0
    page = Page.of(tmp_path / "r" / "report.html")
    assert "Every scenario by itself" in page.texts["summary"]
    assert f"Toys {EVIL}, other" in page.texts["h1"]


def test_results_are_turned_as_one_asks(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert lab("report", experiment, "--out", out, "--rows", "trainer.width", "--columns", "title") == 0
    header, narrow, wide = (out / "tables" / "general_results_1.csv").read_text().splitlines()
    assert header.startswith("trainer.width,") and header.endswith(",seeds")
    assert narrow.startswith("4,") and wide.startswith("8,") and wide.endswith(",2")
    assert lab("report", experiment, "--out", out, "--rows", "widht") == 2
    assert "no run has 'widht'" in capsys.readouterr().err


def test_a_run_ends_with_the_command_that_makes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('steps = 2\ntrainer = "learner"\ndata.train = "drawn"\nrun.threads = 1\n')
    assert lab("run", recipe, "--run-dir", tmp_path / "runs", "--plugin", TOYS) == 0
    (folder,) = (tmp_path / "runs").glob("*/*")
    assert f"results: {folder}\npage:    lab report {folder}\n" in capsys.readouterr().out


def test_where_it_comes_from_and_how_to_repeat_it(written: Path, page: Page, made: Path) -> None:
    state = json.loads((made / "wide-seed0" / "run.json").read_text())
    rows = (written / "tables" / "general_data.csv").read_text()
    assert state["data"]["train"]["sha256"]["test"][:16] in rows
    repeat = next(text for text in page.texts["code"] if "lab run" in text)
    assert repeat.endswith(f"lab run {made.name}/recipe.toml")  # it was not started by a command
    if state["git"]:
        assert repeat.startswith(f"git checkout {state['git']['commit']}")
        assert state["git"]["commit"][:10] in (written / "tables" / "general_runs.csv").read_text()


def test_warnings_of_the_training_are_shown(experiment: Path, tmp_path: Path) -> None:
    event = {"type": "health", "time": 0, "step": 6, "message": f"something {EVIL}"}
    with (experiment / "wide-seed0" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    assert lab("report", experiment, "--out", tmp_path / "r") == 0
    rows = (tmp_path / "r" / "tables" / "general_health.csv").read_text().splitlines()
    assert rows == ["run,seed,step,warning", f"wide,0,6,something {EVIL}"]


def test_damaged_files_of_a_run_leave_out_what_they_hold(experiment: Path, tmp_path: Path) -> None:
    run = experiment / "wide-seed0"
    (run / "architecture.json").write_text('{"networks": [{}], "batch_size": 1}')
    (run / "figures" / "stranger_plot.json").write_text("{")
    assert lab("report", experiment, "--out", tmp_path / "r") == 0
    page = Page.of(tmp_path / "r" / "report.html")
    assert any("wide: A plot" in one["alt"] for one in page.named("img"))


def test_folders_without_a_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert lab("report", tmp_path / "empty") == 2
    assert f"error: there is no run in {tmp_path / 'empty'}" in capsys.readouterr().err
    assert not (tmp_path / "empty" / "report").exists()


def test_it_goes_into_the_one_folder_or_here(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("report", experiment, "--format", "html") == 0
    assert capsys.readouterr().out == f"report: {experiment}/report/report.html\n"
    assert [path.name for path in (experiment / "report").iterdir()] == ["report.html"]
    assert lab("report", experiment / "wide-seed0", experiment / "wide-seed1", "--format", "html") == 0
    assert capsys.readouterr().out == "report: report/report.html\n"


def test_unknown_formats_are_refused(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("report", experiment, "--format", "html,pdf") == 2
    assert "error: there is no format 'pdf'" in capsys.readouterr().err
