"""Checks of components, for their authors: `lab check`, `pytest --lab NAME`, and what is named here.

import pytest
from pluglab.testing import components, faults

@pytest.mark.parametrize("component", components("pluglab-coral"), ids=str)
def test_nothing_is_wrong_with(component):
    assert faults(component) == []
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = ["Fault", "Part", "Result", "Subject", "check", "components", "faults", "results"]

if TYPE_CHECKING:
    from pluglab_testing.api import components as components
    from pluglab_testing.api import faults as faults
    from pluglab_testing.api import results as results
    from pluglab_testing.checking import Fault as Fault
    from pluglab_testing.checking import Result as Result
    from pluglab_testing.checking import Subject as Subject
    from pluglab_testing.checking import check as check
    from pluglab_testing.subjects import Part as Part
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("components", "faults", "results"), "pluglab_testing.api"),
            **dict.fromkeys(("Fault", "Result", "Subject", "check"), "pluglab_testing.checking"),
            "Part": "pluglab_testing.subjects",
        },
    )
