"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

import typer

from pluglab import Registrar
from pluglab_metrics.commands import predict, score

HERE = "pluglab_metrics"
PRDC = "arXiv:1904.06991, arXiv:2002.09797"
EVALUATORS = [
    ("accuracy", "accuracy:Accuracy", "right predictions, overall and by class", ""),
    ("classification", "classification:Classification", "any metrics of predictions against labels", ""),
    ("latent_tsne", "tsne:LatentTSNE", "features in the plane", "van der Maaten and Hinton 2008"),
    ("learning_curves", "curves:LearningCurves", "losses and scores against steps", ""),
    (
        "proxy_a_distance",
        "distance:ProxyADistance",
        "how well a linear classifier tells domains apart",
        "arXiv:1505.07818",
    ),
    ("reconstructions", "reconstructions:Reconstructions", "images above their reconstructions", ""),
    ("generation_quality", "quality:GenerationQuality", "metrics of generated against real images", ""),
    (
        "sliced_wasserstein",
        "sliced:SlicedWasserstein",
        "distance of patches at each scale, without a network",
        "arXiv:1710.10196",
    ),
    (
        "nearest_training_images",
        "memorization:NearestTrainingImages",
        "whether samples are copies of training images",
        "arXiv:2004.05675",
    ),
    ("sample_grid", "samples:SampleGrid", "generated images, unchosen", ""),
    ("training_animation", "animation:TrainingAnimation", "the same samples as training goes on, a film", ""),
    ("sampled_with", "sampled_with:SampledWith", "any evaluator, with other options of sampling", ""),
    ("translated", "translated:Translated", "any evaluator of generated images, of translated ones", ""),
    ("interpolation", "samples:Interpolation", "images between two latents", ""),
]
METRICS = [
    ("fid", "frechet:FID", "Fréchet distance of Gaussians", "arXiv:1706.08500"),
    ("kid", "kernel:KID", "unbiased squared maximum mean discrepancy", "arXiv:1801.01401"),
    ("precision_recall", "neighbors:PrecisionRecall", "precision, recall, density, coverage", PRDC),
    ("inception_score", "classes:InceptionScore", "confident and varied classes", "arXiv:1606.03498"),
    ("class_accuracy", "classes:ClassAccuracy", "generated images read as the class asked for", ""),
]
EXTRACTORS = [
    ("inception", "inception:Inception", "the network of published scores", "arXiv:1512.00567"),
    (
        "digit_classifier",
        "digit_classifier:DigitClassifier",
        "a small classifier trained once on a data set",
        "",
    ),
    (
        "self_supervised",
        "self_supervised:SelfSupervised",
        "a small network trained once on images without labels",
        "arXiv:2002.05709",
    ),
]


def lab_register(registry: Registrar) -> None:
    """Evaluators, metrics of images and of predictions, and the kind `feature_extractor`."""
    protocol = f"{HERE}.extractors.base:FeatureExtractor"
    registry.kind("feature_extractor", protocol=protocol, summary="a network whose features scores compare")
    for kind, package, rows in (
        ("evaluator", HERE, EVALUATORS),
        ("metric", f"{HERE}.scores", METRICS),
        ("feature_extractor", f"{HERE}.extractors", EXTRACTORS),
    ):
        for name, target, summary, paper in rows:
            registry.add(kind, name, f"{package}.{target}", summary=summary, paper=paper)


def lab_commands(app: typer.Typer) -> None:
    """`lab predict` and `lab score`."""
    predict.add(app)
    score.add(app)
