"""Optimizers and schedules as components, so that every trainer takes any of them."""

from pluglab.plugins.registry import Registrar


def lab_register(registry: Registrar) -> None:
    """Kinds `optimizer` and `schedule`."""
    add, module = registry.add, "pluglab.training.trainer"
    add("optimizer", "adam", f"{module}:adam", summary="Adam", paper="arXiv:1412.6980")
    add("optimizer", "adamw", f"{module}:adamw", summary="Adam, decoupled decay", paper="arXiv:1711.05101")
    add("optimizer", "sgd", f"{module}:sgd", summary="SGD with momentum")
    add("schedule", "constant", f"{module}:Constant", summary="always 1")
    add("schedule", "inverse_decay", f"{module}:InverseDecay", summary="DANN rate", paper="arXiv:1505.07818")
    add("schedule", "one_cycle", f"{module}:OneCycle", summary="up, then down", paper="arXiv:1708.07120")
    add("schedule", "step_decay", f"{module}:StepDecay", summary="drops at even intervals")
    add("schedule", "sigmoid_ramp", f"{module}:SigmoidRamp", summary="0 to 1", paper="arXiv:1505.07818")
