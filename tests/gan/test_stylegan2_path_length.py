"""Path lengths against generators whose derivative is known."""

from __future__ import annotations

import pytest
import torch

from pluglab_gan.stylegan2_path_length import RATE, PathLength, path_lengths


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def linear(styles, matrices):
    """Images 3 x 4 x 4 that are the sum over blocks of style times matrix."""
    return torch.einsum("nbz,bzp->np", styles, matrices).reshape(-1, 3, 4, 4)


def test_a_linear_generator_has_the_length_of_its_matrix_times_the_direction():
    """J is the matrix A of each block, so |J^T y|^2 = |A y|^2 / (H W), a mean over the blocks."""
    styles, matrices, y = (
        normal(5, 2, 6).requires_grad_(),
        normal(2, 6, 48, seed=1),
        normal(5, 3, 4, 4, seed=2),
    )
    found = path_lengths(linear(styles, matrices), styles, y)
    through = torch.einsum("bzp,np->nbz", matrices, y.flatten(1))
    torch.testing.assert_close(found, (through.square().sum(2).mean(1) / 16).sqrt())


def test_an_isometry_has_length_one_on_average():
    """Orthonormal rows times sqrt(H W / Z): E |J^T y|^2 = tr(A A^T) / (H W) = 1."""
    rows = torch.linalg.qr(normal(48, 6)).Q.T * (16 / 6) ** 0.5
    styles = normal(4000, 1, 6).requires_grad_()
    lengths = path_lengths(linear(styles, rows[None]), styles, normal(4000, 3, 4, 4, seed=1))
    assert lengths.square().mean().item() == pytest.approx(1, rel=0.05)


def test_the_gradient_of_the_penalty_passes_gradcheck():
    """With respect to the weights of a generator that is not linear."""
    styles, y = normal(3, 2, 4).requires_grad_(), normal(3, 3, 4, 4, seed=2)

    def penalty(matrices):
        lengths = path_lengths(linear(styles, matrices).tanh(), styles, y)
        return PathLength().penalty(lengths, torch.tensor(0.5, dtype=torch.double), calls=0)

    matrices = normal(2, 4, 48, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(penalty, matrices)


def test_the_penalty_is_the_variance_around_a_mean_of_all_calls_that_later_only_follows():
    regularizer, batches = PathLength(), normal(4, 8).abs()
    for calls, lengths in enumerate(batches):
        penalty = regularizer.penalty(lengths, lengths.mean(), calls)
        mean = batches[: calls + 1].mean()
        torch.testing.assert_close(regularizer.mean, mean)
        torch.testing.assert_close(penalty, (lengths - mean).square().mean())
    before = regularizer.mean
    regularizer.penalty(batches[0], batches[0].mean(), calls=10_000)
    torch.testing.assert_close(regularizer.mean, (1 - RATE) * before + RATE * batches[0].mean())


def test_the_mean_takes_no_part_in_the_gradient():
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty = PathLength().penalty(lengths, lengths.mean(), calls=0)
    penalty.backward()
    assert lengths.grad.tolist() == [-1.0, 1.0]  # 2 (l - a) / N
