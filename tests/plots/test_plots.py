"""Plots are drawn from their data alone: as pixels for a run, again as SVG, PDF or PNG."""

from __future__ import annotations

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from pluglab import UserError
from pluglab.plain import plain
from pluglab.style import COLORS, UNKNOWN
from pluglab_plots import can_redraw, draw, overlaid, picture, redraw
from pluglab_plots.sprites import cut, sheet, spread

RANDOM = np.random.default_rng(0)
POINTS = {
    "plot": "points",
    "title": "points",
    "x": RANDOM.normal(size=40),
    "y": RANDOM.normal(size=40),
    "role": ["source", "target"] * 20,
    "class": [str(i % 12) if i % 3 else None for i in range(40)],
    "by": "role",
    "series": ["target", "source"],
    "words": {"source": "source: USPS"},
}
CURVES = {
    "plot": "curves",
    "panels": {
        "loss": {
            "domain": {"step": [1, 2], "value": [0.5, 0.75]},
            "class": {"step": [1, 2], "value": [2.0, 1.0]},
        },
        "fid": {"fid": {"step": list(range(100)), "value": list(range(100))}},
    },
    "units": {"loss": "nats"},
}
MATRIX = {"plot": "matrix", "title": "m", "classes": ["a", "b"], "counts": [[3, 1, 0], [0, 0, 0]]}
IMAGES = RANDOM.integers(0, 256, (40, 8, 6, 3), dtype=np.uint8)
PICTURES = {**{k: v for k, v in POINTS.items() if k != "by"}, "thumbnails": sheet(IMAGES[:9], range(9))}
BINS = [
    {"low": 0.0, "high": 0.5, "count": 0},
    {"low": 0.5, "high": 1.0, "count": 8, "confidence": 0.75, "accuracy": 0.5},
]
RELIABILITY = {"plot": "reliability", "title": "r", "bins": BINS}
ALL = {"reliability": RELIABILITY, "points": POINTS, "curves": CURVES, "matrix": MATRIX, "pictures": PICTURES}


@pytest.fixture(params=ALL)
def data(request):
    return ALL[request.param]


def test_a_picture_keeps_what_it_was_drawn_from(data):
    found = picture(data, "what there is to see")
    assert found.array.dtype == np.uint8 and found.array.ndim == 3 and found.array.shape[1] >= 700
    assert found.caption == "what there is to see" and can_redraw(found.data)


