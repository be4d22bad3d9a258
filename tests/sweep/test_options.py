"""Samplers, pruners and parameters by name, as Optuna has them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pluglab import UserError
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.resolve import make
from pluglab_sweep.options import Sweep
from pluglab_sweep.plugin import PRUNERS, SAMPLERS
from pluglab_sweep.space import parameter
from pluglab_sweep.study import pruner_of, sampler_of, size_of, uncounted

COUNTED = {"a": {"low": 1, "high": 3}, "b": ["x", "y"]}


@pytest.fixture(scope="module")
def registry() -> Any:
    return load_plugins(only="sweep,report").registry


def sweep(registry: Any, **options: Any) -> Sweep:
    made: Sweep = make(registry, "recipe_table", "sweep", **{"parameters": COUNTED, **options}).build()
    return made


def asked(made: Sweep, done: int = 0, trials: int = 3) -> list[dict[str, Any]]:
    """The values of the first trials of a study in memory."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler_of(made, done), pruner=pruner_of(made))
    found = []
    for _ in range(trials):
        trial = study.ask({key: one.distribution() for key, one in made.parameters.items()})
        study.tell(trial, float(trial.params["a"]))
        found.append(trial.params)
    return found


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "cmaes"])
def test_every_sampler_chooses_values(registry: Any, name: str) -> None:
    found = asked(sweep(registry, sampler=name))
    assert all(one["a"] in (1, 2, 3) and one["b"] in ("x", "y") for one in found)
    assert asked(sweep(registry, sampler=name)) == found, "the same each time"


@pytest.mark.parametrize("name", ["grid", "brute_force"])
def test_whole_searches_have_each_combination_once(registry: Any, name: str) -> None:
    made = sweep(registry, sampler=name)
    assert size_of(made) == 6
    assert len({tuple(one.items()) for one in asked(made, trials=6)}) == 6


def test_options_are_those_of_optuna(registry: Any) -> None:
    made = sweep(registry, sampler={"name": "tpe", "n_startup_trials": 3, "multivariate": True, "seed": 7})
    sampler = sampler_of(made, 0)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert (sampler._n_startup_trials, sampler._multivariate) == (3, True)
    with pytest.raises(UserError, match="unknown option 'startup'"):
        sweep(registry, sampler={"name": "tpe", "startup": 3})


def test_what_was_drawn_is_not_drawn_again(registry: Any) -> None:
    wide = {"a": {"low": 0.0, "high": 1.0}}
    first, later = (asked(sweep(registry, parameters=wide, sampler="random"), done) for done in (0, 3))
    assert not {one["a"] for one in first} & {one["a"] for one in later}
    url = "postgresql://me@host/db"  # others draw at the same time, with the same seed
    shared = [asked(sweep(registry, parameters=wide, sampler="random", storage=url)) for _ in range(2)]
    assert shared[0] == shared[1] != first


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_one_of_optuna(registry: Any, name: str) -> None:
    own = {"percentile": {"percentile": 25.0}, "threshold": {"lower": 0.0}, "patient": {"patience": 3}}
    found = pruner_of(sweep(registry, pruner={"name": name, **own.get(name, {})}))
    assert isinstance(found, optuna.pruners.BasePruner)


def test_a_patient_pruner_waits_for_another(registry: Any) -> None:
    pruner = {"name": "patient", "patience": 1, "pruner": {"name": "threshold", "upper": 1.0}}
    study = optuna.create_study(pruner=pruner_of(sweep(registry, pruner=pruner)))
    trial, stops = study.ask(), []
    for step, value in enumerate([9.0, 8.0, 8.5, 8.6]):
        trial.report(value, step)
        stops.append(trial.should_prune())
    assert stops == [False, False, False, True], "above the limit all along; no better for two looks at last"


@pytest.mark.parametrize(
    ("given", "distribution"),
    [
        ({"low": 1e-4, "high": 1, "log": True}, FloatDistribution(1e-4, 1.0, log=True)),
        ({"low": 0.0, "high": 1.0, "step": 0.25}, FloatDistribution(0.0, 1.0, step=0.25)),
        ({"low": 4, "high": 32, "step": 4}, IntDistribution(4, 32, step=4)),
        ({"low": 1, "high": 64, "log": True}, IntDistribution(1, 64, log=True)),
        ([True, False], CategoricalDistribution([True, False])),
        ({"choices": [1, "two", 3.0]}, CategoricalDistribution([1, "two", 3.0])),
        ([["affine"], {"name": "lenet"}], CategoricalDistribution(['["affine"]', "lenet"])),
        ({"choices": {"small": {"width": 1}}}, CategoricalDistribution(["small"])),
    ],
)
def test_parameters_are_distributions(given: Any, distribution: Any) -> None:
    found = parameter("x", given)
    assert found is not None and found.distribution() == distribution


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 2, "high": 1}, "a `low` that is not above its `high`"),
        ({"low": 0, "high": 1, "log": True}, "a `low` above 0"),
        ({"low": 1}, "both `low` and `high`"),
        ({"low": 1, "high": 2, "step": 0}, "a `step` above 0"),
        ({"low": 1, "high": 2, "logarithmic": True}, "no 'logarithmic'"),
        ([], "values that differ, at least one"),
        ([1, 1], "values that differ, at least one"),
        (3, "or a list of values, not 3"),
    ],
)
def test_what_is_no_parameter_is_told(registry: Any, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=r"'x\.y'") as error:
        sweep(registry, parameters={"x": {"y": given}})
    assert message in f"{error.value.message} {error.value.help}"


def test_a_grid_needs_values_that_can_be_counted(registry: Any) -> None:
    wide = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 1, "high": 10**9}, "c": [1, 2]}
    assert uncounted(sweep(registry, parameters=wide, sampler="grid")) == ["a", "b"]
    assert uncounted(sweep(registry, parameters=wide)) == []
