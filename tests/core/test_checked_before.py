"""What a recipe asks for and cannot get is told before the training: exit 2, and no run folder."""

from __future__ import annotations

import pytest

from tests.core.runs import ADAPTATION, RECIPE, events, folders, lab, made, results, write


def with_(text: str, recipe: str = ADAPTATION) -> str:
    return recipe.replace("[run]", f"{text}\n[run]")


LOOK = "evaluate = [{ name = 'told', every = 2 }]"
WRONG = {
    "a split that there is not": (
        with_("evaluate = [{ name = 'told', split = 'val' }]"),
        ["there is no split 'val'", "evaluate = [{ name = 'told', split = 'val' }]", "splits: train, test"],
    ),
    "a scalar to select by": (
        with_(f"{LOOK}\nselect = {{ metric = 'hits/sorce' }}"),
        ["no evaluator that runs during training reports 'hits/sorce'", "did you mean 'hits/source'?"],
    ),
    "the oracle's": (
        with_(f"{LOOK}\nselect = {{ metric = 'hits/source', oracle = 'hits/taget' }}"),
        ["no evaluator that runs during training reports 'hits/taget'", "did you mean 'hits/target'?"],
    ),
    "a column of the table": (
        with_(f"{LOOK}\ntable = ['hits/sauce']"),
        ["no evaluator reports 'hits/sauce'", "did you mean 'hits/source'?"],
    ),
    "an evaluator that comes too late": (
        with_("evaluate = ['told']\nselect = { metric = 'hits/source' }"),
        ["no evaluator runs during training", "`every`"],
    ),
    "one of two that comes too late": (
        with_(
            "evaluate = ['told', { name = 'told', bonus = 1.0, every = 2 }]\n"
            "select = { metric = 'hits/source' }"
        ),
        ["reports 'hits/source'", "did you mean 'told_2/hits/source'?"],
    ),
    "a network that cannot be": (
        with_("", RECIPE.replace('"learner"', "{ name = 'learner', width = 13 }")),
        ["13 brings bad luck", "width = 12"],
    ),
    "data for a role": (
        with_("", RECIPE.replace('"learner"', '"adapter"')),
        ["needs data for the role 'source'", "needs data for the role 'target'"],
    ),
    "a folder": (
        RECIPE.replace('"drawn"', "{ name = 'stored', path = 'no.npz' }"),
        ["there is no file no.npz", "data.train"],
    ),
    "weights": ("init = 'no.pt'\n" + RECIPE, ["there is no run and no file no.pt", "--> r.toml:1"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_told_in_words_and_no_folder_is_made(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, told = WRONG[what]
    for dry in (["--dry-run"], []):
        assert lab("run", write(text), *dry) == 2
        error = capsys.readouterr().err
        assert all(words in error for words in told), error
        assert "moved" not in error
    assert folders() == set()


def test_every_variant_is_checked_before_the_first_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    text = RECIPE + "[variants.good]\n[variants.bad.trainer]\nwidth = 13\n"
    assert lab("run", write(text)) == 2
    assert "13 brings bad luck" in capsys.readouterr().err
    assert folders() == set()


def test_a_dry_run_of_a_good_recipe_says_so_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = "table = ['oracle hits/target', 'hits/source', 'hits/target']"
    select = "select = { metric = 'hits/source', oracle = 'hits/target' }"
    file = write(with_(f"{LOOK}\n{table}\n{select}"))
    assert lab("run", file, "--dry-run") == 0
    assert "The recipe is good; nothing was run." in capsys.readouterr().out
    assert folders() == set()
    assert "oracle hits/target" in results(made("run", file))["scalars"]


def test_an_evaluation_afterwards_is_checked_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    run = made("run", write())
    before = results(run), events(run)
    assert lab("evaluate", run, "--with", "certain", "--with", "{ name = 'told', split = 'val' }") == 2
    assert "there is no split 'val'" in capsys.readouterr().err
    assert (results(run), events(run)) == before


def test_what_selects_is_checked_when_a_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    run = made("run", write(with_(LOOK)))
    assert lab("extend", run, "--set", "steps=12", "--set", "select={ metric = 'hits/target' }") == 2
    assert "which are hidden" in capsys.readouterr().err
    assert folders() == {run}
