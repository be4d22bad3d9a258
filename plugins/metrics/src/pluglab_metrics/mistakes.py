"""The images that a classifier is surest and wrong about."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pluglab.figures import image_grid
from pluglab.protocols import EvaluationData, Figure

SHOWN, COLUMNS = 32, 8


def most_confused(part: EvaluationData, logits: Tensor, names: Sequence[str]) -> Figure | None:
    """Wrongly classified images as they are stored, the surest mistake first; None where there is none.

    `logits`: N x K of the whole split. The data hold each image's row in the split, its class, the class
    that it is taken for, and the probability that the model gives to that one.
    """
    confidence, guesses = logits.softmax(1).max(1)
    labels = part.labels
    wrong = ((guesses != labels) & confidence.isfinite()).nonzero()[:, 0]
    if not len(wrong):
        return None
    rows = wrong[confidence[wrong].argsort(descending=True, stable=True)][:SHOWN]
    true, taken = (_named(names, classes[rows]) for classes in (labels, guesses))
    sure = confidence[rows].tolist()
    images = part.raw(int(rows.max()) + 1)[rows]
    words = [f"{a} as {b}, {p:.0%}" for a, b, p in zip(true, taken, sure, strict=True)]
    name = part.dataset if part.role == "train" else f"{part.dataset} ({part.role})"
    title = f"{name}: the surest of {len(wrong):,} wrong of {len(labels):,} {part.split} images"
    caption = f"{title}: the class of each, the class that it is taken for, and how surely"
    data = {"title": title, "row": rows, "true": true, "predicted": taken, "confidence": sure}
    return Figure(image_grid(images, COLUMNS, captions=words, title=title), caption, data)


def _named(names: Sequence[str], classes: Tensor) -> list[str]:
    return [names[i] if i < len(names) else str(i) for i in classes.tolist()]
