"""What this distribution registers."""

from pluglab.plugins.registry import Registrar


def lab_register(registry: Registrar) -> None:
    """Kinds `evaluator`, `metric` and `feature_extractor`."""
    add, package = registry.add, "pluglab_metrics"
    dann, tsne = "arXiv:1505.07818", "van der Maaten and Hinton 2008"

    kind = "evaluator"
    add(kind, "accuracy", f"{package}.accuracy:Accuracy", summary="right predictions, overall and by class")
    add(kind, "latent_tsne", f"{package}.tsne:LatentTSNE", summary="features in the plane", paper=tsne)
    add(
        kind, "learning_curves", f"{package}.curves:LearningCurves", summary="losses and scores against steps"
    )
    what = "how well a linear classifier tells two domains apart"
    add(kind, "proxy_a_distance", f"{package}.distance:ProxyADistance", summary=what, paper=dann)
    what = "images above their reconstructions"
    add(kind, "reconstructions", f"{package}.reconstructions:Reconstructions", summary=what)
    what = "metrics of generated against real images"
    add(kind, "generation_quality", f"{package}.quality:GenerationQuality", summary=what)
    what = "distance of patches at each scale, without a network"
    swd = "arXiv:1710.10196"
    add(kind, "sliced_wasserstein", f"{package}.sliced:SlicedWasserstein", summary=what, paper=swd)
    add(kind, "sample_grid", f"{package}.samples:SampleGrid", summary="generated images, unchosen")
    what = "the same samples as training goes on, a film"
    add(kind, "training_animation", f"{package}.animation:TrainingAnimation", summary=what)
    add(kind, "interpolation", f"{package}.samples:Interpolation", summary="images between two latents")

    kind, package = "metric", "pluglab_metrics.scores"
    what = "Fréchet distance of Gaussians"
    add(kind, "fid", f"{package}.frechet:FID", summary=what, paper="arXiv:1706.08500")
    what = "unbiased squared maximum mean discrepancy"
    add(kind, "kid", f"{package}.kernel:KID", summary=what, paper="arXiv:1801.01401")
    what = "precision, recall, density, coverage"
    prdc = "arXiv:1904.06991, arXiv:2002.09797"
    add(kind, "precision_recall", f"{package}.neighbours:PrecisionRecall", summary=what, paper=prdc)
    what = "sure and varied classes"
    add(kind, "inception_score", f"{package}.classes:InceptionScore", summary=what, paper="arXiv:1606.03498")
    what = "generated images read as the class asked for"
    add(kind, "class_accuracy", f"{package}.classes:ClassAccuracy", summary=what)

    kind, package = "feature_extractor", "pluglab_metrics.extractors"
    what = "the network of published scores"
    add(kind, "inception", f"{package}.inception:Inception", summary=what, paper="arXiv:1512.00567")
    what = "a small classifier trained once on a data set"
    add(kind, "digit_classifier", f"{package}.digit_classifier:DigitClassifier", summary=what)
