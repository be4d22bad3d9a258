"""Plugins that strangers wrote, good and bad: a bad one is listed with its error, and all else works."""

from __future__ import annotations

import json
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from pluglab.errors import UserError
from pluglab.plugins.loading import PluginReport, Plugins, load_plugins
from pluglab.plugins.registry import Registrar
from pluglab.protocols import RunInfo
from tests.core.support import Install, Lab, only_run

GOOD = """
def lab_register(registry):
    registry.add("trainer", "good", "good_module:Good", summary="a good one")
"""


def report(plugins: Plugins, name: str) -> PluginReport:
    (found,) = [item for item in plugins.reports if item.name == name]
    return found


def test_a_good_plugin_is_reported_with_its_components(install: Install) -> None:
    install("good", GOOD)
    plugins = load_plugins()
    assert report(plugins, "good") == PluginReport("good", "pluglab-good", "1.2", "ok", "", 1)
    assert plugins.registry.names("trainer") == ["good"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def lab_register(registry) return", "SyntaxError: expected ':'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys\nsys.exit()", "SystemExit"),
        ("def lab_register(registry):\n    1 / 0", "ZeroDivisionError: division by zero"),
        ("def lab_register(registry):\n    raise SystemExit('no')", "SystemExit: no"),
        ("def lab_regster(registry): ...", "there is no hook 'lab_regster'; did you mean 'lab_register'?"),
        ("def lab_xyz(): ...", "there is no hook 'lab_xyz'; hooks are lab_register, lab_commands"),
        (
            "def lab_register(register): ...",
            "lab_register is given (registry), and asks for 'register' (FILE:1)",
        ),
        (
            "def lab_step_logged(run, step, loss): ...",
            "lab_step_logged is given (run, step, scalars), and asks for 'loss' (FILE:1)",
        ),
        ("def lab_register(registry):\n    registry.add('trainer', 'x')", "missing 1 required positional"),
        (
            "def lab_register(registry):\n    registry.add('trainer', 'x', 'no_colon')",
            "'package.module:Class'",
        ),
        ("def lab_register(registry):\n    registry.add('trainer', 'a b', 'm:C')", "name must be letters"),
        ("def lab_register(registry):\n    registry.add('a kind', 'a', 'm:C')", "must be an identifier"),
        ("def lab_register(registry):\n    registry.kind('a kind')", "must be an identifier"),
    ],
)
def test_a_broken_plugin_is_listed_and_the_others_work(
    install: Install, tmp_path: Path, code: str, error: str
) -> None:
    install("bad", code)
    install("good", GOOD)
    plugins = load_plugins()
    assert report(plugins, "bad").status == "broken"
    (file,) = [path for path in tmp_path.glob("site/*.py") if path.read_text() == textwrap.dedent(code)]
    assert error.replace("FILE", str(file)) in report(plugins, "bad").error
    assert "\n" not in report(plugins, "bad").error
    assert report(plugins, "good").status == "ok"
    assert plugins.registry.names("trainer") == ["good"]


