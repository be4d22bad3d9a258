"""How many threads compute, and how they wait. OpenMP reads both once, when torch is loaded."""

from __future__ import annotations

import math
import os
from pathlib import Path

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SPINS = "10000"
"""Turns of a waiting loop before a thread sleeps, some microseconds. OpenMP's own default is 5 minutes of
turns. On a core that another process wants, that is time taken from the thread which is waited for."""
CGROUP = Path("/sys/fs/cgroup")


def choose() -> None:
    """Set what the environment leaves open: a container's share of the cores, and short waits."""
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"] = SPINS
    quota = _quota(CGROUP)
    if quota is not None and quota < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, math.floor(quota))))


def _quota(root: Path) -> float | None:
    """Cores that the control group of a container allows; None without a limit. OpenMP sees only those that a
    process may be put on."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    limited = quota.isdigit() and period.isdigit() and int(period) > 0
    return int(quota) / int(period) if limited else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
