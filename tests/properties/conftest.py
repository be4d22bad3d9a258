"""Properties that hold for whatever hypothesis makes up.

`make test` tries a few dozen of each, the same ones every time. HYPOTHESIS_PROFILE=faults tries new ones, so
many that all properties together see more than 10,000.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Files below a test's folder are written anew by each example, so that one folder does for all of them.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]

settings.register_profile(
    "quick", max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=SHARED
)
settings.register_profile(
    "faults",
    max_examples=500,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=SHARED,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
