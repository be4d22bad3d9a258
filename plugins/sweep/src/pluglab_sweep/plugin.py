"""What this distribution adds. Imports nothing heavy: Optuna is loaded when the command is called."""

import typer

from pluglab import Registrar
from pluglab_sweep import command

SAMPLERS = {
    "random": "values by chance",
    "grid": "every combination once; a range needs a `step`",
    "brute_force": "every combination once, in an order by chance",
    "tpe": "values like those that scored well (tree-structured Parzen estimator)",
    "gp": "the most promising by a Gaussian process",
    "cmaes": "evolution of a normal distribution; needs pluglab-sweep[cmaes]",
    "nsga_ii": "a genetic search, for several objectives",
    "nsga_iii": "the same for many objectives",
    "qmc": "values spread evenly (quasi-Monte Carlo)",
}
PRUNERS = {
    "median": "stops a trial that is behind the median of the others at its step",
    "percentile": "stops a trial that is not among the best so many percent",
    "successive_halving": "stops all but the best part of the trials at each rung",
    "hyperband": "successive halving with several lengths",
    "threshold": "stops a trial whose score leaves a range",
    "patient": "waits before it believes another pruner",
    "wilcoxon": "stops a trial that a signed-rank test finds worse than the best",
}
PAPERS = {
    "tpe": "Bergstra et al. 2011",
    "cmaes": "arXiv:1604.00772",
    "nsga_ii": "Deb et al. 2002",
    "nsga_iii": "Deb and Jain 2014",
    "successive_halving": "arXiv:1810.05934",
    "hyperband": "arXiv:1603.06560",
}


def lab_register(registry: Registrar) -> None:
    """The table `[sweep]`, and what it may name."""
    here = "pluglab_sweep"
    sampler, pruner = f"{here}.samplers:MakesSampler", "optuna.pruners:BasePruner"
    what = "chooses the values of the next trial of a sweep"
    registry.kind("sweep_sampler", protocol=sampler, summary=what, function=True, signature_options=True)
    what = "stops trials of a sweep that do not promise much"
    registry.kind("sweep_pruner", protocol=pruner, summary=what, signature_options=True)
    for name, summary in SAMPLERS.items():
        add = registry.add
        add("sweep_sampler", name, f"{here}.samplers:{name}", summary=summary, paper=PAPERS.get(name, ""))
    for name, summary in PRUNERS.items():
        add = registry.add
        add("sweep_pruner", name, f"{here}.pruners:{name}", summary=summary, paper=PAPERS.get(name, ""))
    what = "what `lab sweep` varies, and what counts"
    registry.add("recipe_table", "sweep", f"{here}.options:Sweep", summary=what)
    what = "reports the scores of a trial to its sweep, and ends a trial that is pruned"
    registry.add("observer", "sweep_trial", f"{here}.observer:TrialObserver", summary=what)
    what = "trials of a sweep: the best, the history, which options matter"
    registry.add("report_section", "sweep", f"{here}.section:SweepSection", summary=what)


def lab_commands(app: typer.Typer) -> None:
    """The command `lab sweep`."""
    command.add(app)
