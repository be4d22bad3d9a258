"""An evaluator of somebody who knows of no report: figure, table and film are in all that shows results."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pluglab.observers.tensorboard.tags import tag
from tests.report.conftest import lab
from tests.report.pages import Page
from tests.report.stranger import CAPTION, MARKUP

SHADES = [0, 120, 240]  # of the frames of its film


def shades(content: bytes) -> list[int]:
    """The gray of each frame."""
    with Image.open(io.BytesIO(content)) as film:
        frames = []
        for place in range(getattr(film, "n_frames", 1)):
            film.seek(place)
            frames.append(round(float(np.asarray(film.convert("L")).mean())))
    return frames


def test_the_report_shows_its_film_its_figures_and_its_table(written: Path) -> None:
    page = Page.of(written / "report.html")
    addresses = [one["src"] for one in page.named("img")]
    films = [b64decode(one.partition(",")[2]) for one in addresses if one.startswith("data:image/gif")]
    assert [shades(film) for film in films] == [SHADES, SHADES]  # a variant each
    assert {"A film", "A plot", CAPTION} <= set(page.texts["p"])
    assert "Table: odd" in page.texts["summary"] and MARKUP in page.texts["td"]
    files = sorted(written.glob("figures/*film.gif"))
    assert [shades(file.read_bytes()) for file in files] == [SHADES, SHADES]
    assert (written / "tables" / "general_stranger_odd.csv").read_text().splitlines()[2] == "plain,7"


def test_tensorboard_shows_its_film_its_figures_and_its_table(made: Path) -> None:
    sizes = {"images": 0, "tensors": 0, "scalars": 0}
    events: Any = EventAccumulator(str(made / "wide-seed0" / "tensorboard"), sizes).Reload()
    assert [one.value for one in events.Scalars(tag("stranger", "strange/score"))] == [3.25]
    (film,) = events.Images(tag("stranger", "film"))
    assert shades(film.encoded_image_string) == SHADES
    for name in ("plot", "still"):
        (still,) = events.Images(tag("stranger", name))
        assert shades(still.encoded_image_string) == [90]
    (odd,) = events.Tensors(f"{tag('stranger', 'odd')}/text_summary")
    assert (
        "who" in odd.tensor_proto.string_val[0].decode()
        and "0.1235" in odd.tensor_proto.string_val[0].decode()
    )


def test_compare_shows_its_scores(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert lab("compare", made, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["scores"]["strange/score"]["mean"] for row in found["rows"]] == [3.25, 3.25]
    (column,) = [one for one in found["columns"] if one["scalar"] == "strange/score"]
    assert column["protocol"] == {"how": MARKUP, "many": 3}
    assert lab("compare", made, "--column", "strange/real", "--markdown") == 0
    assert "1.50 ± 0.00" in capsys.readouterr().out
