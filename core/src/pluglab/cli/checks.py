"""Looks at the machine: what works, what is missing, and the way out. One check cannot spoil another."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["ok", "warn", "fail"]
LOW_DISK_GB = 5
LOW_MEMORY_GB = 2
SLOW_IMPORT_S = 0.2  # of a start that is to take 0.3 s


@dataclass(frozen=True)
class Check:
    """What one look has found. `help` is the way out, empty where all is well."""

    name: str
    status: Status
    detail: str
    help: str = ""


class Report(Protocol):
    """What the core knows about one plugin (`pluglab.plugins.loading.PluginReport`)."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def components(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def heavy(self) -> Sequence[str]: ...


def checks(
    data_root: Path | None,
    plugin_reports: Iterable[Report],
    *,
    runs: Path = Path("runs"),
    cache: Path | None = None,
) -> list[Check]:
    """Every check, in the order in which they are shown.

    `data_root` is where the user keeps data sets, `runs` where run folders go, `cache` where prepared data
    go. Folders that do not exist yet are looked at where they would be made.
    """
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("python", check_python),
        ("torch", check_torch),
        ("torchvision", check_torchvision),
        ("processor", check_processor),
        ("gpu", check_gpu),
        ("memory", check_memory),
        ("runs folder", partial(check_folder, "runs folder", runs)),
        *([("cache", partial(check_folder, "cache", cache))] if cache else []),
        ("data root", partial(check_data_root, data_root)),
        ("tensorboard", check_tensorboard),
    ]
    return [*_isolated(looks), *map(check_plugin, plugin_reports)]


def _isolated(looks: Iterable[tuple[str, Callable[[], Check]]]) -> Iterator[Check]:
    for name, look in looks:
        try:
            yield look()
        except Exception as error:
            yield Check(name, "fail", f"the check itself failed: {type(error).__name__}: {error}")


# The checks --------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    text = f"{'.'.join(map(str, version))} ({platform.system()} {platform.machine()})"
    if version[:2] < (3, 11):
        return Check("python", "fail", text, "Python 3.11 or newer is needed")
    return Check("python", "ok", text)


def check_torch() -> Check:
    import torch

    version = torch.__version__
    if tuple(map(int, version.split(".")[:2])) < (2, 11):
        return Check("torch", "fail", version, "pip install --upgrade 'torch>=2.11'")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    return Check("torch", "ok", f"{version} ({build})")


def check_torchvision() -> Check:
    """Its compiled operators fail to load where torchvision and torch are not of one build."""
    if importlib.util.find_spec("torchvision") is None:
        missing = "not installed; plugins that read or augment images may need it"
        return Check("torchvision", "warn", missing, "pip install torchvision")
    import torch

    try:
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist()
    except (ImportError, RuntimeError) as error:
        detail = f"does not fit torch {torch.__version__}: {str(error).splitlines()[0]}"
        return Check(
            "torchvision", "fail", detail, "install torch and torchvision from the same package index"
        )
    status: Status = "ok" if kept == [1] else "fail"
    return Check("torchvision", status, str(torchvision.__version__))


def check_processor() -> Check:
    """Threads and vector units; bf16 doubles the speed of training only where the processor has it."""
    import torch

    from pluglab.training import native_bf16

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    capability = torch.backends.cpu.get_cpu_capability()
    detail = f"{cores} cores, {threads} threads, {capability}, {native_bf16('cpu')[1]}"
    if threads < cores // 2:
        return Check("processor", "warn", detail, "unset OMP_NUM_THREADS, or set `threads` in [run]")
    return Check("processor", "ok", detail)


def check_gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return Check("gpu", "ok", ", ".join(f"{p.name} ({p.total_memory / 2**30:.0f} GiB)" for p in found))
    if torch.backends.mps.is_available():
        return Check("gpu", "ok", "Apple Metal")
    return Check("gpu", "ok", "none; training runs on the processor")


def check_memory() -> Check:
    available = available_memory()
    if available is None:
        return Check("memory", "ok", "unknown")
    detail = f"{available / 1e9:.1f} GB available"
    if available < LOW_MEMORY_GB * 1e9:
        return Check("memory", "warn", detail, "close other programs, or use a smaller batch_size")
    return Check("memory", "ok", detail)


def available_memory() -> int | None:
    """Bytes that a new process may use; None where the system does not say."""
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    limits = [path.read_text().strip() for path in group if path.exists()]
    room = [int(limits[0]) - int(limits[1])] if len(limits) == 2 and limits[0] != "max" else []
    return min([*(value * 1024 for value in kilobytes), *room], default=None)


def check_folder(name: str, folder: Path) -> Check:
    """Whether one can write there, and how much room is left."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Check(name, "fail", f"{folder} cannot be written: {reason}", f"make {existing} writable")
    free = shutil.disk_usage(existing).free / 1e9
    detail = f"{folder}, {free:.0f} GB free"
    if free < LOW_DISK_GB:
        return Check(name, "warn", detail, "delete old runs; a run with checkpoints may need gigabytes")
    return Check(name, "ok", detail)


def check_data_root(root: Path | None) -> Check:
    help = "set LAB_DATA_ROOT to the folder that holds your data sets"
    if root is None:
        return Check("data root", "warn", "not set; only data sets that need no download will work", help)
    if not root.is_dir():
        return Check("data root", "fail", f"{root} is not a folder", help)
    return Check("data root", "ok", f"{root}, {sum(1 for _ in root.iterdir())} entries")


def check_tensorboard() -> Check:
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        return Check("tensorboard", "fail", f"cannot be imported: {error}", "pip install tensorboard")
    return Check("tensorboard", "ok", metadata.version("tensorboard"))


def check_plugin(report: Report) -> Check:
    name = f"plugin {report.name}"
    if report.status == "ok":
        count = f"{report.components} components" if report.components else ""
        took = f"imported in {report.seconds:.2f} s" if report.seconds else ""
        brought = f"brings in {', '.join(report.heavy)}" if report.heavy else ""
        detail = ", ".join(filter(None, [report.version, count, took, brought]))
        if report.heavy or report.seconds > SLOW_IMPORT_S:
            help = "every `lab` command waits for it: its author should name components by 'module:Class'"
            return Check(name, "warn", detail, help)
        return Check(name, "ok", detail)
    if report.status == "disabled":
        return Check(name, "ok", "disabled")
    ways = {
        "incompatible": f"update it: pip install --upgrade pluglab-{report.name.replace('_', '-')} pluglab",
        "broken": f"repair or uninstall it; LAB_PLUGINS can leave '{report.name}' out",
    }
    return Check(name, "fail", f"{report.status}: {report.error}", ways.get(report.status, ""))
