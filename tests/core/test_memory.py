"""What a step frees stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pluglab.engine import memory

# Pages that are mapped anew while 50 times a block of 64 MB is filled and freed.
FAULTS = """
import resource, torch
from pluglab.engine.memory import keep_freed_memory
{first}
def fill():
    torch.ones(2**24)
for _ in range(20):  # until the heap has grown to what is needed
    fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    program = FAULTS.format(first=first)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_not_mapped_anew():
    if not memory.keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    assert faults("") > 50 * 30  # what is to be avoided: 64 MB are 32 pages of 2 MB, or 16,384 of 4 kB
    assert faults("keep_freed_memory()") < 100


def test_a_library_without_it_is_left_alone(monkeypatch):
    def none(name):
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", none)
    assert not memory.keep_freed_memory()
