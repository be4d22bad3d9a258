"""Runs beside one another: means over seeds, only what differs, no score beside one that it says nothing of.

    from pluglab.comparison import compare
    from pluglab.records import read_records

    comparison = compare(read_records([Path("runs")], print), print)
    for scenario in comparison.scenarios:
        for group in comparison.groups_in(scenario):
            for column in comparison.columns:
                print(scenario, group.method, column.title, comparison.scores(group, column, scenario))

Groups are in the order of the records, which is that of the recipe. Neither torch nor numpy is imported, but
for `difference`, which imports scipy.
"""

from pluglab.comparison.compared import Comparison, compare
from pluglab.comparison.groups import Group, words, words_of_changes
from pluglab.comparison.pivots import Cell, Grid, as_latex, as_markdown, in_one, pivots, tables
from pluglab.comparison.scores import Column, Difference, Scores, difference

__all__ = [
    "Cell",
    "Column",
    "Comparison",
    "Difference",
    "Grid",
    "Group",
    "Scores",
    "as_latex",
    "as_markdown",
    "compare",
    "difference",
    "in_one",
    "pivots",
    "tables",
    "words",
    "words_of_changes",
]
