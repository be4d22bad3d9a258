"""What others take the project over by: the files beside the code say what is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import ROOT
from tests.integration.test_docs import anchors

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
PAGES = [ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "RELEASING", "SECURITY")]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.M))
SUPPORTED = ["3.11", "3.12", "3.13"]


def tables() -> dict[str, dict[str, Any]]:
    """Every pyproject.toml of a distribution, by its name."""
    files = [ROOT / "core" / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
    found = [tomllib.loads(file.read_text()) for file in files]
    return {one["project"]["name"]: one for one in found}


# Hosted checks -------------------------------------------------------------------------------------------


def of_schema(name: str, *files: Path) -> None:
    words: list[str | Path] = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", *files]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hosted_checks_are_workflows() -> None:
    assert {file.stem for file in WORKFLOWS} == {"ci", "release"}
    of_schema("github-workflows", *WORKFLOWS)


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())["jobs"]
    return found


def commands(file: Path) -> Iterator[str]:
    for job in jobs(file).values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_hosted_checks_are_those_of_the_makefile(file: Path) -> None:
    for line in commands(file):
        target = re.fullmatch(r"make (\w+) PYTHON=python", line)
        assert target and target[1] in TARGETS, line


def test_all_that_is_supported_is_checked() -> None:
    found = jobs(ROOT / ".github" / "workflows" / "ci.yml")
    assert {"lint", "test", "wheels", "docs"} <= set(found)
    matrix = found["test"]["strategy"]["matrix"]
    assert matrix["python"] == SUPPORTED
    systems = {*matrix["system"], *(one["system"] for one in matrix["include"])}
    assert systems == {"ubuntu-latest", "macos-latest"}
    assert f"{SUPPORTED[0]} to {SUPPORTED[-1]}" in (ROOT / "docs" / "versions.md").read_text()
    for name, table in tables().items():
        pythons = re.findall(r"Python :: (3\.\d+)", " ".join(table["project"]["classifiers"]))
        assert pythons == SUPPORTED, name


def test_only_what_is_published_by_a_tag_may_publish() -> None:
    """A pull request's code never runs where a token of the index could be had."""
    for file in WORKFLOWS:
        loaded = yaml.safe_load(file.read_text())
        assert loaded["permissions"] == {"contents": "read"}
        writing = [name for name, job in jobs(file).items() if "write" in str(job.get("permissions"))]
        assert writing == (["publish"] if file.stem == "release" else [])
    assert yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())[True] == {
        "push": {"tags": ["v*"]}  # YAML reads the key `on` as true
    }


# Issues --------------------------------------------------------------------------------------------------


def test_issue_forms_are_forms() -> None:
    assert {file.stem for file in FORMS} == {"bug", "feature"}
    of_schema("github-issue-forms", *FORMS)
    of_schema("github-issue-config", GITHUB / "ISSUE_TEMPLATE" / "config.yml")


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_issue_forms_ask_for_what_doctor_says(file: Path) -> None:
    (asked,) = [one for one in yaml.safe_load(file.read_text())["body"] if one.get("id") == "doctor"]
    assert "`lab doctor --json`" in asked["attributes"]["description"]
    assert asked["attributes"]["render"] == "json"


