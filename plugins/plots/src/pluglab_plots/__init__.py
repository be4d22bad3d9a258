"""Plots that are drawn from their data alone, in one style: as pixels for a run, as SVG or PDF for a paper.

The data of a plot are what `pluglab.Figure.data` holds, and what lies beside a picture of a run as JSON.
Their key `plot` says of what kind it is:

| `plot`        | shows                                             | module        |
|---------------|---------------------------------------------------|---------------|
| 'points'      | points of a plane, in series or as thumbnails     | `points`      |
| 'curves'      | values against steps, a panel a group             | `curves`      |
| 'matrix'      | counts of pairs, in percent of each row           | `matrices`    |
| 'reliability' | how often predictions of one confidence are right | `reliability` |

Each module says which keys its data have. All of them may have a `title`.

    picture(data, caption)             a `pluglab.Figure`, for an evaluator
    redraw(data, "tsne.pdf")           the same plot as .pdf, .svg or .png; returns the path
    can_redraw(data)                   whether there is anything to draw again
    draw(data)                         the matplotlib figure itself
    overlaid({"DANN": [data, data]})   curves of several runs in one: a color a variant, a band over seeds

matplotlib is imported when the first plot is drawn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["can_redraw", "draw", "overlaid", "picture", "redraw"]

if TYPE_CHECKING:
    from pluglab_plots.drawing import can_redraw as can_redraw
    from pluglab_plots.drawing import draw as draw
    from pluglab_plots.drawing import picture as picture
    from pluglab_plots.drawing import redraw as redraw
    from pluglab_plots.overlay import overlaid as overlaid


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{'overlay' if name == 'overlaid' else 'drawing'}"), name)
