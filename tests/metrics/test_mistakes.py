"""What a model does worst: its surest wrong classes, and the images that it redraws worst."""

import pytest
import torch

from pluglab.data import Images
from tests.evaluation import looked, role_data

ROWS = torch.tensor([7, 30, 12, 55])


class Told:
    """Says the class that it is told, as surely as it is told: logits are by image number."""

    def __init__(self, logits):
        self.logits, self.position = logits, 0

    def predict(self, images, role):
        part = self.logits[self.position : self.position + len(images)]
        self.position += len(images)
        return part


def numbered(count=60, labels=True):
    """Images whose pixels are their numbers; every third is a 'c'."""
    pixels = torch.arange(count).byte().view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    return Images(pixels, torch.arange(count) % 3 if labels else None, ("a", "b", "c"))


def wrong_at(rows, sure):
    """Logits that are right but for these rows, where the next class has these probabilities."""
    labels = torch.arange(60) % 3
    logits = 20.0 * torch.nn.functional.one_hot(labels, 3)
    for row, p in zip(rows.tolist(), sure, strict=True):
        rest = torch.full((3,), (1 - p) / 2)
        rest[(labels[row] + 1) % 3] = p
        logits[row] = rest.log()
    return logits


def mistakes(build, context, logits, **options):
    evaluator = build("evaluator", "accuracy", **options)
    return evaluator.evaluate(Told(logits), role_data({"target": numbered()}), context).figures


def test_the_surest_mistakes_come_first_with_their_classes(build, context):
    figures = mistakes(build, context, wrong_at(ROWS, [0.5, 0.9, 0.7, 0.8]))
    figure = figures["most_confused_target"]
    assert figure.data["row"].tolist() == [30, 55, 12, 7]
    assert figure.data["true"] == ["a", "b", "a", "b"]
    assert figure.data["predicted"] == ["b", "c", "b", "c"]
    assert figure.data["confidence"] == pytest.approx([0.9, 0.8, 0.7, 0.5])
    assert "the surest of 4 wrong of 60 test images" in figure.caption
    grays = {tuple(value) for value in figure.array.reshape(-1, 3).tolist()}
    assert {(row, row, row) for row in ROWS.tolist()} <= grays, "the images themselves are shown"


def test_at_most_32_are_shown_and_ties_stand_in_their_order(build, context):
    rows = torch.arange(40)
    figure = mistakes(build, context, wrong_at(rows, [0.75] * 40))["most_confused_target"]
    assert figure.data["row"].tolist() == list(range(32))
    assert "of 40 wrong of 60" in figure.caption


def test_without_mistakes_there_is_no_such_picture(build, context):
    assert list(mistakes(build, context, wrong_at(ROWS[:0], []))) == ["confusion_target"]


def test_predictions_that_are_no_numbers_are_not_called_sure(build, context):
    logits = wrong_at(ROWS, [0.5, 0.9, 0.7, 0.8])
    logits[30] = torch.nan
    figure = mistakes(build, context, logits)["most_confused_target"]
    assert figure.data["row"].tolist() == [55, 12, 7]


def test_confusion_counts_are_kept_beside_the_picture(build, context):
    figure = mistakes(build, context, wrong_at(ROWS, [0.5, 0.9, 0.7, 0.8]))["confusion_target"]
    assert figure.data["counts"].tolist() == [[18, 2, 0], [0, 18, 2], [0, 0, 20]]
    assert tuple(figure.data["classes"]) == ("a", "b", "c")


class Dims:
    """Redraws an image the worse the higher its number is; a second kind is better for even numbers."""

    def reconstruct(self, images, role):
        number = (images[:, :1, :1, :1] + 1) * 127.5
        even = (number.round() % 2 == 0).float()
        first = images + number / 100
        return {"first": first, "second": torch.where(even > 0, images + 0.001 * number, first)}


def test_the_worst_reconstructions_are_those_that_no_kind_redraws_well(build, context):
    evaluator = build("evaluator", "reconstructions", count=4, images=1000)
    figures = evaluator.evaluate(Dims(), role_data({"target": numbered()}), context).figures
    assert list(figures) == ["target", "worst_reconstructions_target"]
    data = figures["worst_reconstructions_target"].data
    assert data["row"].tolist() == [59, 57, 55, 53]
    assert data["first"] == pytest.approx([0.59**2, 0.57**2, 0.55**2, 0.53**2], rel=1e-4)
    assert data["second"] == pytest.approx(data["first"])


def test_errors_of_the_worst_are_in_the_unit_that_was_asked_for(build, context):
    evaluator = build("evaluator", "reconstructions", count=1, images=1000, values="[0, 1]")
    figures = evaluator.evaluate(Dims(), role_data({"target": numbered()}), context).figures
    data = figures["worst_reconstructions_target"].data
    assert data["first"] == pytest.approx([0.59**2 / 4], rel=1e-4)


def test_the_pictures_of_what_is_worst_read_no_more_labels_than_the_scores(build, context):
    roles = {"source": numbered(), "target": numbered(labels=False)}
    assert looked(build("evaluator", "reconstructions"), Dims(), roles, context).labels_read == set()
    model = Told(wrong_at(ROWS, [0.5, 0.9, 0.7, 0.8]))
    assert looked(build("evaluator", "accuracy"), model, roles, context).labels_read == {"source"}
