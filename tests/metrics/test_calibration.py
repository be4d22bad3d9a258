"""The expected calibration error, against torchmetrics and by hand."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from pluglab_metrics.calibration import confidence_of, expected_calibration_error, reliability


def test_the_error_by_hand() -> None:
    """Two of four predictions of 0.9 are right, and one of one of 0.55: 4/5 x 0.4 + 1/5 x 0.45."""
    confidence = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.55])
    right = torch.tensor([True, True, False, False, True])
    bins = reliability(confidence, right, bins=10)
    assert expected_calibration_error(bins) == pytest.approx(0.8 * 0.4 + 0.2 * 0.45)
    (low,) = (one for one in bins if one.count == 1)
    assert (low.low, low.high, low.accuracy) == (0.5, 0.6, 1.0)
    assert [one.count for one in bins] == [0, 0, 0, 0, 0, 1, 0, 0, 4, 0]
    assert bins[0].accuracy is None


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_it_is_that_of_torchmetrics(bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = (2 * torch.randn(2000, 7, generator=generator)).softmax(1)
    labels = torch.randint(7, (2000,), generator=generator)
    wanted = MulticlassCalibrationError(7, n_bins=bins, norm="l1")(probabilities, labels).item()
    found = expected_calibration_error(reliability(*confidence_of(probabilities, labels), bins))
    assert found == pytest.approx(wanted, abs=1e-5)


def test_what_is_certain_and_right_is_calibrated() -> None:
    ones = torch.ones(3)
    assert expected_calibration_error(reliability(ones, ones.bool())) == 0
    assert expected_calibration_error(reliability(ones, torch.zeros(3).bool())) == 1
