import pytest
import torch

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.plugins.registry import Registrar
from pluglab.recipe.resolve import make
from tests.registries import registry_of


class TinyDigits:
    """scikit-learn's digits in two splits."""

    images: Images

    def prepare(self, context):
        """They are at hand."""

    def split(self, name):
        part = slice(0, 1400) if name == "train" else slice(1400, None)
        labels = None if self.images.labels is None else self.images.labels[part]
        return Images(self.images.pixels[part], labels, self.images.classes)


@pytest.fixture
def tiny(digits):
    return type("Tiny", (TinyDigits,), {"images": digits})


@pytest.fixture
def classifier(tiny):
    registry, registrar = registry_of("metrics"), Registrar("tiny")
    registrar.add("dataset", "tiny", tiny)
    registry.extend(registrar.entries)

    def build(**options):
        options = {"dataset": "tiny", "steps": 120, "shift": 0, **options}
        return make(registry, "feature_extractor", "digit_classifier", **options).build()

    return build


def test_trains_once_and_is_cached_with_its_accuracy(classifier, tiny, digits, data_context):
    first, second = classifier(), classifier()
    with torch.no_grad():  # as in an evaluation
        first.prepare(data_context)
    (path,) = (data_context.cache / "classifiers").iterdir()
    trained = path.stat().st_mtime_ns
    second.prepare(data_context)
    assert path.stat().st_mtime_ns == trained
    found, again = first(digits.pixels[1400:]), second(digits.pixels[1400:])
    assert torch.equal(found.features, again.features) and found.features.shape == (397, 128)
    assert found.features.square().mean().sqrt().item() == pytest.approx(1, rel=1e-4)
    accuracy = 100 * (found.logits.argmax(1) == digits.labels[1400:]).double().mean().item()
    assert accuracy > 90
    assert f"{accuracy:.2f} % of 397" in first.notes["network's own accuracy"]
    assert first.classes == digits.classes and first.identity == second.identity


def test_other_options_are_another_classifier(classifier, data_context):
    first, second = classifier(steps=2), classifier(steps=2, seed=1)
    first.prepare(data_context)
    second.prepare(data_context)
    assert first.identity != second.identity


def test_other_images_or_labels_of_the_same_name_are_another_classifier(
    classifier, tiny, digits, data_context
):
    """As of another data root, or of a folder whose files were exchanged: labels are swapped in one."""
    first, second = classifier(), classifier()
    first.prepare(data_context)
    tiny.images = Images(digits.pixels, 9 - digits.labels, digits.classes)
    second.prepare(data_context)
    right = 9 - digits.labels[1400:]
    accuracy = 100 * (second(digits.pixels[1400:]).logits.argmax(1) == right).double().mean().item()
    assert accuracy > 90
    assert f"{accuracy:.2f} % of 397" in second.notes["network's own accuracy"]
    assert first.identity != second.identity


def test_another_test_split_is_another_unit_of_the_features(classifier, tiny, digits, data_context):
    """The reference features in the cache are in that unit."""
    first, second = classifier(steps=2), classifier(steps=2)
    first.prepare(data_context)
    pixels = digits.pixels.clone()
    pixels[1400:] = 255 - pixels[1400:]
    tiny.images = Images(pixels, digits.labels, digits.classes)
    second.prepare(data_context)
    assert first.record["weights"] == second.record["weights"] and first.identity != second.identity


def test_training_leaves_the_random_numbers_alone(classifier, data_context):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    classifier(steps=2, shift=2).prepare(data_context)
    assert torch.equal(torch.rand(3), expected)


def test_a_damaged_cache_is_trained_again(classifier, data_context):
    classifier(steps=2).prepare(data_context)
    path = next((data_context.cache / "classifiers").iterdir())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="is damaged .* trained again"):
        classifier(steps=2).prepare(data_context)
    trained = path.stat().st_mtime_ns
    classifier(steps=2).prepare(data_context)
    assert path.stat().st_mtime_ns == trained


def test_other_sizes_and_colors_are_adapted(classifier, digits, data_context):
    extractor = classifier()
    extractor.prepare(data_context)
    original = extractor(digits.pixels[:50])
    color = digits.pixels[:50].expand(-1, 3, -1, -1).contiguous()
    torch.testing.assert_close(extractor(color).features, original.features, rtol=1e-3, atol=1e-3)
    large = digits.pixels[:50].repeat_interleave(4, 2).repeat_interleave(4, 3)
    same = extractor(large).logits.argmax(1) == original.logits.argmax(1)
    assert same.float().mean() > 0.9


def test_a_data_set_without_labels_is_an_error(classifier, tiny, digits, data_context):
    tiny.images = digits.without_labels()
    with pytest.raises(UserError, match="needs labels"):
        classifier().prepare(data_context)
