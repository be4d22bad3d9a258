"""What this distribution registers."""

from pluglab.registry import Registrar


def lab_register(registry: Registrar) -> None:
    """Evaluators of classifiers, of features and of training itself."""
    add, package = registry.add, "pluglab_metrics"
    add("evaluator", "accuracy", f"{package}.accuracy:Accuracy", summary="right predictions, per class too")
    add(
        "evaluator",
        "latent_tsne",
        f"{package}.tsne:LatentTSNE",
        summary="features in the plane, by class and by domain",
        paper="van der Maaten and Hinton 2008",
    )
    add(
        "evaluator",
        "learning_curves",
        f"{package}.curves:LearningCurves",
        summary="losses and scores against steps",
    )
    add(
        "evaluator",
        "proxy_a_distance",
        f"{package}.distance:ProxyADistance",
        summary="how well a linear classifier tells two domains apart",
        paper="arXiv:1505.07818",
    )
    add(
        "evaluator",
        "reconstructions",
        f"{package}.reconstructions:Reconstructions",
        summary="images above their reconstructions",
    )