def test_a_plot_is_drawn_again_from_what_a_run_has_kept(data, tmp_path):
    """JSON in between, as beside the pictures of a run; the pixels are those of the run."""
    kept = json.loads(json.dumps(plain(data)))
    redraw(kept, tmp_path / "a.png", dpi=120)
    assert (np.asarray(Image.open(tmp_path / "a.png").convert("RGB")) == picture(data).array).all()
    large = np.asarray(Image.open(redraw(kept, tmp_path / "large.png")))
    assert large.shape[1] == pytest.approx(picture(data).array.shape[1] * 2.5, abs=3)
    assert redraw(kept, tmp_path / "new" / "a.svg").read_text().startswith("<?xml")
    assert redraw(kept, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert redraw(kept, tmp_path / "b.svg").read_bytes() == (tmp_path / "new" / "a.svg").read_bytes()


def test_what_is_no_plot_is_refused_in_words(tmp_path):
    assert not can_redraw(None) and not can_redraw({}) and not can_redraw({"plot": "cake"})
    with pytest.raises(UserError, match="their key 'plot' is None, not one of 'points', 'curves', 'matrix'"):
        draw({"x": [1]})
    with pytest.raises(UserError, match=r"a.gif: a plot can be saved as .svg, .pdf, .png"):
        redraw(MATRIX, tmp_path / "a.gif")


def test_a_readers_own_settings_do_not_change_the_style():
    before = picture(CURVES).array
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert (picture(CURVES).array == before).all()
        assert matplotlib.rcParams["font.size"] == 30


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_curves_have_the_colors_of_their_names_and_axes_with_units():
    loss, fid = draw(CURVES).axes
    assert (lines(loss)["class"].get_color(), lines(loss)["domain"].get_color()) == COLORS[:2]
    assert lines(loss)["class"].get_linestyle() != lines(loss)["domain"].get_linestyle()
    assert (loss.get_ylabel(), fid.get_ylabel(), loss.get_xlabel()) == ("nats", "fid", "step")
    assert loss.get_legend() and not fid.get_legend()
    assert list(lines(fid)["fid"].get_ydata()) == list(range(100))


def test_points_have_the_colors_of_their_roles_in_any_order():
    figure = draw(POINTS)
    target, source = (tuple(c.get_facecolor()[0][:3]) for c in figure.axes[0].collections)
    assert [matplotlib.colors.to_hex(color) for color in (source, target)] == list(COLORS[:2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["target", "source: USPS"]


def test_a_class_is_named_once_and_has_its_color_though_others_are_missing():
    """'0 0, 1 1' it was: the sign that marks the points, and the name."""
    series = [str(i) for i in range(12)]
    figure = draw({**POINTS, "by": "class", "series": series, "words": {}})
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["no label", *sorted({c for c in POINTS["class"] if c}, key=int)]
    handles = dict(zip(names, legend.legend_handles, strict=True))
    assert handles["5"].get_color() == COLORS[5] and handles["5"].get_marker() == "o"
    assert handles["10"].get_color() == COLORS[0] and handles["10"].get_marker() != handles["5"].get_marker()
    assert handles["no label"].get_color() == UNKNOWN


def test_thumbnails_are_enlarged_by_a_whole_factor():
    array = picture(PICTURES).array
    image = cut(sheet(IMAGES[:9], range(9)))[4]
    enlarged = image.repeat(4, 0).repeat(4, 1)  # 8 pixels, about 34 of the picture
    windows = np.lib.stride_tricks.sliding_window_view(array, enlarged.shape)[:, :, 0]
    rows, columns = np.nonzero((windows[:, :, ::9, ::9] == enlarged[::9, ::9]).all((2, 3, 4)))
    assert any((array[r : r + 32, c : c + 24] == enlarged).all() for r, c in zip(rows, columns, strict=True))


@pytest.mark.parametrize("shape", [(7, 5), (28, 28), (64, 64), (100, 70)])
def test_a_sheet_gives_back_the_images_or_whole_means_of_them(shape):
    images = RANDOM.integers(0, 256, (5, *shape, 3), dtype=np.uint8)
    found = np.stack(cut(sheet(images, range(5))))
    factor = -(-max(shape) // 32)
    assert found.shape == (5, shape[0] // factor, shape[1] // factor, 3)
    mean = images[2, :factor, factor : 2 * factor, 1].mean()
    assert found[2, 0, 1, 1] == round(mean)


def test_thumbnails_do_not_cover_each_other():
    plane = RANDOM.normal(size=(500, 2))
    chosen = spread(plane)
    near = np.ptp(plane, axis=0).max() / 26
    apart = np.abs(plane[chosen][:, None] - plane[chosen][None]).max(2) + 9 * np.eye(len(chosen))
    assert apart.min() >= near
    others = np.abs(plane[:, None] - plane[chosen][None]).max(2).min(1)
    assert others.max() < near, "one more would have found room"
    assert spread(np.zeros((5, 2))) == [0]


def run(values, units="loss"):
    curve = {"step": [10, 20, 30][: len(values)], "value": values}
    return {
        "plot": "curves",
        "panels": {"loss": {"class": curve}, "validators: snd": {"snd": curve}},
        "groups": {"loss": "loss", "validators: snd": "validators"},
        "units": {"loss": units},
    }


def test_curves_of_several_runs_lie_over_each_other_with_a_band_over_seeds():
    found = overlaid({"A": [run([1.0, 3.0]), run([2.0, 5.0, 7.0])], "B": [run([1.0, 1.0])]}, "title")
    assert list(found["panels"]) == ["loss/class", "validators/snd"]
    panel = found["panels"]["loss/class"]
    assert panel["A"] == {
        "step": [10, 20, 30], "value": [1.5, 4.0, 7.0], "low": [1.0, 3.0, 7.0], "high": [2.0, 5.0, 7.0]
    }  # fmt: skip
    assert panel["B"] == {"step": [10, 20], "value": [1.0, 1.0]}
    axes = draw(found).axes[0]
    assert [line.get_color() for line in axes.get_lines()] == list(COLORS[2:4])
    assert len(axes.collections) == 1, "the band of A"
    assert axes.get_ylabel() == "loss"
    assert can_redraw(found)


def test_a_variant_keeps_its_color_where_another_has_no_such_curve():
    found = overlaid(
        {
            "A": [run([1.0])],
            "B": [{"plot": "curves", "panels": {"kl": {"kl": {"step": [1], "value": [2.0]}}}}],
        }
    )
    axes = draw(found).axes[-1]
    assert axes.get_title() == "kl" and axes.get_lines()[0].get_color() == COLORS[3]


def test_matplotlib_is_imported_when_something_is_drawn():
    code = (
        "import sys, pluglab_plots, pluglab_plots.sprites;"
        "from pluglab_plots import picture; print('matplotlib' in sys.modules);"
        "picture({'plot': 'matrix', 'classes': ['a'], 'counts': [[1]]}); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def broken(*args, **more):
        args[1].write(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", broken)
    with pytest.raises(OSError, match="full"):
        redraw(MATRIX, tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def _curves_of(*names):
    points = {"step": list(range(0, 400, 20)), "value": [1 / (1 + i) for i in range(20)]}
    return {"plot": "curves", "panels": {"loss": dict.fromkeys(names, points)}}


@pytest.mark.parametrize("count", [2, 5])
def test_a_legend_of_long_names_covers_no_curve(count):
    """It stands below, all names are in it, and the panel is as high as without it."""
    long = [f"MNIST-M to SVHN, method {place} with some more words" for place in range(count)]
    heights = {}
    for names in (long, ["a", "b"]):
        figure = draw(_curves_of(*names))
        figure.canvas.draw()
        (axes,) = figure.axes
        panel, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
        heights[names[0]] = panel.height
        assert legend.overlaps(panel) == (names is not long)
        said = [" ".join(text.get_text().split()) for text in axes.get_legend().get_texts()]
        assert said == names
        assert legend.x0 >= 0 and legend.y0 >= 0 and legend.x1 <= figure.bbox.x1
    assert heights[long[0]] == pytest.approx(heights["a"], rel=0.08)
