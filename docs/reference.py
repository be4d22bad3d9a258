"""What of the site is written from the code: kinds, components, recipes, commands, hooks, Python API.

A hook of MkDocs (mkdocs.yml names it). The pages exist while the site is built, and nowhere else.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.main import get_command
from typer.testing import CliRunner

import pluglab
from pluglab.cli.app import build_app
from pluglab.plugins import hookspecs
from pluglab.plugins.loading import load_plugins
from pluglab.plugins.registry import plural
from pluglab.protocols import Table
from pluglab.tables import markdown

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    r"(?:\.\./)?README\.md": "readme.md",
    r"(?:\.\./)?LICENSE": "license.md",
    r"(?:\.\./)?CONTRIBUTING\.md": "contributing.md",
    r"(?:\.\./)?CHANGELOG\.md": "changelog.md",
    r"(?:\.\./)?RELEASING\.md": "releasing.md",
    r"(?:\.\./)?SECURITY\.md": "security.md",
    r"(?:\.\./)?examples/(pluglab-\w+)": r"reference/examples.md#\1",
    r"(?:\.\./)?recipes/(?:\w+/)*(\w+)\.toml": r"reference/recipes.md#\1",
}
"""Where links that lead out of docs/ lead on the site."""
REPOSITORY = "README", "CONTRIBUTING", "CHANGELOG", "RELEASING", "SECURITY"


# What MkDocs calls -----------------------------------------------------------------------------------


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    names = "Further pages", "Reference", "Kinds of components"
    sections: dict[str, list[dict[str, str]]] = {name: [] for name in names}
    for name, text in pages().items():
        title = text.partition("\n")[0].lstrip("# ")
        where = "Kinds of components" if name.startswith("reference/kinds/") else "Reference"
        if name.startswith("reference/"):
            sections[where].append({title: name})
    listed = json.dumps(config.nav)
    for page in sorted(Path(config.docs_dir).glob("*.md")):
        if f'"{page.name}"' not in listed:
            sections["Further pages"].append(
                {page.read_text("utf-8").partition("\n")[0].lstrip("# "): page.name}
            )
    config.nav = [*(config.nav or []), *({title: found} for title, found in sections.items() if found)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    for link, target in OUTSIDE.items():
        markdown = re.sub(rf"\]\({link}\)", f"]({target})", markdown)
    return markdown


# Pages -----------------------------------------------------------------------------------------------


@cache
def pages() -> Mapping[str, str]:
    """Each page by its place; the first line is its title."""
    kinds = [row for row in told("list", "kinds") if row["components"]]
    return {
        **{f"{name.lower()}.md": of_the_repository(f"{name}.md") for name in REPOSITORY},
        "license.md": "# License\n\n" + (ROOT / "LICENSE").read_text("utf-8"),
        "reference/kinds.md": all_kinds(kinds),
        **{f"reference/kinds/{row['kind']}.md": kind(row) for row in kinds},
        "reference/recipes.md": "\n".join(recipes()),
        "reference/commands.md": "\n".join(commands()),
        "reference/hooks.md": "\n".join(hooks()),
        "reference/python.md": "\n".join(python()),
        "reference/examples.md": "\n".join(examples()),
    }


def of_the_repository(file: str) -> str:
    """A page beside docs/, as one in it."""
    return (ROOT / file).read_text("utf-8").replace("](docs/", "](")


def all_kinds(kinds: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"[`{row['kind']}`](kinds/{row['kind']}.md)",
            row["summary"],
            row["components"],
            f"`{row['protocol']}`",
        ]
        for row in kinds
    ]
    words = (
        "What a recipe names is a component of one of these kinds. A plugin may add components, and kinds."
    )
    return f"# Kinds\n\n{words}\n\n{markdown(Table(['kind', 'what it is', 'components', 'protocol'], rows))}"


def kind(row: Mapping[str, Any]) -> str:
    return "\n".join(
        [f"# {row['kind']}", "", f"{row['summary'].capitalize()}.", "", *components(row["kind"])]
    )


def components(kind: str) -> Iterator[str]:
    for listed in told("list", plural(kind)):
        shown = told("show", kind, f"{listed['plugin']}/{listed['name']}")
        paper = f", {listed['paper']}" if listed.get("paper") else ""
        yield from (
            f"## {listed['name']}",
            "",
            f"*{listed['summary']}; plugin {listed['plugin']}{paper}*",
            "",
        )
        yield from (indented(shown["documentation"]), "")
        if shown.get("can"):
            yield from (f"It can {', '.join(shown['can'])}.", "")
        columns = ["option", "type", "default", "meaning"]
        rows = [[f"`{one['option']}`", *(one[name] for name in columns[1:])] for one in shown["options"]]
        yield markdown(Table(columns, rows)) if rows else "It has no options.\n"


def recipes() -> Iterator[str]:
    words = "The files in `recipes/`, whole. What each is for, and what it has given, is in its first lines."
    yield f"# Recipes\n\n{words}\n"
    for path in sorted((ROOT / "recipes").rglob("[!.]*.toml")):
        name = path.relative_to(ROOT / "recipes").with_suffix("").as_posix()
        yield f"## {name} {{ #{name.replace('/', '-')} }}\n"
        yield fenced(path, "toml")


def commands() -> Iterator[str]:
    yield "# Command line\n\nWhat `--help` says. [Commands](../commands.md) has the same with examples.\n"
    group = get_command(app())
    context = typer.Context(group, info_name="lab")
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        usage = command.get_usage(typer.Context(command, context, name)).removeprefix("Usage: ")
        yield f"## lab {name}\n\n    {usage}\n\n{plain(command.help or '')}\n"
        rows = [
            [
                f"`{', '.join(one.opts)}`",
                "" if one.metavar is None else one.metavar,
                plain(getattr(one, "help", "") or ""),
            ]
            for one in command.params
        ]
        yield markdown(Table(["argument", "value", "meaning"], rows))


def hooks() -> Iterator[str]:
    words = "Functions that a plugin's module may have. [Plugins](../plugins.md) says how one is made."
    yield f"# Hooks\n\n{words}\n"
    for name, hook in vars(hookspecs).items():
        if name.startswith("lab_"):
            yield entry(name, name, hook)


def python() -> Iterator[str]:
    words = "What `import pluglab` offers. [Python and notebooks](../python.md) has the same with examples."
    yield f"# Python API\n\n{words}\n"
    for name in sorted(pluglab.__all__, key=str.lower):
        value = getattr(pluglab, name)
        if not callable(value):
            continue
        yield entry(name, f"pluglab.{name}", value)
        if inspect.isclass(value):
            members = [(key, one) for key, one in vars(value).items() if not key.startswith("_")]
            rows = [
                [f"`{key}`", first_line(one)]
                for key, one in members
                if inspect.getdoc(one) and documented(one)
            ]
            yield markdown(Table(["member", "what"], rows)) if rows else ""


def examples() -> Iterator[str]:
    yield "# Plugins as distributions\n\nThe packages in `examples/`, file by file.\n"
    for folder in sorted((ROOT / "examples").glob("pluglab-*")):
        yield f"## {folder.name} {{ #{folder.name} }}\n"
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".toml") and not {"build", "tests"} & set(path.parts):
                yield f"### {path.relative_to(folder).as_posix()}\n"
                yield fenced(path, "python" if path.suffix == ".py" else "toml")


# Words -----------------------------------------------------------------------------------------------


@cache
def app() -> Any:
    return build_app(load_plugins())


def told(*words: str) -> Any:
    """What a command says as JSON."""
    result = CliRunner().invoke(app(), [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fenced(path: Path, language: str) -> str:
    return f"```{language}\n{path.read_text('utf-8').strip()}\n```\n"


def entry(title: str, call: str, value: Any) -> str:
    return f"## {title}\n\n    {call}{signature(value)}\n\n{indented(inspect.getdoc(value) or '')}\n"


def signature(value: Any) -> str:
    try:
        found = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    return re.sub(r"<(?:class|function) '?([\w.]+)'?[^>]*>", r"\1", found)


def documented(value: Any) -> bool:
    return callable(value) or isinstance(value, (property, classmethod, staticmethod))


def first_line(value: Any) -> str:
    return plain(inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")


def plain(text: str) -> str:
    """Without what would be read as HTML."""
    return text.replace("<", "&lt;").replace("\b", "")


def indented(text: str) -> str:
    """Documentation as it stands in the code: paragraphs are kept, and what is indented stays a block."""
    return plain(inspect.cleandoc(text))
