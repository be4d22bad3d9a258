"""What the core itself registers: the kinds that it knows, optimizers, schedules, observers, launchers."""

from __future__ import annotations

from pluglab.plugins.registry import Registrar

PROTOCOLS = "pluglab.protocols"
KINDS = [
    ("trainer", f"{PROTOCOLS}:Trainer", "a training method"),
    ("dataset", f"{PROTOCOLS}:Dataset", "a source of images"),
    ("transform", f"{PROTOCOLS}:Transform", "preprocessing or augmentation of a batch"),
    ("evaluator", f"{PROTOCOLS}:Evaluator", "looks at a trained model and says something about it"),
    ("schedule", f"{PROTOCOLS}:Schedule", "a multiplier over training progress"),
    ("launcher", f"{PROTOCOLS}:Launcher", "brings the runs of an experiment to their ends"),
    ("observer", f"{PROTOCOLS}:Observer", "watches a run"),
    ("recipe_table", None, "a table of a recipe that a plugin's command reads"),
]
OPTIMIZERS = [
    ("adadelta", "adaptive rates without a learning rate", "arXiv:1212.5701"),
    ("adagrad", "rates that fall with the squared gradients", "Duchi et al. 2011"),
    ("adam", "Adam", "arXiv:1412.6980"),
    ("adamax", "Adam with the infinity norm", "arXiv:1412.6980"),
    ("adamw", "Adam, decoupled decay", "arXiv:1711.05101"),
    ("nadam", "Adam with Nesterov momentum", "Dozat 2016"),
    ("radam", "Adam, rectified at the start", "arXiv:1908.03265"),
    ("rmsprop", "gradients over their root mean square", "Hinton 2012"),
    ("sgd", "SGD with momentum", ""),
]
SCHEDULES = [
    ("constant", "Constant", "always 1", ""),
    ("inverse_decay", "InverseDecay", "DANN rate", "arXiv:1505.07818"),
    ("one_cycle", "OneCycle", "up, then down", "arXiv:1708.07120"),
    ("step_decay", "StepDecay", "drops at even intervals", ""),
    ("sigmoid_ramp", "SigmoidRamp", "0 to 1", "arXiv:1505.07818"),
]


def lab_register(registry: Registrar) -> None:
    """Kinds first, then the components of the core."""
    for name, protocol, summary in KINDS:
        registry.kind(name, protocol=protocol, summary=summary)
    what, protocol = "a score of generated images or of predictions", f"{PROTOCOLS}:Metric"
    registry.kind("metric", protocol=protocol, summary=what, signature_options=True)
    what, protocol = "makes the optimizer of some parameters", f"{PROTOCOLS}:OptimizerFactory"
    registry.kind("optimizer", protocol=protocol, summary=what, function=True, signature_options=True)

    for name, summary, paper in OPTIMIZERS:
        registry.add("optimizer", name, f"pluglab.training.optimizers:{name}", summary=summary, paper=paper)
    for name, target, summary, paper in SCHEDULES:
        where = f"pluglab.training.schedules:{target}"
        registry.add("schedule", name, where, summary=summary, paper=paper)

    observers, launchers = "pluglab.observers", "pluglab.launchers"
    add = registry.add
    add(
        "observer", "console", f"{observers}.console:ConsoleObserver", summary="progress and scores on stderr"
    )
    what = "scalars, pictures and tables for TensorBoard"
    add("observer", "tensorboard", f"{observers}.tensorboard.observer:TensorBoardObserver", summary=what)
    what = "one run after another, in this process"
    add("launcher", "in_turn", f"{launchers}.in_turn:InTurn", summary=what)
    what = "several runs at a time, each a process of this machine"
    add("launcher", "processes", f"{launchers}.processes:Processes", summary=what)
