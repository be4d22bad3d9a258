"""What README, docs and recipe headers print about data: commands that find their files, and their origin."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "recipes").glob("*.toml")),
]
COMMAND = r"lab (?:run|describe) (recipes/\w+\.toml)"


@cache
def wants_files(recipe: Path) -> bool:
    """Whether it, or what it extends, names a data set that is not built in."""
    text = recipe.read_text()
    bases = tomllib.loads(text).get("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    named = re.search(r'name = "(mnist|mnist_m|usps|svhn|image_folder)"|scenarios/', text)
    return named is not None or any(wants_files(recipe.parent / base) for base in bases)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_needs_files_says_where_they_are(page: Path) -> None:
    text = page.read_text()
    spans = [found[0] for found in re.finditer(rf"`{COMMAND}[^`]*`|^[#\s]+{COMMAND}.*$", text, re.MULTILINE)]
    for span in spans:
        (recipe,) = re.findall(COMMAND, span)
        if wants_files(ROOT / recipe):
            assert re.search("--data-root|data.train.path", span), span


def test_the_page_says_where_the_sprites_come_from() -> None:
    from pluglab_datasets import sprites

    page = (ROOT / "docs" / "datasets.md").read_text()
    assert "bragajj/DCGAN-Anime-Faces" in page
    assert sprites.COMMIT in page
    assert "python -m pluglab_datasets.sprites" in page
    assert "MIT" in page


def test_no_file_of_a_private_folder_is_named_in_the_product() -> None:
    """But for sprites64.tar, which the page above says how to make."""
    sources = [*ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("core/src/**/*.py"), *ROOT.glob("docs/*.md")]
    assert not [path for path in sources if re.search(r"\w*first5000|release_test", path.read_text())]
