"""The film of a training: its frames, their order and their noise."""

from dataclasses import replace

import numpy as np
import torch

from pluglab.data import to_uint8
from pluglab.engine.evaluation import evaluate
from pluglab.figures import sheet
from pluglab_metrics.sampling import noise


class Dimmer:
    """Noise that training makes darker."""

    dimmed = 0

    def sample(self, n, labels, generator):
        assert labels is None
        return torch.rand(n, 1, 8, 8, generator=generator) - self.dimmed / 100


def looks(build, context, steps, total, **options):
    """The evaluation of each step, saved and noted as the engine does."""
    evaluator, trainer, history = build("evaluator", "training_animation", **options), Dimmer(), []
    for step in steps:
        trainer.dimmed = step
        folder = context.run / "figures" / (f"step_{step:08d}" if step < total else "")
        here = replace(context, step=step, steps=total, folder=folder, history=tuple(history))
        yield evaluate(evaluator, trainer, {}, here)
        history.append({"type": "evaluation", "name": context.label, "step": step})
        history.append({"type": "evaluation", "name": "another", "step": step - 1})


def test_every_look_is_a_frame_and_the_last_one_the_film(build, context):
    found = list(looks(build, context, (30, 60, 100), 100, count=3, columns=2, width=100))
    assert [list(one.figures) for one in found] == [["frame"], ["frame"], ["frame", "film"]]
    generator = noise(replace(context, step=1), "training_animation")  # the same at every step
    images = torch.rand(3, 1, 8, 8, generator=generator)
    film = found[-1].figures["film"]
    for frame, step in zip(film, (30, 60, 100), strict=True):
        assert (frame == sheet(to_uint8(images - step / 100), columns=2, width=100)).all()
    assert (context.run / "figures" / "it_film.gif").is_file()


def test_a_single_look_is_a_film_of_one_frame(build, context):
    (only,) = looks(build, context, (100,), 100)
    assert only.figures["film"].shape[0] == 1
    assert (only.figures["film"][0] == only.figures["frame"]).all()


def test_an_older_checkpoint_looked_at_again_makes_no_film(build, context):
    list(looks(build, context, (30, 60, 100), 100))
    (again,) = looks(build, replace(context, run=context.run), (60,), 100)
    assert list(again.figures) == ["frame"]


def test_a_conditional_model_shows_its_classes_in_turn(build, context):
    class Classes:
        num_classes = 3

        def sample(self, n, labels, generator):
            return (labels.float() / 2).view(n, 1, 1, 1).expand(n, 1, 8, 8)

    evaluator = build("evaluator", "training_animation", count=6, columns=3, width=1)
    frame = evaluator.evaluate(Classes(), {}, context).figures["frame"]
    assert [frame[5, 5 + 10 * column, 0] for column in range(3)] == [128, 191, 255]
    assert isinstance(frame, np.ndarray) and frame.shape == (22, 32, 3)
