"""MLflow for pluglab. Light to import: mlflow itself is loaded when a run is watched."""

from pluglab import Registrar


def lab_register(registry: Registrar) -> None:
    what = "runs in an MLflow store: options, scalars, pictures"
    registry.add("observer", "mlflow", "pluglab_mlflow.observer:MLflow", summary=what)
