"""Shipped classes satisfy the protocols of their kinds: mypy checks each line (`make lint`); nothing runs."""

from __future__ import annotations

from pluglab.capabilities import (
    Classifies,
    Diagnoses,
    Embeds,
    Generates,
    HasNetworks,
    HasSampling,
    Reconstructs,
    Samples,
    SamplesClasses,
    Traces,
)
from pluglab.launchers.in_turn import InTurn
from pluglab.launchers.processes import Processes
from pluglab.observers.console import ConsoleObserver
from pluglab.observers.tensorboard.observer import TensorBoardObserver
from pluglab.protocols import (
    Checks,
    Dataset,
    Evaluator,
    Launcher,
    Observer,
    Prepares,
    Schedule,
    Trainer,
    Transform,
)
from pluglab.training.schedules import InverseDecay, OneCycle
from pluglab_autoencoder.importance import ImportanceWeightedLikelihood
from pluglab_autoencoder.vae import VAE
from pluglab_datasets.image_folder import ImageFolder
from pluglab_datasets.mnist import MNIST
from pluglab_datasets.transforms import RandomAffine, Standardize
from pluglab_diffusion.ddpm import DDPM
from pluglab_diffusion.edm import EDM
from pluglab_diffusion.flow_matching import FlowMatching
from pluglab_domain_adaptation.adda import ADDA
from pluglab_domain_adaptation.dann import DANN
from pluglab_domain_adaptation.dsn import DSN
from pluglab_domain_adaptation.validators import Validators
from pluglab_gan.acgan import ACGAN
from pluglab_gan.dcgan import DCGAN
from pluglab_gan.stylegan2 import StyleGAN2Lite
from pluglab_metrics.accuracy import Accuracy
from pluglab_metrics.quality import GenerationQuality


def trainers(
    dann: DANN, dcgan: DCGAN, ddpm: DDPM, flow: FlowMatching, edm: EDM, vae: VAE, adda: ADDA
) -> list[Trainer]:
    return [dann, dcgan, ddpm, flow, edm, vae, adda]


def capable(
    acgan: ACGAN, ddpm: DDPM, dsn: DSN, vae: VAE, stylegan: StyleGAN2Lite, dann: DANN
) -> tuple[list[Classifies], list[Embeds], list[Samples], list[Generates], list[HasNetworks]]:
    return [acgan, dann, dsn], [dann, dsn, vae], [acgan, ddpm, vae], [acgan, ddpm, vae], [acgan, ddpm, dann]


def seldom(
    acgan: ACGAN, ddpm: DDPM, dsn: DSN, vae: VAE, stylegan: StyleGAN2Lite
) -> tuple[list[SamplesClasses], list[HasSampling], list[Reconstructs], list[Traces], list[Diagnoses]]:
    return [acgan, ddpm], [ddpm, stylegan], [dsn, vae], [ddpm], [acgan, stylegan]


def evaluators(
    accuracy: Accuracy,
    validators: Validators,
    quality: GenerationQuality,
    bound: ImportanceWeightedLikelihood,
) -> tuple[list[Evaluator], list[Checks], list[Prepares]]:
    return [accuracy, validators, quality, bound], [accuracy, validators, quality, bound], [quality]


def data(
    mnist: MNIST, folder: ImageFolder, affine: RandomAffine, standardize: Standardize
) -> tuple[list[Dataset], list[Transform]]:
    return [mnist, folder], [affine, standardize]


def machinery(
    cycle: OneCycle,
    decay: InverseDecay,
    console: ConsoleObserver,
    curves: TensorBoardObserver,
    in_turn: InTurn,
    processes: Processes,
) -> tuple[list[Schedule], list[Observer], list[Launcher]]:
    return [cycle, decay], [console, curves], [in_turn, processes]
