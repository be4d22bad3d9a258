import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix

from pluglab.data import Images, derived_seed
from pluglab.errors import UserError
from pluglab_metrics.accuracy import by_class, confusion
from tests.evaluation import role_data


class Guesser:
    """Right on four images in five, by a rule that needs no training."""

    def __init__(self, images: Images) -> None:
        wrong = torch.arange(len(images)) % 5 == 0
        assert images.labels is not None
        self.guesses = torch.where(wrong, (images.labels + 1) % 10, images.labels)
        self.position = 0

    def predict(self, images, role):
        guesses = self.guesses[self.position : self.position + len(images)]
        self.position = (self.position + len(images)) % len(self.guesses)
        return torch.nn.functional.one_hot(guesses, 10).to(torch.bfloat16)


def test_equals_scikit_learn(build, two_domains, context, digits):
    guesser = Guesser(digits)
    found = build("evaluator", "accuracy").evaluate(guesser, two_domains, context)
    right = accuracy_score(digits.labels, guesser.guesses)
    assert found.scalars == {"accuracy/source": pytest.approx(100 * right)}
    assert found.headline == ("accuracy/source",)
    assert list(found.figures) == ["confusion_source", "most_confused_source"]
    matrix = confusion(digits.labels, guesser.guesses, 10)
    assert (matrix.numpy() == confusion_matrix(digits.labels, guesser.guesses)).all()
    share = confusion_matrix(digits.labels, guesser.guesses, normalize="true").diagonal()
    rows = found.tables["accuracy_source"].rows
    assert [row[1] for row in rows] == pytest.approx(100 * share, abs=0.005)
    assert [row[3] for row in rows] == list("1234567890")


def test_another_split_has_its_own_name(build, context, digits):
    data = role_data({"train": {"validation": digits}})
    found = build("evaluator", "accuracy", split="validation").evaluate(Guesser(digits), data, context)
    assert list(found.scalars) == ["accuracy/train/validation"]


def test_a_role_without_labels_is_an_error_only_when_asked_for(build, two_domains, context, digits):
    evaluator = build("evaluator", "accuracy", roles=["source", "target"])
    with pytest.raises(UserError, match="'target' has no labels in split 'test'") as error:
        evaluator.evaluate(Guesser(digits), two_domains, context)
    assert "roles" in error.value.help[0]


def test_no_labels_at_all_is_an_error(build, two_domains, context, digits):
    with pytest.raises(UserError, match="no role has labels"):
        target = {"target": two_domains["target"]}
        build("evaluator", "accuracy").evaluate(Guesser(digits), target, context)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": ["sauce"]}, "no role 'sauce'"),
        ({"roles": ["source"], "split": "dev"}, "no split 'dev'"),
        ({"split": "dev"}, "no split 'dev'"),
    ],
)
def test_unknown_role_or_split(build, two_domains, context, digits, options, message):
    with pytest.raises(UserError, match=message):
        build("evaluator", "accuracy", **options).evaluate(Guesser(digits), two_domains, context)


def test_classes_without_images_and_guesses_beyond_the_classes():
    labels, guesses = torch.tensor([0, 0, 2]), torch.tensor([0, 4, 2])
    matrix = confusion(labels, guesses, 3)
    assert matrix.shape == (3, 5)
    rows = by_class(matrix, ("a", "b", "c")).rows
    assert rows == [("a", 50.0, 2, "4"), ("b", "no images", 0, ""), ("c", 100.0, 1, "")]


def test_picture_with_long_names_and_many_classes(build, context):
    generator = torch.Generator().manual_seed(derived_seed("images"))
    pixels = torch.randint(0, 256, (200, 1, 4, 4), generator=generator).to(torch.uint8)
    names = tuple(f"class number {i}" for i in range(40))
    images = Images(pixels, torch.arange(200) % 40, names)

    class First:
        def predict(self, images, role):
            return torch.eye(40)[torch.zeros(len(images), dtype=torch.int64)]

    data = role_data({"train": images})
    found = build("evaluator", "accuracy").evaluate(First(), data, context)
    assert found.scalars["accuracy/train"] == pytest.approx(2.5)
    picture = found.figures["confusion_train"].array
    assert picture.dtype == "uint8" and picture.shape[1] >= 700 and picture.shape[2] == 3
