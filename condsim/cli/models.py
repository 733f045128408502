"""models: those that are named without a file at hand, and the answer about one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from condsim.cli.commands import cli_command
from condsim.cli.output import out, print_json, say, suggest
from condsim.cli.scenario import ALL, ScenarioOptions
from condsim.errors import CondsimError, unknown

if TYPE_CHECKING:
    from condsim.catalogue.parts.question import Question


@cli_command("models", "List models that can be named without a file, or what one is.", place=190)
def models(name: str | None = None, /, *, json: bool = False) -> None:
    """List models that can be named without a file, or what is known of one.

    Parameters
    ----------
    name
        Of a model.
    json
        Print JSON.
    """
    from condsim.catalogue import CATALOGUE

    if name is not None and name not in CATALOGUE:
        raise unknown("model", name, CATALOGUE, "condsim models lists all")
    chosen = CATALOGUE.values() if name is None else [CATALOGUE[name]]
    if json:
        print_json({"command": "models", "models": [asdict(model) for model in chosen]})
        return
    from condsim.show.catalogue import model_lines, models_table

    if name is not None:
        out().print(*model_lines(CATALOGUE[name]), sep="\n")
        return
    out().print(models_table(chosen))
    suggest("condsim simulate qwen3-30b-a3b --device nvidia-h200-sxm --batch 32 --context 4096")


def question_of(scenario: ScenarioOptions) -> Question:
    """What is asked of a model of the catalogue."""
    from condsim.catalogue.parts.question import Question

    asked: dict[str, Any] = {}
    for name in ("batch", "context", "phase"):
        value = getattr(scenario, name)
        if value is not None:
            asked[name] = value
    parallel = scenario.keywords().get("parallel")
    if parallel is not None and parallel.expert > 1:
        asked["ranks"] = parallel.expert
        asked.setdefault("batch", parallel.expert)
    return Question(**asked)


def named_device(scenario: ScenarioOptions) -> str:
    """The device that was named, or "all". Raises CondsimError for none."""
    if scenario.device is None:
        raise CondsimError(
            "--device: name the device that the model would run on (condsim profiles lists them), "
            f"or {ALL}"
        )
    return scenario.device


def recording(name: str) -> None:
    """Say that a program is recorded."""
    say(f"recording {name} (kept for the next time)")
