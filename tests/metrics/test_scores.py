"""Scores of given features, against closed forms, torchmetrics, torch-fidelity and scikit-learn."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.inception import InceptionScore as TorchmetricsScore
from torchmetrics.image.kid import poly_mmd

from pluglab.errors import RunError, UserError
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.scores.classes import inception_score
from pluglab_metrics.scores.frechet import Gaussian, RunningGaussian, frechet_distance
from pluglab_metrics.scores.kernel import squared_mmd
from pluglab_metrics.scores.neighbors import neighbor_scores


def draw(count, dimensions, seed, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=generator) / math.sqrt(dimensions)
    return torch.randn(count, dimensions, generator=generator) @ mix * scale + shift


def gaussian(rows):
    running = RunningGaussian()
    running.update(rows)
    return running.compute()


def scored(metric, real, made, labels=None):
    """The score of features given in uneven batches."""
    metric.reset()
    for rows, is_real in ((real, True), (made, False)):
        for index in torch.arange(len(rows.features)).tensor_split(7):
            logits = None if rows.logits is None else rows.logits[index]
            asked = None if labels is None or is_real else labels[index]
            metric.update(Features(rows.features[index], logits), real=is_real, labels=asked)
    return metric.compute()


# Fréchet distance ----------------------------------------------------------------------------------------


def test_running_gaussian_equals_numpy_far_from_the_origin():
    rows = draw(500, 6, 0, shift=1e4).double()
    running = RunningGaussian()
    for part in rows.split(64):
        running.update(part)
    found = running.compute()
    torch.testing.assert_close(found.mean, rows.mean(0))
    torch.testing.assert_close(found.covariance, rows.T.cov(), rtol=1e-9, atol=1e-9)


def test_frechet_distance_of_diagonal_gaussians():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 1.0, 0.25]).double()
    mean = torch.tensor([1.0, -2.0, 0.5]).double()
    expected = mean.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    found = frechet_distance(Gaussian(mean, a.diag(), 9), Gaussian(torch.zeros(3).double(), b.diag(), 9))
    assert found == pytest.approx(expected.item(), rel=1e-12)


def test_frechet_distance_of_equal_covariances_is_the_squared_mean_distance():
    rows = draw(400, 20, 1).double()
    assert frechet_distance(gaussian(rows), gaussian(rows + 0.3)) == pytest.approx(20 * 0.09, rel=1e-9)
    assert frechet_distance(gaussian(rows), gaussian(rows)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [500, 30], ids=["full rank", "fewer images than dimensions"])
def test_frechet_distance_equals_torchmetrics(count):
    a, b = gaussian(draw(count, 64, 2)), gaussian(draw(count, 64, 3, scale=1.5, shift=0.2))
    expected = _compute_fid(a.mean, a.covariance, b.mean, b.covariance).item()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_fid_equals_torch_fidelity(build):
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    real, made = draw(600, 48, 4), draw(500, 48, 5, scale=0.8)
    statistics = [fidelity.fid_features_to_statistics(rows) for rows in (made, real)]
    expected = fidelity.fid_statistics_to_metric(*statistics, verbose=False)
    found = scored(build("metric", "fid"), Features(real), Features(made))
    assert found["fid"] == pytest.approx(next(iter(expected.values())), rel=1e-5)


def test_fid_warns_of_fewer_images_than_dimensions(build):
    with pytest.warns(UserWarning, match="20 images in 48 dimensions"):
        scored(build("metric", "fid"), Features(draw(100, 48, 0)), Features(draw(20, 48, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored(build("metric", "fid"), Features(draw(100, 48, 0)), Features(draw(60, 48, 1)))


def test_fid_of_one_image_is_an_error(build):
    metric = build("metric", "fid")
    metric.update(Features(draw(1, 4, 0)), real=True)
    with pytest.raises(RunError, match="at least two images"):
        metric.compute()


# KID -----------------------------------------------------------------------------------------------------


def test_squared_mmd_equals_torchmetrics():
    x, y = draw(80, 16, 0).double(), draw(80, 16, 1, shift=0.5).double()
    assert squared_mmd(x, y) == pytest.approx(poly_mmd(x, y).item(), rel=1e-9)


def test_squared_mmd_is_unbiased():
    x, y = draw(4000, 8, 0), draw(4000, 8, 0)
    values = torch.tensor([squared_mmd(a, b) for a, b in zip(x.split(20), y.flip(0).split(20), strict=True)])
    assert abs(values.mean().item()) < 3 * values.std().item() / math.sqrt(len(values))


def test_kid_of_all_images_equals_torch_fidelity(build):
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    real, made = draw(90, 12, 0), draw(90, 12, 1, shift=0.4)
    options = {"kid_subsets": 1, "kid_subset_size": 90, "verbose": False}
    expected = fidelity.kid_features_to_metric(made, real, **options)
    found = scored(build("metric", "kid", subsets=1, subset_size=90), Features(real), Features(made))
    assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert found["kid_std"] == 0


def test_kid_over_subsets_is_fixed_by_its_seed_and_near_the_whole(build):
    real, made = Features(draw(500, 12, 0)), Features(draw(400, 12, 1, shift=0.4))
    found = scored(build("metric", "kid", subset_size=100), real, made)
    assert found == scored(build("metric", "kid", subset_size=100), real, made)
    whole = squared_mmd(real.features, made.features)
    assert abs(found["kid"] - whole) < 4 * found["kid_std"] / 10


# Nearest neighbors ----------------------------------------------------------------------------------------


def test_precision_and_recall_equal_torch_fidelity(build):
    fidelity = pytest.importorskip("torch_fidelity.metric_prc")
    real, made = draw(1300, 6, 0), draw(1200, 6, 1)
    options = {"prc_neighborhood": 3, "prc_batch_size": 1000, "save_cpu_ram": False, "verbose": False}
    expected = fidelity.prc_features_to_metric(made, real, **options)
    found = scored(build("metric", "precision_recall", k=3), Features(real), Features(made))
    assert 0 < expected["precision"] < 1 and 0 < expected["recall"] < 1
    assert found["precision"] == pytest.approx(expected["precision"], abs=1e-6)
    assert found["recall"] == pytest.approx(expected["recall"], abs=1e-6)


def test_density_and_coverage_equal_their_definitions():
    real, made = draw(1100, 4, 0), draw(150, 4, 1, shift=0.5)
    reach = NearestNeighbors(n_neighbors=6).fit(real).kneighbors(real)[0][:, 5]
    inside = np.linalg.norm(real.numpy()[:, None] - made.numpy()[None], axis=2) <= reach[:, None]
    found = neighbor_scores(real, made, k=5)
    assert found["density"] == pytest.approx(inside.sum() / (5 * len(made)), rel=1e-9)
    assert found["coverage"] == pytest.approx(inside.any(1).mean(), rel=1e-9)


def test_neighbors_of_the_same_and_of_far_images():
    rows = draw(200, 5, 0)
    same = neighbor_scores(rows, rows, k=5)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    far = neighbor_scores(rows, rows + 1e3, k=5)
    assert set(far.values()) == {0.0}
    with pytest.raises(UserError, match="more than 5 images"):
        neighbor_scores(rows[:5], rows, k=5)


# Classes ---------------------------------------------------------------------------------------------------


def test_inception_score_of_known_predictions():
    sure = 100 * torch.eye(4).repeat(25, 1)
    assert inception_score(sure, 1)[0] == pytest.approx(4)
    assert inception_score(torch.zeros(100, 4), 1)[0] == pytest.approx(1)
    assert inception_score(sure[:1].repeat(100, 1), 1)[0] == pytest.approx(1)


def test_inception_score_equals_torchmetrics_and_torch_fidelity(build):
    logits = 3 * draw(300, 10, 0)
    expected = TorchmetricsScore(feature=nn.Identity(), splits=1)
    expected.update(logits)
    assert inception_score(logits, 1)[0] == pytest.approx(expected.compute()[0].item(), rel=1e-5)
    fidelity = pytest.importorskip("torch_fidelity.metric_isc")
    parts = fidelity.isc_features_to_metric(logits, splits=10, shuffle=False)
    found = scored(build("metric", "inception_score"), Features(logits, logits), Features(logits, logits))
    assert found["inception_score"] == pytest.approx(parts["inception_score_mean"], rel=1e-9)
    assert found["inception_score_std"] == pytest.approx(parts["inception_score_std"], rel=1e-9)


def test_class_accuracy_counts_the_classes_asked_for(build):
    labels = torch.arange(100) % 10
    logits = nn.functional.one_hot(torch.where(labels < 3, (labels + 1) % 10, labels)).float()
    made = Features(draw(100, 2, 0), logits)
    assert scored(build("metric", "class_accuracy"), made, made, labels) == {
        "class_accuracy": pytest.approx(70)
    }


@pytest.mark.parametrize("name", ["inception_score", "class_accuracy"])
def test_scores_of_classes_need_logits(build, name):
    rows = Features(draw(30, 2, 0))
    with pytest.raises(UserError, match="needs class logits"):
        scored(build("metric", name), rows, rows, torch.zeros(30, dtype=torch.int64))


def test_reset_forgets(build):
    a, b, c = (Features(draw(60, 4, i), draw(60, 4, i)) for i in range(3))
    labels = torch.arange(60) % 4
    options = {"inception_score": {"splits": 2}}
    for name in ("fid", "kid", "precision_recall", "inception_score", "class_accuracy"):
        metric = build("metric", name, **options.get(name, {}))
        fresh = scored(build("metric", name, **options.get(name, {})), a, b, labels)
        scored(metric, a, c, labels)
        assert scored(metric, a, b, labels) == fresh


def test_inception_score_of_classes_that_no_image_has():
    """A class 1,000 logits behind has the probability 0, and counts as 0: two sure classes score 2."""
    logits = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 1000.0, -1000.0]]).repeat(5, 1)
    assert inception_score(logits, 1) == (pytest.approx(2), 0)
