"""Trainings by several methods: in a terminal, and as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.show.escape import figure_text
from condsim.show.figure_files import save_figure
from condsim.show.tables import Column, table_of
from condsim.show.text import number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from condsim.decide.methods.kept import Trainings

WORDS = (
    "entropy: of the load, of the largest possible (1: even, 0: one branch takes all). dead: share "
    "of branches that no row takes. last branch: share of rows that take it (for a gate: that "
    "enter). All three at the end, the mean over sites."
)


def methods_lines(found: Trainings) -> Iterator[Text | Table]:
    """A table a model, and what its columns mean."""
    for model, rows in found.summary.groupby("model", sort=False):
        unit = rows["quality_name"].iloc[0]
        steps = int(rows["steps"].iloc[0])
        title = f"{model}, {steps} steps each; quality: {unit}"
        yield table_of(_columns(), rows.to_dict("records"), title=title)
    yield Text(WORDS, "dim")


def _share(value: float | None) -> str:
    return percent(value, sign=False)


def _columns() -> list[Column]:
    return [
        Column("method", "method"),
        Column("quality", "quality", number, right=True),
        Column("entropy", "entropy", number, right=True),
        Column("imbalance", "imbalance", number, right=True),
        Column("dead", "dead", _share, right=True),
        Column("last branch", "last_branch", _share, right=True),
        Column("how", "about", wraps=True),
    ]


def save_methods(found: Trainings, path: Path) -> Path:
    """Write `methods_figure` to a file."""
    return save_figure(methods_figure(found), path)


def methods_figure(found: Trainings) -> Figure:
    """Entropy of the load over the training, a panel a model and a line a method.

    A line is the mean over the model's sites, its band from the least to the most even site.
    """
    from matplotlib.figure import Figure

    models = found.quality["model"].unique().tolist()
    figure = Figure(figsize=(4.6 * len(models), 3.4), layout="constrained")
    row: Any = figure.subplots(1, len(models), squeeze=False)[0]
    for axes, model in zip(row, models, strict=True):
        of_model = found.of_model(model).history
        for method, group in of_model.groupby("method", sort=False):
            entropy = group.groupby("trained")["entropy"]
            mean = entropy.mean()
            (line,) = axes.plot(mean.index, mean, "o-", ms=3, label=figure_text(str(method)))
            colour = line.get_color()
            axes.fill_between(mean.index, entropy.min(), entropy.max(), alpha=0.15, color=colour)
        axes.set_title(figure_text(model), fontsize="small")
        axes.set(xlabel="training steps", ylim=(-0.02, 1.05))
        axes.legend(fontsize="x-small")
    row[0].set_ylabel("entropy of the load, of the largest possible")
    return figure
