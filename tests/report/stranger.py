"""A plugin of somebody who knows nothing of reports: an evaluator with scores, a plot, a film and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pluglab import Evaluation, Figure, Registrar, Table

MARKUP = "<script>document.title = 'taken'</script>"
CAPTION = f"What a stranger drew {MARKUP} & more, of $x_1$ and [a](b) and \\input{{x}}"
POINTS = {
    "plot": "points",
    "x": [0.0, 1.0, 2.0],
    "y": [0.0, 1.0, 0.5],
    "role": ["train"] * 3,
    "class": ["a", "b", "a"],
    "series": ["a", "b"],
    "by": "class",
    "datasets": {"train": "drawn"},
    "title": "points",
}


class Stranger:
    """Says the same of every model."""

    needs = ()

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        still = np.full((24, 30, 3), 90, np.uint8)
        film = np.stack([np.full((24, 30, 3), shade, np.uint8) for shade in (0, 120, 240)])
        figures = {
            "plot": Figure(still, "A plot", POINTS),
            "film": Figure(film, "A film"),
            "still": Figure(still, CAPTION),
        }
        tables = {"odd": Table(["who|what", "share"], [[MARKUP, 0.123456], ["plain", 7]])}
        scalars = {"strange/score": 3.25, "strange/real": 1.5}
        return Evaluation(
            scalars, figures, tables, headline=("strange/score",), protocol={"how": MARKUP, "many": 3}
        )


def lab_register(registry: Registrar) -> None:
    registry.add("evaluator", "stranger", Stranger)
