"""What a kit that tries components is written with: the engine's own ways, and its own checks, by name.

`pluglab-testing` imports these and the names that docs/architecture.md lists, and nothing else. So can a kit
of your own: what is named here stays, wherever it is defined.

* set up and train by hand: `Hardware`, `LabFabric`, `whole_batch`, `evaluating`, `unchanged`
* random numbers: `seed_everything`, `random_state`, `restore_random_state`, `own_random_numbers`,
  `unchanged_random_state`
* what the engine asks of a first step: `settings`, `at_rest`, `unloadable`
* what it asks of what is returned: `check_logs`, `check_evaluation`, `check_promise`, `check_split`,
  `check_transformed`, `check_findings`, `check_failures`, `check_defaults`; a fault is a `ContractError`
* whose line that is: `place_of`, `place_in`, `place_of_option`, `place_of_code`
* data for evaluators: `Evaluated`, `EvaluationSplit`, `RoleSplits`, `ImageArrays`
* components: `load_plugins`, `Plugins`, `Registry`, `Entry`, `make`, `read_override`, `GROUP`, `HEAVY`, `a`;
  and the commands of some plugins, `build_app`
* `plain`: numbers and arrays as JSON takes them
"""

from typing import TYPE_CHECKING

from pluglab._lazy import lazily

if TYPE_CHECKING:
    from pluglab.cli.app import build_app as build_app
    from pluglab.data.batches import ImageArrays as ImageArrays
    from pluglab.data.evaluation_data import Evaluated as Evaluated
    from pluglab.data.evaluation_data import EvaluationSplit as EvaluationSplit
    from pluglab.data.evaluation_data import RoleSplits as RoleSplits
    from pluglab.data.whole_batch import whole_batch as whole_batch
    from pluglab.engine.evaluation import check_promise as check_promise
    from pluglab.engine.first_step import at_rest as at_rest
    from pluglab.engine.first_step import settings as settings
    from pluglab.engine.first_step import unloadable as unloadable
    from pluglab.engine.hardware import Hardware as Hardware
    from pluglab.engine.hardware import LabFabric as LabFabric
    from pluglab.engine.rng_state import own_random_numbers as own_random_numbers
    from pluglab.engine.rng_state import random_state as random_state
    from pluglab.engine.rng_state import restore_random_state as restore_random_state
    from pluglab.engine.rng_state import seed_everything as seed_everything
    from pluglab.engine.rng_state import unchanged_random_state as unchanged_random_state
    from pluglab.engine.untouched import evaluating as evaluating
    from pluglab.engine.untouched import unchanged as unchanged
    from pluglab.plain import plain as plain
    from pluglab.plugins.commands import place_of_code as place_of_code
    from pluglab.plugins.contracts import ContractError as ContractError
    from pluglab.plugins.contracts import place_in as place_in
    from pluglab.plugins.contracts import place_of as place_of
    from pluglab.plugins.contracts import place_of_option as place_of_option
    from pluglab.plugins.loading import GROUP as GROUP
    from pluglab.plugins.loading import HEAVY as HEAVY
    from pluglab.plugins.loading import Plugins as Plugins
    from pluglab.plugins.loading import load_plugins as load_plugins
    from pluglab.plugins.registry import Entry as Entry
    from pluglab.plugins.registry import Registry as Registry
    from pluglab.plugins.registry import a as a
    from pluglab.plugins.returned import check_evaluation as check_evaluation
    from pluglab.plugins.returned import check_failures as check_failures
    from pluglab.plugins.returned import check_findings as check_findings
    from pluglab.plugins.returned import check_logs as check_logs
    from pluglab.plugins.returned import check_split as check_split
    from pluglab.plugins.returned import check_transformed as check_transformed
    from pluglab.recipe.layers import read_override as read_override
    from pluglab.recipe.resolve import check_defaults as check_defaults
    from pluglab.recipe.resolve import make as make
else:
    _WHERE = {
        "pluglab.cli.app": ("build_app",),
        "pluglab.data.batches": ("ImageArrays",),
        "pluglab.data.evaluation_data": ("Evaluated", "EvaluationSplit", "RoleSplits"),
        "pluglab.data.whole_batch": ("whole_batch",),
        "pluglab.engine.evaluation": ("check_promise",),
        "pluglab.engine.first_step": ("at_rest", "settings", "unloadable"),
        "pluglab.engine.hardware": ("Hardware", "LabFabric"),
        "pluglab.engine.rng_state": (
            "own_random_numbers",
            "random_state",
            "restore_random_state",
            "seed_everything",
            "unchanged_random_state",
        ),
        "pluglab.engine.untouched": ("evaluating", "unchanged"),
        "pluglab.plain": ("plain",),
        "pluglab.plugins.commands": ("place_of_code",),
        "pluglab.plugins.contracts": ("ContractError", "place_in", "place_of", "place_of_option"),
        "pluglab.plugins.loading": ("GROUP", "HEAVY", "Plugins", "load_plugins"),
        "pluglab.plugins.registry": ("Entry", "Registry", "a"),
        "pluglab.plugins.returned": (
            "check_evaluation",
            "check_failures",
            "check_findings",
            "check_logs",
            "check_split",
            "check_transformed",
        ),
        "pluglab.recipe.layers": ("read_override",),
        "pluglab.recipe.resolve": ("check_defaults", "make"),
    }
    _MODULES = {name: module for module, names in _WHERE.items() for name in names}
    __getattr__, __dir__ = lazily(__name__, _MODULES)
