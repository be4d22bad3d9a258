"""Damage to every kind of file of a run and of its prepared data: noticed, and made whole again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.core.support import last_state, same
from tests.faults.compared import differences
from tests.faults.processes import ended, forked
from tests.faults.victims import Found, Victims, run_in

Damage = Callable[[bytes, random.Random], bytes | None]
KINDS = (
    "run.json",
    "recipe.toml",
    "metrics.jsonl",
    "results.json",
    "checkpoint",
    "events",
    "picture",
    "prepared",
)


def _flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]


DAMAGES: Mapping[str, Damage] = {
    "flip": _flip,
    "cut": lambda content, chance: content[: chance.randrange(len(content))],
    "zeros": lambda content, chance: bytes(len(content)),
    "empty": lambda content, chance: b"",
    "more": lambda content, chance: content + chance.randbytes(40),
    "gone": lambda content, chance: None,
}


def damage(victims: Victims, count: int) -> Found:
    """So many files, of all kinds in turn; the run was killed before its end, or had come to it."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"damaged/{number}")
        found.runs += 1
        _run(victims, place, killed=number % 2 == 0)
        kind = KINDS[number % len(KINDS)]
        files = _files(place, run_in(place), kind)
        if not files:
            continue
        file, (name, change) = victims.chance.choice(files), victims.chance.choice(list(DAMAGES.items()))
        content = change(file.read_bytes(), victims.chance)
        file.unlink() if content is None else file.write_bytes(content)
        outcome = _outcome(victims, place, run_in_any(place))
        found.sorts[outcome] += 1
        if outcome.startswith("wrong"):
            found.wrong.append(f"{place}: {outcome} after {name} of {file.name}")
    return found


def _run(victims: Victims, place: Path, *, killed: bool) -> None:
    """A copy of the whole run, or of it as a kill in its middle would leave it."""
    shutil.copytree(victims.whole.parents[2], place, dirs_exist_ok=True)
    if killed:
        run = run_in(place)
        (run / "results.json").unlink()
        text = (run / "run.json").read_text()
        (run / "run.json").write_text(text.replace('"finished"', '"running"'))
        newest = max((run / "checkpoints").glob("*.pt"))
        newest.unlink()


def _files(place: Path, run: Path, kind: str) -> list[Path]:
    patterns = {
        "checkpoint": "checkpoints/*.pt",
        "events": "tensorboard/events*",
        "picture": "figures/**/*.png",
    }
    if kind == "prepared":
        return [file for file in place.glob("cache/prepared/*/*") if file.is_file()]
    return list(run.glob(patterns.get(kind, kind)))


def run_in_any(place: Path) -> Path:
    (folder,) = [path for path in place.glob("runs/*/*") if path.is_dir()]
    return folder


def _outcome(victims: Victims, place: Path, run: Path) -> str:
    """How the run comes to its end, with `lab repair` where it does not go on by itself."""
    code = ended(forked(["resume", str(run)], place))
    words = "went on"
    if code == 2:
        repaired = ended(forked(["repair", str(run)], place))
        if repaired:
            return "refused in words" if repaired == 2 else f"wrong: repair exits {repaired}"
        code, words = ended(forked(["resume", str(run)], place)), "went on after lab repair"
    if code == 2:
        return "refused in words"
    if code:
        return f"wrong: exit code {code}"
    if not same(last_state(run)["trainer"], last_state(victims.whole)["trainer"]):
        return "wrong: other weights"
    rest = [one for one in differences(run, victims.whole) if one != "left over"]
    return f"{words}, the same in everything" if not rest else f"{words}, the same weights; other records"
