from pathlib import Path

from rich.console import Console

from condsim.decide.methods.kept import trainings
from condsim.show.training_methods import methods_lines, save_methods


def test_every_training_is_a_row() -> None:
    found = trainings()
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for line in methods_lines(found):
        console.print(line)
    text = console.export_text()
    for method in found.quality["method"]:
        assert method in text


def test_the_figure_is_written(tmp_path: Path) -> None:
    assert save_methods(trainings(), tmp_path / "methods.svg").stat().st_size > 1000
