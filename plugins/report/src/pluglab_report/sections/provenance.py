"""Where the numbers come from, and how to get them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pluglab.protocols import Table
from pluglab.records import Record
from pluglab_report.blocks import Block, Code, Fold, Heading, TableBlock
from pluglab_report.chapters import Chapter
from pluglab_report.words import listed

DIGITS = 16
DATA = f"Data, with the first {DIGITS} digits of the SHA-256 of their content"


class Provenance:
    """Runs, data, software, and the commands that repeat them."""

    title = "Provenance"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        name = chapter.layout.name
        return [
            TableBlock(f"{name}_runs", _runs(chapter), "Runs"),
            TableBlock(f"{name}_rules", _rules(chapter), "What was learned from, and what was reported"),
            TableBlock(f"{name}_data", _data(chapter), DATA),
            Heading("To repeat it"),
            *(Code(text, "sh") for text in _commands(chapter)),
            Fold("Software and machines", [TableBlock(f"{name}_software", _software(chapter))]),
        ]


def _told(chapter: Chapter) -> Iterator[tuple[str, Record]]:
    for group in chapter.groups:
        for record in group.records:
            yield chapter.names[group], record


def _runs(chapter: Chapter) -> Table:
    columns = ["run", "seed", "status", "steps", "training (min)", "evaluation (min)", "git commit", "folder"]
    rows = [
        [
            name,
            record.seed,
            record.status,
            record.results.get("step", record.step()),
            *_times(record),
            commit_of(record),
            record.path.name if record.experiment is None else f"{record.experiment.name}/{record.path.name}",
        ]
        for name, record in _told(chapter)
    ]
    return Table(columns, rows)


def _times(record: Record) -> tuple[str, str]:
    found = record.results.get("seconds", {})
    return _minutes(found.get("training")), _minutes(found.get("evaluation"))


def _minutes(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 60:.1f}"


def commit_of(record: Record) -> str:
    """'a1b2c3d4e5, changed' where files were changed since that commit; '-' outside a repository."""
    found = record.state.get("git") or {}
    commit = str(found.get("commit", ""))[:10]
    return ", ".join(filter(None, [commit or "-", "changed" if found.get("dirty") else ""]))


def _rules(chapter: Chapter) -> Table:
    rows: dict[tuple[str, ...], None] = {}
    for name, record in _told(chapter):
        said = record.state.get("protocol", {})
        learned = ", ".join(f"{role}/{split}" for role, split in said.get("trained_on", {}).items())
        hidden = listed(list(said.get("labels_hidden", []))) or "none"
        rows[name, learned or "-", hidden, _selection(record)] = None
    columns = ["run", "learned from", "hidden labels", "reported step"]
    return Table(columns, [list(row) for row in rows])


def _selection(record: Record) -> str:
    select = record.results.get("selected_by")
    if select:
        how = f"{select.get('mode', 'max')} of {select.get('metric')}"
        return f"{how}{' (oracle)' if select.get('oracle') else ''}"
    said = record.state.get("protocol", {}).get("selection", "-")
    return str(said if isinstance(said, str) else said.get("metric", said))


def _data(chapter: Chapter) -> Table:
    rows: dict[tuple[str, ...], None] = {}
    for _, record in _told(chapter):
        for role, one in record.state.get("data", {}).items():
            for split, digest in one.get("sha256", {}).items():
                source = str(one.get("source") or one.get("path") or "-")
                rows[
                    role,
                    str(one.get("dataset", "-")),
                    split,
                    _count(one, split),
                    source,
                    str(digest)[:DIGITS],
                ] = None
    columns = ["role", "data set", "split", "images", "from", "SHA-256"]
    return Table(columns, [list(row) for row in rows])


def _count(one: Mapping[str, object], split: str) -> str:
    return f"{one['images']:,}" if split == "train" and isinstance(one.get("images"), int) else "-"


def _commands(chapter: Chapter) -> Iterator[str]:
    """What was typed, once for all runs that it started; else the recipe that a run left behind."""
    commands = [_command(record) for _, record in _told(chapter)]
    for place, lines in dict.fromkeys(commands):
        yield "\n".join(filter(None, [place, lines]))


def _command(record: Record) -> tuple[str, str]:
    typed = [str(word) for word in record.state.get("command", [])]
    if len(typed) > 1 and typed[1] == "run":
        return _checkout(record), shlex.join(["lab", *typed[1:]])
    folder = record.experiment or record.path
    return _checkout(record), shlex.join(["lab", "run", str(Path(folder.name) / "recipe.toml")])


def _checkout(record: Record) -> str:
    """The commit to go to first, where it is known and tells all."""
    git = record.state.get("git") or {}
    if not git.get("commit"):
        return ""
    words = "# files were changed after this commit" if git.get("dirty") else ""
    return f"git checkout {git['commit'][:40]}  {words}".rstrip()


def _software(chapter: Chapter) -> Table:
    """A row a fact; of runs on several machines the facts of each, where they differ."""
    found: dict[str, dict[str, None]] = {}
    for _, record in _told(chapter):
        machine = record.state.get("machine", {})
        facts = {**record.state.get("versions", {}), **machine, "started": record.state.get("started", "-")}
        for key, value in {**facts, **_plugins(record)}.items():
            found.setdefault(str(key), {})[str(value)] = None
    return Table(["what", "value"], [[key, "; ".join(values)] for key, values in found.items()])


def _plugins(record: Record) -> dict[str, str]:
    files = {
        f"plugin file {name}": str(digest) for name, digest in record.state.get("plugin_files", {}).items()
    }
    return {"plugins": ", ".join(map(str, record.state.get("plugins", {}).values())), **files}
