"""What this distribution adds. Neither Ray nor submitit is imported before one of the launchers is used."""

from pluglab import Registrar


def lab_register(registry: Registrar) -> None:
    """The launchers."""
    here = "pluglab_launchers"
    what = "each run on a machine of a Ray cluster"
    registry.add("launcher", "ray", f"{here}.on_ray:Ray", summary=what, paper="arXiv:1712.05889")
    what = "each run a job of SLURM, through submitit"
    registry.add("launcher", "slurm", f"{here}.on_slurm:Slurm", summary=what)
