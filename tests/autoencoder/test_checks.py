"""What the evaluators of autoencoders say before the training, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from pluglab.data import Images
from pluglab.errors import UserError
from tests.evaluation import looked, role_data

from .conftest import pixels_at

NAMES = ["latent_traversal", "importance_weighted_likelihood"]
ROLES = {role: Images(pixels_at(seed, 30)) for seed, role in enumerate(("one", "other"))}


def test_every_evaluator_is_here(registry) -> None:
    names = {entry.name for entry in registry.entries("evaluator") if entry.plugin == "autoencoder"}
    assert names == set(NAMES)


@pytest.mark.parametrize("roles", [None, ["other"]])
def test_what_was_promised_is_reported_and_no_labels_are_read(build, evaluator, context, roles) -> None:
    shown = roles or list(ROLES)
    expected = {
        "latent_traversal": [f"active_dimensions/{role}" for role in shown],
        "importance_weighted_likelihood": [
            f"{name}/{role}" for role in shown for name in ("log_likelihood_k3", "elbo", "bits_per_dim_k3")
        ],
    }
    options = {"latent_traversal": {"pictures": 1}, "importance_weighted_likelihood": {"samples": 3}}
    for name in NAMES:
        one = evaluator(name, roles=roles, images=20, **options[name])
        found = looked(one, build(), ROLES, context)
        assert found.promise == dict.fromkeys(expected[name], ())
        assert list(found.found.scalars) == expected[name] and found.labels_read == set()
        assert found.found.protocol["images"] == 20 and found.found.protocol["split"] == "test"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "message"),
    [({"roles": ["on"]}, "no role 'on'"), ({"split": "dev"}, "no split 'dev'")],
)
def test_an_unknown_role_or_split_is_told_before_the_training(
    build, evaluator, name, options, message
) -> None:
    with pytest.raises(UserError, match=message) as told:
        evaluator(name, **options).check(build(), role_data(ROLES, checking=True))
    assert told.value.help


def test_a_traversal_says_what_it_shows_and_keeps_its_numbers(build, evaluator, context) -> None:
    one = evaluator("latent_traversal", rows=3, pictures=1, roles=["one"])
    figure: Any = looked(one, build(), ROLES, context).found.figures["one_1"]
    assert "one_images" in figure.caption and "from -3 to 3" in figure.caption
    data: Any = figure.data
    assert len(data["dimension"]) == 3
    assert data["kl"] == sorted(data["kl"], reverse=True)