def test_doctor_says_what_a_bug_is_found_by(tmp_path: Path) -> None:
    words = ["-c", "from pluglab.cli import main; main()", "doctor", "--json"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert {"python", "torch", "torchvision", "processor", "gpu", "memory"} <= set(found)
    assert found["plugin core"]["detail"].startswith("0.")
    assert all(one.keys() == {"name", "status", "detail", "help"} for one in found.values())


# Before a commit -----------------------------------------------------------------------------------------


def hooks() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [hook for repository in loaded["repos"] for hook in repository["hooks"]]


def test_hooks_of_a_commit_are_understood() -> None:
    from pre_commit.clientlib import load_config

    load_config(str(ROOT / ".pre-commit-config.yaml"))
    assert {"ruff", "ruff-format", "mypy"} <= {hook["id"] for hook in hooks()}


def test_hooks_of_a_commit_call_what_is_there() -> None:
    """Programs of .venv that requirements.txt installs, or targets of the Makefile."""
    installed = set(re.findall(r"^[\w-]+", (ROOT / "requirements.txt").read_text(), re.M))
    brought = {"lint-imports": "import-linter"}
    for hook in hooks():
        entry = str(hook["entry"])
        program = entry.split()[0]
        if program == "make":
            assert entry.split()[1] in TARGETS
        else:
            name = program.removeprefix(".venv/bin/")
            assert brought.get(name, name) in installed, hook


# Releases ------------------------------------------------------------------------------------------------


def test_changes_become_a_section_of_the_changelog() -> None:
    words = ["-m", "towncrier", "build", "--draft", "--version", "9.9.9"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "## 9.9.9" in done.stdout
    fragments = [file for file in (ROOT / "changes").iterdir() if file.name != "README.md"]
    for file in fragments:
        text = " ".join(file.read_text().split())
        assert f"- {text}" in " ".join(done.stdout.split()), f"{file.name} is not of one of the types"
        assert text.endswith("."), file.name


def test_the_changelog_has_a_place_for_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    assert settings["start_string"] in (ROOT / settings["filename"]).read_text()


def test_all_distributions_have_one_number_and_bounds_that_fit_it() -> None:
    found = tables()
    (version,) = {one["project"]["version"] for one in found.values()}
    major, minor, _ = version.split(".")
    for name, one in found.items():
        own = [line for line in one["project"]["dependencies"] if re.match("pluglab\\b", line)]
        assert bool(own) == (name != "pluglab")
        for line in own:
            assert line.endswith(f">={major}.{minor},<{major}.{int(minor) + 1}"), (name, line)
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    of_schema("citation-file-format", ROOT / "CITATION.cff")


@pytest.mark.parametrize("name", sorted({*tables()} - {"pluglab"}))
def test_every_distribution_is_in_every_list(name: str) -> None:
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tool, package = workspace["tool"], name.replace("-", "_")
    folder = next(
        file.parent
        for file in ROOT.glob("plugins/*/pyproject.toml")
        if f'name = "{name}"' in file.read_text()
    )
    place = folder.relative_to(ROOT).as_posix()
    assert name in workspace["project"]["dependencies"]
    assert name in tool["uv"]["sources"]
    assert package in tool["ruff"]["lint"]["isort"]["known-first-party"]
    assert f"{place}/src" in tool["mypy"]["mypy_path"]
    assert package in tool["coverage"]["run"]["source_pkgs"] or name == "pluglab-all"  # which has no code
    assert re.search(rf"^-e \./{place}(\[|$)", (ROOT / "requirements.txt").read_text(), re.M)
    needed = tables()["pluglab-all"]["project"]["dependencies"]
    assert name == "pluglab-all" or any(re.match(rf"{name}\b(?!-)", line) for line in needed)


# Pages beside the code -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, ROOT / "changes" / "README.md"], ids=lambda path: path.name)
def test_their_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if not link.startswith("https://"):
            target, _, anchor = link.partition("#")
            assert (path.parent / target).exists(), link
            assert not anchor or anchor in anchors(path.parent / target), link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_they_name_is_there(path: Path) -> None:
    """Targets of make, and paths in quotes."""
    text = path.read_text()
    assert (
        set(re.findall(r"`make (\w+)", text)) | set(re.findall(r"^    .*make (\w+)", text, re.M)) <= TARGETS
    )
    for place in re.findall(r"`((?:tests|docs|plugins|core|\.github)/[\w./*-]*)`", text):
        assert place.endswith("/src/") or list(ROOT.glob(place.rstrip("/"))), place
    for place in re.findall(r"(?:TESTS=|pytest (?:-\w+ )*)(tests/\S+)", text):
        assert (ROOT / place).exists(), place


def test_every_folder_of_tests_has_its_line() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    assert not [name for name in folders if f"`{name}`" not in text]


def test_the_makefile_tells_each_target() -> None:
    told = set(re.findall(r'@echo "make (\w+)', MAKEFILE))
    (listed,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert set(listed.split()) == TARGETS
    assert told == TARGETS - {"help", "types"}  # `lint` does the types
