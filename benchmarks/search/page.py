"""Writes what the benchmark says into the docs: a figure of anytime curves, and the tables below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from figures import GRID, Figures

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = {"random": "#8a8a8a", "TPE": "#4a7fb0", "TPE and Hyperband": "#b0784a", "ours": "#2f7d4f"}
"""Methods in the figure, with their colours: all of them would hide each other."""
_TEXT = """# How well the search spends a budget

Studies of {methods} methods over recorded trainings of a small model that was really pretrained, {tasks} tasks that no
method was tuned on. How the trainings were made, and what they cover, is in
[benchmarks/search](../benchmarks/search/README.md); `make bench-search` makes these tables again from the stored data.

![The best recipe so far against what was spent, a panel a task](images/search.svg)

The higher the better: 0 is the untouched model, 1 the best recipe of the table, each by its mean over all seeds. Bands
are 95 % intervals of the mean. Costs are shares of the budget until a study had what the other method's study of the
same task, seed and first guess ended with: medians over tasks and seeds, with 95 % intervals by bootstrap over studies.

{tables}
"""


def write(figures: Figures, methods: Sequence[str], tasks: Sequence[str], sections: Sequence[str]) -> None:
    """Overwrites the figure and the page, but for its chapters, which other benchmarks have filled."""
    draw(figures, [name for name in SHOWN if name in methods], tasks, DOCS / "images" / "search.svg")
    page, here = _TEXT.format(methods=len(methods), tasks=len(tasks), tables="\n\n".join(sections)), DOCS / "search.md"
    chapters = here.read_text(encoding="utf-8").partition("\n## ") if here.exists() else ("", "", "")
    here.write_text(page + "".join(chapters[1:]), encoding="utf-8")


def draw(figures: Figures, methods: Sequence[str], tasks: Sequence[str], path: Path) -> None:
    """A panel a task: the mean of the best so far, with its interval."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"svg.hashsalt": "search", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    sheet, panels = pyplot.subplots(1, len(tasks), figsize=(3.4 * len(tasks), 3.0), sharey=True, squeeze=False)
    for panel, task in zip(panels[0], tasks, strict=True):
        for method in methods:
            mean, low, high = figures.curve(method, task)
            panel.plot(GRID, mean, color=SHOWN[method], label=method, linewidth=1.6)
            panel.fill_between(GRID, low, high, color=SHOWN[method], alpha=0.15, linewidth=0)
        panel.set_title(task, loc="left", fontsize=10)
        panel.set_xlabel("share of the budget")
        panel.set_xlim(0, 1)
    panels[0][0].set_ylabel("the best recipe so far")
    panels[0][-1].legend(frameon=False, loc="lower right")
    sheet.tight_layout()
    sheet.savefig(path, metadata={"Date": None})
    pyplot.close(sheet)
