"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab import Registrar
from pluglab.capabilities import Classifies, Embeds, HasNetworks, Reconstructs

_HERE = "pluglab_domain_adaptation"
_ADAPTS = (Classifies, Embeds, HasNetworks)


def lab_register(registry: Registrar) -> None:
    """Trainers of domain adaptation, their encoders, target losses and label-free validators."""
    kind = registry.kind
    what = "the networks of an adaptation method"
    kind("encoder", protocol=f"{_HERE}.encoders:Encoder", summary=what, checks=f"{_HERE}.checks")
    kind("decoder", protocol=f"{_HERE}.encoders:Decoder", summary="from features back to images")
    what = "a loss of the predictions for unlabeled target images"
    kind("target_loss", protocol=f"{_HERE}.target_losses:TargetLoss", summary=what)
    _trainers(registry)
    _encoders(registry)
    _target_losses(registry)
    scores = "label-free scores of the target, to pick a checkpoint by"
    registry.add("evaluator", "validators", f"{_HERE}.validators:Validators", summary=scores)


def _trainers(registry: Registrar) -> None:
    for name, target, summary, paper in (
        ("source_only", "baselines:SourceOnly", "supervised on the source alone", ""),
        ("target_only", "baselines:TargetOnly", "supervised on the target", ""),
        ("adabn", "adabn:AdaBN", "source only, with the target's batch-norm statistics", "arXiv:1603.04779"),
        ("dann", "dann:DANN", "domain-adversarial training by gradient reversal", "arXiv:1505.07818"),
        ("dsn", "dsn:DSN", "shared and private features, and a decoder", "arXiv:1608.06019"),
        ("adda", "adda:ADDA", "a target encoder that fools a discriminator", "arXiv:1702.05464"),
        ("cdan", "cdan:CDAN", "DANN whose discriminator sees the class, too", "arXiv:1705.10667"),
        ("deep_coral", "deep_coral:DeepCORAL", "equal covariances in both domains", "arXiv:1607.01719"),
        ("mcd", "mcd:MCD", "features on which two classifiers agree", "arXiv:1712.02560"),
        ("pada", "pada:PADA", "DANN for a target that lacks classes", "arXiv:1808.04205"),
        ("shot", "shot:SHOT", "a target encoder for a fixed classifier, source-free", "arXiv:2002.08546"),
    ):
        can = (*_ADAPTS, Reconstructs) if name == "dsn" else _ADAPTS
        registry.add("trainer", name, f"{_HERE}.{target}", summary=summary, paper=paper, can=can)


def _encoders(registry: Registrar) -> None:
    add, module = registry.add, f"{_HERE}.encoders"
    add("encoder", "modern", f"{module}.modern:Modern", summary="six 3x3 convolutions: the default")
    add("encoder", "dann_i", f"{module}.dann:DannI", summary="two 5x5 convolutions, 32-48")
    add("encoder", "dann_ii", f"{module}.dann:DannII", summary="two 5x5 convolutions, 64-48, Mish heads")
    add("encoder", "dann_iii", f"{module}.dann:DannIII", summary="five 3x3 convolutions, 64 to 512")
    add("encoder", "lenet", f"{module}.adda:LeNet", summary="LeNet of ADDA", paper="arXiv:1702.05464")
    dsn, paper = f"{module}.dsn", "arXiv:1608.06019"
    add("encoder", "dsn_paper", f"{dsn}:DsnPaper", summary="two 5x5 convolutions, a code of 100", paper=paper)
    add("decoder", "dsn_paper", f"{dsn}:DsnDecoder", summary="four convolutions, one upsampling", paper=paper)


def _target_losses(registry: Registrar) -> None:
    for name, target, summary, paper in (
        ("entropy", "Entropy", "sure predictions", ""),
        ("information_maximization", "InformationMaximization", "sure and diverse", "arXiv:2002.08546"),
        ("pseudo_labels", "PseudoLabels", "sure predictions become labels", "arXiv:2001.07685"),
        ("nuclear_norm", "NuclearNorm", "sure and diverse by singular values", "arXiv:2003.12237"),
        ("class_confusion", "ClassConfusion", "classes that are not confused", "arXiv:1912.03699"),
    ):
        where = f"{_HERE}.target_losses:{target}"
        registry.add("target_loss", name, where, summary=summary, paper=paper)
