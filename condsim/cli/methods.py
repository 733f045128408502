"""methods: ways to train gates side by side, as they were run for condsim or in a folder."""

from __future__ import annotations

from pathlib import Path

from condsim.cli.arguments import check_output_file
from condsim.cli.commands import cli_command
from condsim.cli.output import out, print_json

PLOTS = (".svg", ".pdf", ".png")


@cli_command("methods", "Ways to train gates: quality reached, how the routing went.", place=125)
def methods(
    model: str | None = None,
    /,
    *,
    folder: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Compare ways to train gates: the quality reached, and how the routing went there.

    Parameters
    ----------
    model
        Only trainings of this zoo model. Default: of all.
    folder
        Where trainings of your own were kept (python -m condsim.decide.methods).
        Default: those that come with condsim.
    plot
        Draw entropy and load over the training: .svg, .pdf or .png.
    json
        Print JSON: the summary, the history site by site, and the loads branch by branch.
    """
    check_output_file(plot, PLOTS)
    from condsim.decide.methods.kept import FOLDER, trainings

    found = trainings(folder or FOLDER)
    if model is not None:
        found = found.of_model(model)
    if plot is not None:
        from condsim.show.training_methods import save_methods

        save_methods(found, plot)
    if json:
        tables = {"summary": found.summary, "history": found.history, "loads": found.loads}
        print_json({"command": "methods", **tables})
        return
    from condsim.show.training_methods import methods_lines

    console = out()
    for line in methods_lines(found):
        console.print(line)
