"""Orders of images, schedules, capabilities and checkpoints."""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pluglab import capabilities
from pluglab.capabilities import can, capability, lacks, members_of
from pluglab.data import Images
from pluglab.data.batches import Stream, batch_indices
from pluglab.protocols import Progress
from pluglab.storage.checkpoints import Checkpoints
from pluglab.training import schedules

# Orders ----------------------------------------------------------------------------------------------

COUNT, SIZE = st.integers(1, 60), st.integers(1, 130)


@given(st.integers(0, 2**40), COUNT, SIZE, st.integers(1, 4))
def test_every_image_comes_once_an_epoch(seed: int, count: int, size: int, epochs: int) -> None:
    steps = math.ceil(epochs * count / size)
    order = torch.cat([batch_indices(seed, "train", step, count, size) for step in range(steps)])
    assert len(order) == steps * size
    for epoch in range(epochs):
        assert sorted(order[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


@given(st.integers(0, 2**40), COUNT, SIZE, st.integers(0, 50))
def test_a_batch_depends_on_no_other(seed: int, count: int, size: int, step: int) -> None:
    alone = batch_indices(seed, "train", step, count, size)
    for other in range(step):
        batch_indices(seed, "train", other, count, size)
    assert torch.equal(alone, batch_indices(seed, "train", step, count, size))


@given(st.integers(0, 99), COUNT, SIZE, st.integers(1, 5), st.integers(0, 9))
def test_processes_share_a_batch_out(seed: int, count: int, size: int, processes: int, step: int) -> None:
    images = Images(torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 1, 1))

    def pixels(rank: int, world_size: int) -> list[int]:
        stream = Stream(
            images,
            "train",
            seed=seed,
            batch_size=size,
            device=torch.device("cpu"),
            rank=rank,
            world_size=world_size,
        )
        return [round(value) for value in ((stream.batch(step).images.flatten() + 1) * 127.5).tolist()]

    whole = pixels(0, 1)
    parts = [pixels(rank, processes) for rank in range(processes)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [parts[i % processes][i // processes] for i in range(size)] == whole
    assert max(Counter(whole).values()) <= -(-size // count) + 1


# Schedules -------------------------------------------------------------------------------------------

KINDS = [getattr(schedules, name) for name in ("InverseDecay", "OneCycle", "StepDecay", "SigmoidRamp")]
NUMBER = st.one_of(
    st.floats(0, 2), st.floats(), st.sampled_from([0.0, 1.0, 1e-300, 1e300, math.inf]), st.integers(-1, 10**6)
)
SHARES = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6).map(sorted)


@given(st.sampled_from(KINDS), st.data(), SHARES)
def test_a_schedule_is_a_number_or_its_options_are_refused(
    kind: Any, data: st.DataObject, shares: list[float]
) -> None:
    options = {name: data.draw(NUMBER, name) for name in kind.Config.model_fields}
    try:
        schedule = kind(kind.Config(**options))
    except ValidationError:
        return
    found = [schedule(p) for p in shares]
    assert all(isinstance(value, float) and math.isfinite(value) and value >= 0 for value in found)


@given(st.floats(0, 50), st.floats(0, 5), SHARES)
def test_inverse_decay_falls_from_one(alpha: float, beta: float, shares: list[float]) -> None:
    schedule = schedules.InverseDecay(schedules.InverseDecay.Config(alpha=alpha, beta=beta))
    found = [schedule(p) for p in (0, *shares)]
    assert found[0] == 1 and found == sorted(found, reverse=True)


@given(st.floats(0.01, 50), SHARES)
def test_the_sigmoid_rises_from_zero_to_one(gamma: float, shares: list[float]) -> None:
    schedule = schedules.SigmoidRamp(schedules.SigmoidRamp.Config(gamma=gamma))
    found = [schedule(p) for p in (0, *shares)]
    assert found[0] == 0 and found == sorted(found) and found[-1] <= 1
    assert schedule(0.5) == pytest.approx(math.tanh(gamma / 4))


@given(st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1), SHARES)
def test_one_cycle_rises_then_falls(warmup: float, start: float, end: float, shares: list[float]) -> None:
    schedule = schedules.OneCycle(schedules.OneCycle.Config(warmup=warmup, start=start, end=end))
    up = [schedule(p) for p in shares if p < warmup]
    down = [schedule(p) for p in shares if p >= warmup]
    assert all(b - a >= -1e-12 for a, b in itertools.pairwise(up))
    assert all(a - b >= -1e-12 for a, b in itertools.pairwise(down))
    assert schedule(warmup) == 1 and all(min(start, end) - 1e-12 <= v <= 1 for v in up + down)


@given(st.floats(0.01, 1), st.integers(1, 20), st.integers(0, 400))
def test_steps_fall_by_their_factor(factor: float, drops: int, step: int) -> None:
    schedule = schedules.StepDecay(schedules.StepDecay.Config(factor=factor, every=1 / drops))
    p = (step + 0.5) / 401
    assert schedule(p) == pytest.approx(factor ** math.floor(p * drops + 1e-9), rel=1e-6)


@given(st.integers(0, 999), st.floats(0, 0.9), st.floats(0.05, 0.1))
def test_progress_within_a_part_is_its_share(step: int, start: float, length: float) -> None:
    whole = Progress(step, 1000)
    part = whole.during(start, start + length)
    assert start + part.fraction * length == pytest.approx(step / 1000, abs=1e-12)
    assert part.step == step and whole.total_was_read


# Capabilities ----------------------------------------------------------------------------------------

MEMBERS = st.sets(st.sampled_from(["predict", "embed", "sample", "draw", "classes", "latents"]))


def body(names: set[str]) -> dict[str, Any]:
    return {name: lambda self: None for name in names}


@given(MEMBERS, MEMBERS, MEMBERS, MEMBERS, st.booleans())
def test_a_trainer_can_what_it_has_the_members_of(
    wanted: set[str], inherited: set[str], own: set[str], annotated: set[str], provides: bool
) -> None:
    declared = type("Wanted", (Protocol,), {**body(wanted), "__module__": __name__})
    protocol = capability("do it")(declared)
    try:
        check_capability(protocol, wanted, inherited, own, annotated, provides)
    finally:
        del capabilities._words[protocol]  # else every trainer that comes after would be held to it


def check_capability(
    protocol: Any, wanted: set[str], inherited: set[str], own: set[str], annotated: set[str], provides: bool
) -> None:
    base = type("Base", (), body(inherited))
    extra = {"provides": (protocol,)} if provides else {}
    trainer = type("T", (base,), {**body(own), **extra, "__annotations__": dict.fromkeys(annotated, int)})
    assert set(members_of(protocol)) == wanted
    assert can(trainer, protocol) == (provides or wanted <= inherited | own | annotated)
    assert set(lacks(trainer(), protocol)) == wanted - inherited - own
    assert isinstance(trainer(), protocol) == can(trainer(), protocol)


# Checkpoints -----------------------------------------------------------------------------------------

TENSOR = st.tuples(
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8]),
    st.lists(st.integers(0, 3), max_size=3),
).map(lambda made: torch.arange(math.prod(made[1])).to(made[0]).reshape(made[1]))
STATE = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.one_of(TENSOR, st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def fresh(folder: Path) -> Checkpoints:
    for path in folder.glob("*.pt"):
        path.unlink()
    return Checkpoints(folder)


@given(state=STATE, step=st.integers(0, 10**9))
def test_a_checkpoint_is_what_was_saved(tmp_path: Path, state: dict[str, Any], step: int) -> None:
    checkpoints = fresh(tmp_path)
    checkpoints.save(state, step)
    found = checkpoints.latest()
    assert found is not None and found[0].step == step and same(state, found[1])


@given(state=STATE, data=st.data())
def test_a_changed_byte_is_noticed(tmp_path: Path, state: dict[str, Any], data: st.DataObject) -> None:
    checkpoints = fresh(tmp_path)
    checkpoints.save({"which": "before"}, 1)
    path = checkpoints.save(state, 2)
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = {
        "flipped": content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :],
        "cut": content[:at],
        "longer": content + bytes([bit]),
        "zeros": bytes(len(content)),
    }
    path.write_bytes(changed[data.draw(st.sampled_from(sorted(changed)))])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = checkpoints.latest()
    assert found is not None and found[1] == {"which": "before"}
    assert any("damaged" in str(warning.message) for warning in told)


@given(steps=st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True), every=st.integers(1, 20))
def test_the_newest_two_and_every_nth_are_kept(tmp_path: Path, steps: list[int], every: int) -> None:
    fresh(tmp_path)
    checkpoints, done = Checkpoints(tmp_path, keep_every=every), sorted(steps)
    for step in done:
        checkpoints.save({}, step, keep=done[0])
    wanted = {done[0], *done[-2:], *(step for step in done if step % every == 0)}
    assert checkpoints.steps() == sorted(wanted)
