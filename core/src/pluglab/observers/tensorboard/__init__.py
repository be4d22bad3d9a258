"""A run for TensorBoard, in the run's folder `tensorboard`.

| tab | what is there |
|---|---|
| Scalars | what is logged and evaluated, in families: `loss/`, `training/`, `lr/`, `accuracy/`, ... |
| Images | pictures and films; no learning curves, which Scalars has |
| Text | the recipe and the networks, tables of evaluators, warnings |
| HParams | the options in which the experiment's runs differ, and what is reported of each |
| Custom Scalars | the scores of all runs, and nothing else, on one page |
| Projector | features of images, with their pictures, classes and roles |

Nothing of TensorBoard is imported before a run starts, so `lab --help` stays fast.
"""
