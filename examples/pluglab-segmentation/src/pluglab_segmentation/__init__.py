"""Segmentation for pluglab. Light to import: what is registered is loaded when it is used."""

from pluglab import Registrar


def lab_register(registry: Registrar) -> None:
    add, here = registry.add, "pluglab_segmentation"
    what, paper = "a class for each pixel, by a small U-Net", "arXiv:1505.04597"
    add("trainer", "segmenter", f"{here}.segmenter:Segmenter", summary=what, paper=paper)
    add("dataset", "scenes", f"{here}.scenes:Scenes", summary="drawn shapes over one another, with masks")
    add("evaluator", "iou", f"{here}.iou:IoU", summary="how well predicted masks cover the true ones")
