"""A model that draws its training images again is told from one that makes new ones."""

import pytest
import torch

from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab_metrics.memorization import Nearest, share_nearer
from tests.evaluation import looked


class Drawer:
    """Draws the images that it is given, some changed on the way."""

    def __init__(self, pixels, change=lambda images: images):
        self.images, self.change = to_float(pixels), change

    def sample(self, n, labels, generator):
        return self.change(self.images[torch.randint(len(self.images), (n,), generator=generator)])


@pytest.fixture(scope="module")
def thirds(digits):
    """Training images, held-out images, and others of the same kind."""
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    return [digits.pixels[part] for part in order.tensor_split(3)]


@pytest.fixture
def shares(thirds, build, context):
    """`shares(model)`: percent nearer, percent copied, and the whole evaluation."""

    def shares(model, **options):
        class Splits(dict):
            """What a role's data set has."""

        train, test = (Images(pixels) for pixels in thirds[:2])
        evaluator = build("evaluator", "nearest_training_images", n=400, **options)
        found = looked(evaluator, model, {"train": {"train": train, "test": test}}, context).found
        return [*found.scalars.values(), found]

    return shares


def test_a_model_that_copies_is_told(thirds, shares):
    nearer, copied, found = shares(Drawer(thirds[0]))
    assert nearer > 99 and copied > 99
    assert list(found.scalars) == ["nearer_400/pixels", "copied_400/pixels"]


def test_new_images_are_not_taken_for_copies(thirds, shares):
    nearer, copied, _ = shares(Drawer(thirds[2]))
    assert nearer == pytest.approx(50, abs=6) and copied < 0.5


def test_half_a_copy_is_half_told(thirds, shares):
    half = torch.cat([thirds[0][:300], thirds[2][:300]])
    nearer, copied, _ = shares(Drawer(half))
    assert nearer == pytest.approx(75, abs=6) and copied == pytest.approx(50, abs=8)


def test_copies_with_a_little_noise_are_told_as_well(thirds, shares):
    generator = torch.Generator().manual_seed(1)
    nearer, copied, _ = shares(
        Drawer(thirds[0], lambda x: x + 0.05 * torch.randn(x.shape, generator=generator))
    )
    assert nearer > 99 and copied > 95


def test_blur_moves_the_first_number_and_makes_no_copies(thirds, shares):
    """Why there are two: what is unlike real images in another way is not as near as they are."""
    nearer, copied, _ = shares(Drawer(thirds[2], lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1)))
    assert nearer != pytest.approx(50, abs=10) and copied < 0.5


def test_in_features_of_an_extractor(thirds, shares):
    nearer, copied, found = shares(Drawer(thirds[0]), feature_extractor="pool")
    assert nearer > 99 and copied > 90
    assert list(found.scalars) == ["nearer_400/pool", "copied_400/pool"]
    assert found.protocol["feature extractor"] == "pool"


def test_without_held_out_images_only_copies_are_counted(thirds, shares):
    copied, found = shares(Drawer(thirds[0]), held_out="")
    assert copied > 99 and list(found.scalars) == ["copied_400/pixels"]


def test_the_pictures_show_the_very_training_image(thirds, shares):
    found = shares(Drawer(thirds[0][5:6]), shown=3)[-1]
    assert {row[0] for row in found.figures["closest"].data["training_rows"]} == {5}
    assert found.figures["samples"].data["sample"] == [0, 1, 2]


def test_a_split_that_there_is_not_is_told_before_the_training(build, digits):
    from tests.evaluation import role_data

    evaluator = build("evaluator", "nearest_training_images", held_out="dev")
    with pytest.raises(UserError, match="no split 'dev'") as told:
        evaluator.check(Drawer(digits.pixels), role_data({"train": digits}, checking=True))
    assert any("held_out" in line for line in told.value.help)


def test_the_nearest_of_all_batches():
    """Against scikit-learn."""
    from sklearn.neighbors import NearestNeighbors

    generator = torch.Generator().manual_seed(0)
    rows, others = torch.randn(20, 5, generator=generator), torch.randn(300, 5, generator=generator)
    found = Nearest(rows, 3)
    for numbers in torch.arange(300).split(70):
        found.update(others[numbers], numbers)
    distances, index = NearestNeighbors(n_neighbors=3).fit(others).kneighbors(rows)
    assert found.index.tolist() == index.tolist()
    torch.testing.assert_close(found.distances.double(), torch.tensor(distances), rtol=1e-4, atol=1e-5)


def test_the_share_of_pairs_is_that_of_mann_and_whitney():
    from scipy.stats import mannwhitneyu

    made, held_out = torch.tensor([1.0, 2, 2, 5]), torch.tensor([2.0, 3, 4, 1, 7])
    expected = mannwhitneyu(held_out, made).statistic / 20
    assert share_nearer(made, held_out) == pytest.approx(expected)