def test_a_plugin_counts_wholly_or_not_at_all(install: Install, tmp_path: Path) -> None:
    install(
        "half",
        """
        def lab_register(registry):
            registry.add("trainer", "first", "m:First")
            registry.add("trainer", "first", "m:Second")
        def lab_step_logged(run, step, scalars):
            raise AssertionError("a hook of a broken plugin was called")
        """,
    )
    install(
        "wrong",
        """
        def lab_checkpoint_saved(run, step, path):
            raise AssertionError("a hook of a broken plugin was called")
        def lab_step_logged(run, nonsense): ...
        """,
    )
    plugins = load_plugins()
    assert "trainer 'first' is registered twice" in report(plugins, "half").error
    assert report(plugins, "half").components == 0
    assert plugins.registry.names("trainer") == []
    info = RunInfo(tmp_path, "r", "", 0, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a hook that raises would be left out with a warning
        plugins.notify("lab_step_logged", run=info, step=1, scalars={})
        plugins.notify("lab_checkpoint_saved", run=info, step=1, path=tmp_path)


@pytest.mark.parametrize(
    ("requires", "status", "error"),
    [
        ("pluglab>=99", "incompatible", "needs pluglab >=99, this is 0.2.0"),
        ("pluglab<0.2", "incompatible", "needs pluglab <0.2, this is 0.2.0"),
        ("Pluglab (>=99)", "incompatible", "needs pluglab >=99, this is 0.2.0"),
        ("pluglab>=banana", "incompatible", "its requirement 'pluglab>=banana' is not valid"),
        ("pluglab>=99; extra == 'future'", "ok", ""),
        ("pluglab-gan>=99", "ok", ""),
        ("pluglab", "ok", ""),
        ("pluglab>=0.2,<0.3", "ok", ""),
    ],
)
def test_the_core_that_a_plugin_needs_is_read_before_it_is_imported(
    install: Install, requires: str, status: str, error: str
) -> None:
    code = GOOD if status == "ok" else "raise AssertionError('it was imported')"
    install("good", code, requires=requires)
    found = report(load_plugins(), "good")
    assert (found.status, found.error) == (status, error)


def test_two_distributions_with_one_plugin_name(install: Install) -> None:
    install("good", GOOD, distribution="pluglab-a")
    install("good", GOOD, distribution="pluglab-b")
    first, second = [item for item in load_plugins().reports if item.name == "good"]
    assert (first.distribution, first.status) == ("pluglab-a", "ok")
    assert (second.distribution, second.status) == ("pluglab-b", "broken")
    assert second.error == "another distribution already provides a plugin named 'good'"


def test_an_entry_point_that_leads_nowhere(install: Install) -> None:
    install("gone", "", entry="no_such_package.plugin")
    assert "No module named 'no_such_package'" in report(load_plugins(), "gone").error


def test_a_distribution_without_metadata(install: Install, tmp_path: Path) -> None:
    install("good", GOOD)
    (tmp_path / "site" / "pluglab_good-1.2.dist-info" / "METADATA").unlink()
    found = report(load_plugins(), "good")
    assert (found.distribution, found.status) == ("?", "ok")


def test_lab_plugins_limits_what_loads(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good", GOOD)
    install("bad", "raise AssertionError('it was imported')")
    monkeypatch.setenv("LAB_PLUGINS", " good , missing,")
    plugins = load_plugins()
    assert report(plugins, "good").status == "ok"
    assert report(plugins, "bad").status == "disabled"
    assert report(plugins, "missing").error == "LAB_PLUGINS names it; not installed"
    monkeypatch.setenv("LAB_PLUGINS", "")
    assert {item.status for item in load_plugins().reports if item.distribution != "pluglab"} == {"disabled"}


def test_what_plugins_print_when_they_are_imported_stays_out_of_the_results(
    install: Install, lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site" / "loud_targets.py").write_text(
        "print('targets')\nclass Loud:\n    random = False\n    def __call__(self, images, generator): ..."
    )
    install(
        "loud",
        """
        print("module")

        def lab_register(registry):
            print("register")
            registry.add("transform", "loud", "loud_targets:Loud")

        def lab_commands(app):
            print("commands")
        """,
    )
    Path("file.py").write_text("print('file')")
    assert lab("show", "transform", "loud", "--json", "--plugin", "file.py", toys=False) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "loud"
    assert {"module", "register", "commands", "targets", "file"} <= set(err.splitlines())


def test_a_report_says_how_long_a_plugin_took_and_what_it_brought_in(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "sklearn.py").write_text("")
    monkeypatch.setitem(sys.modules, "sklearn", sys)  # so that the one above does not outlive the test
    monkeypatch.delitem(sys.modules, "sklearn")
    install("slow", "import time, sklearn\ntime.sleep(0.3)")
    install("good", GOOD)
    plugins = load_plugins()
    slow, good = report(plugins, "slow"), report(plugins, "good")
    assert slow.seconds >= 0.3 > good.seconds > 0
    assert (slow.heavy, good.heavy) == (("sklearn",), ())


# Components of one name ------------------------------------------------------------------------------


def test_a_name_that_two_plugins_provide_needs_its_plugin(
    install: Install, lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("other", "def lab_register(registry):\n    registry.add('trainer', 'toy', 'no_such_module:Toy')")
    assert lab("run", recipe) == 2
    error = capsys.readouterr().err
    assert "error: trainer 'toy' is provided by 2 plugins" in error
    assert "  = write 'other/toy' or 'toy_plugin/toy'" in error
    assert not Path("runs").exists()
    assert lab("list", "trainers", "--json") == 0
    assert [row["plugin"] for row in json.loads(capsys.readouterr().out) if row["name"] == "toy"] == [
        "other",
        "toy_plugin",
    ]
    assert lab("run", recipe, "--set", "trainer.name=toy_plugin/toy", "--set", "steps=2") == 0
    # The resolved recipe is still clear, so a resume finds the same trainer.
    assert 'name = "toy_plugin/toy"' in (only_run() / "recipe.toml").read_text()
    assert lab("resume", only_run()) == 0


def test_an_option_may_name_a_component_by_its_plugin(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "trainer.optimizer=core/sgd", "--dry-run") == 0


# Files -----------------------------------------------------------------------------------------------


def file_error(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_plugins([path])
    return caught.value.render()


@pytest.mark.parametrize(
    ("code", "error", "line"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax (mine.py, line 2)", ""),
        ("\nimport no_such", "ModuleNotFoundError: No module named 'no_such'", "2: import no_such"),
        ("def lab_register(registry):\n    1 / 0\n", "ZeroDivisionError: division by zero", "2: 1 / 0"),
        ("raise SystemExit(0)", "SystemExit: 0", "1: raise SystemExit(0)"),
        ("def lab_x(): ...", "AttributeError: there is no hook 'lab_x'; hooks are", ""),
    ],
)
def test_a_file_that_cannot_be_loaded_is_the_users_error(
    tmp_path: Path, code: str, error: str, line: str
) -> None:
    (tmp_path / "mine.py").write_text(code)
    for path in (Path("mine.py"), tmp_path / "mine.py"):  # the working folder is tmp_path
        found = file_error(path)
        assert found.startswith(f"error: the plugin file {path} cannot be loaded: {error}")
        assert not line or found.endswith(f"\n  = {path}:{line}")


def test_files_that_are_no_plugins(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("steps = 1")
    (tmp_path / "core.py").write_text("")
    assert file_error(tmp_path / "gone.py").startswith(f"error: there is no plugin file {tmp_path}/gone.py\n")
    assert file_error(tmp_path).startswith(f"error: there is no plugin file {tmp_path}\n")
    assert "a plugin file must end in .py" in file_error(tmp_path / "recipe.toml")
    assert "there is a plugin 'core' already\n  = give the file another name" in file_error(
        tmp_path / "core.py"
    )


def test_a_file_that_is_missing_ends_the_command_with_2(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--plugin", "gone.py") == 2
    assert "error: there is no plugin file gone.py" in capsys.readouterr().err


# Observers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hook", ["run_started", "step_logged", "evaluated", "checkpoint_saved", "run_finished"]
)
def test_an_observer_that_fails_is_left_out_and_the_run_goes_on(
    hook: str, lab: Lab, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observer = tmp_path / "observer.py"
    observer.write_text(f"def lab_{hook}(run):\n    raise ValueError('my disk is full')\n")
    assert lab("run", recipe, "--plugin", observer) == 0
    error = capsys.readouterr().err
    words = (
        f"warning: plugin 'observer' failed in lab_{hook} (seed 0) and is left out from here on: ValueError"
    )
    assert error.count(words) == 1
    assert json.loads((only_run() / "run.json").read_text())["status"] == "finished"


def test_an_observer_takes_only_the_arguments_that_it_names(lab: Lab, recipe: Path, tmp_path: Path) -> None:
    observer = tmp_path / "observer.py"
    observer.write_text(
        "from pathlib import Path\n"
        "def lab_step_logged(scalars, step):\n"
        "    with Path('seen.txt').open('a') as file:\n"
        "        print(step, 'loss/class' in scalars, file=file)\n"
    )
    assert lab("run", recipe, "--plugin", observer, "--set", "steps=12") == 0
    assert Path("seen.txt").read_text() == "5 True\n10 True\n12 True\n"


def test_a_history_that_cannot_be_written_ends_the_run(
    lab: Lab, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It belongs to the engine: evaluators and the selection read it."""
    observer = tmp_path / "observer.py"
    observer.write_text(
        "def lab_run_started(run):\n"
        "    history = run.folder / 'metrics.jsonl'\n"
        "    history.unlink()\n"
        "    history.mkdir()\n"
    )
    assert lab("run", recipe, "--plugin", observer) == 1
    history = only_run() / "metrics.jsonl"
    assert f"error: seed 0: {history} cannot be written: Is a directory\n" in capsys.readouterr().err
    assert json.loads((only_run() / "run.json").read_text())["status"] == "failed"


# Commands --------------------------------------------------------------------------------------------


def test_a_plugin_adds_a_command(install: Install, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    install(
        "hello",
        """
        def lab_commands(app):
            @app.command()
            def hello(name: str) -> None:
                print(f"hello {name}")
        """,
    )
    assert lab("hello", "you", toys=False) == 0
    assert capsys.readouterr().out == "hello you\n"


def test_a_plugin_that_fails_to_add_commands_is_listed(
    install: Install, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    install("hello", "def lab_commands(app):\n    app.no_such_thing()\n")
    assert lab("list", "plugins", "--json", toys=False) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "hello"]
    assert row["status"] == "broken"
    assert "no_such_thing" in row["error"]


def test_names_that_a_plugin_may_register() -> None:
    registrar = Registrar("p")
    registrar.add("trainer", "sn-gan_2", "m:C")
    registrar.add("encoder", "sn-gan_2", lambda config: None)
    assert [entry.qualified for entry in registrar.entries] == ["p/sn-gan_2"] * 2
