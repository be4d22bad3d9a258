"""The film of a training: its frames, their order and their noise."""

from dataclasses import replace
from functools import partial

import torch

from pluglab.engine.evaluation import earlier_figures, evaluate
from pluglab.evaluating import noise
from pluglab.figures import image_grid


class Dimmer:
    """Noise that training makes darker."""

    dimmed = 0

    def state_dict(self):
        return {}

    def sample(self, n, labels, generator):
        assert labels is None
        return torch.rand(n, 1, 8, 8, generator=generator) - self.dimmed / 100


def looks(build, context, steps, total, **options):
    """The evaluation of each step, saved and noted as the engine does."""
    evaluator, trainer, history = build("evaluator", "training_animation", **options), Dimmer(), []
    for step in steps:
        trainer.dimmed = step
        folder = context.run / "figures" / (f"step_{step:08d}" if step < total else "")
        earlier = partial(earlier_figures, tuple(history), context.run, context.label, step)
        here = replace(context, step=step, steps=total, folder=folder, earlier=earlier)
        found, files = evaluate(evaluator, trainer, {}, here)
        yield found
        history.append({"type": "evaluation", "name": context.label, "step": step, "figures": files})
        history.append({"type": "evaluation", "name": "another", "step": step - 1, "figures": files})


def test_every_look_is_a_frame_and_the_last_one_the_film(build, context):
    found = list(looks(build, context, (30, 60, 100), 100, count=3, columns=2, width=100))
    assert [list(one.figures) for one in found] == [["frame"], ["frame"], ["frame", "film"]]
    generator = noise(replace(context, step=1))  # the same at every step
    images = torch.rand(3, 1, 8, 8, generator=generator)
    film = found[-1].figures["film"].array
    for frame, step in zip(film, (30, 60, 100), strict=True):
        assert (frame == image_grid(images - step / 100, columns=2, width=100)).all()
    assert (context.run / "figures" / "it_film.gif").is_file()


def test_a_single_look_is_a_film_of_one_frame(build, context):
    (only,) = looks(build, context, (100,), 100)
    film, frame = (only.figures[name].array for name in ("film", "frame"))
    assert len(film) == 1 and (film[0] == frame).all()


def test_an_older_checkpoint_looked_at_again_makes_no_film(build, context):
    list(looks(build, context, (30, 60, 100), 100))
    (again,) = looks(build, context, (60,), 100)
    assert list(again.figures) == ["frame"]


def test_a_conditional_model_shows_its_classes_in_turn(build, context):
    class Classes:
        num_classes = 3

        def sample(self, n, labels, generator):
            return (labels.float() / 2).view(n, 1, 1, 1).expand(n, 1, 8, 8)

    evaluator = build("evaluator", "training_animation", count=6, columns=3, width=1)
    frame = evaluator.evaluate(Classes(), {}, context).figures["frame"].array
    assert [frame[5, 5 + 10 * column, 0] for column in range(3)] == [128, 191, 255]
    assert frame.shape == (22, 32, 3)
