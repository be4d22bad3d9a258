"""What this distribution adds. Imports nothing heavy: what the command does is loaded when it is called."""

import typer

from pluglab import Registrar
from pluglab_report import command

SECTIONS = {
    "results": ("results:Results", "tables of scores"),
    "options": ("options:Options", "in what the runs differ"),
    "architectures": ("architectures:Architectures", "networks, printed and layer by layer"),
    "curves": ("curves:Curves", "learning curves of all variants in one plot"),
    "samples": ("pictures:Samples", "generated images beside one another"),
    "reverse_process": ("pictures:ReverseProcess", "from noise to an image"),
    "reconstructions": ("pictures:Reconstructions", "images above their reconstructions"),
    "walks": ("pictures:Walks", "ways through the latent space"),
    "embeddings": ("pictures:Embeddings", "features in the plane, by class and by domain"),
    "others": ("pictures:Others", "pictures that no other section shows"),
    "scores": ("scores:Scores", "every score with its protocol"),
    "failures": ("failures:Failures", "confusions, and images that failed"),
    "health": ("failures:Health", "warnings of the training"),
    "discussion": ("discussion:Discussion", "the author's own words, with facts to quote"),
    "provenance": ("provenance:Provenance", "data, commits, machines, commands"),
    "references": ("references:Cited", "papers of the components"),
}


def lab_register(registry: Registrar) -> None:
    """The kind of sections, and those that come along."""
    what = "a part of what `lab report` writes"
    registry.kind("report_section", protocol="pluglab_report.sections:Section", summary=what)
    for name, (target, summary) in SECTIONS.items():
        registry.add("report_section", name, f"pluglab_report.sections.{target}", summary=summary)


def lab_commands(app: typer.Typer) -> None:
    """The command `lab report`."""
    command.add(app)
