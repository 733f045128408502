"""What a simulation of tensor parallelism answers: all ranks do the same, so one is priced."""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.parallel import Parallel
from condsim.parallel.fabric import fabric_of
from condsim.parallel.tensor import ranks_of
from condsim.predict.answer import Answer
from condsim.predict.prediction import Prediction
from condsim.trace import Trace


def check_share(trace: Trace, profile: HardwareProfile, parallel: Parallel) -> None:
    """Raises CondsimError for a trace that is not what one of so many ranks runs, and for devices
    that nothing links, or that are no GPUs."""
    ranks = parallel.tensor
    found = ranks_of(trace.programs.values())
    if found != ranks:
        what = "whole" if found == 1 else f"as the share of one of {found} ranks"
        raise CondsimError(
            f"parallel: tensor={ranks}: {trace.name!r} was recorded {what}; models by name are "
            "recorded for any number (condsim models lists them)"
        )
    if ranks > 1:
        fabric_of(profile, parallel.fabric).nodes(ranks)
        if profile.gpu is None:
            raise CondsimError(
                f"parallel: tensor={ranks} is known on GPUs with a block gpu only; "
                f"{profile.name!r} has none"
            )


class TensorAnswer(Answer):
    """The answer of one rank. Seconds and memory are those of each, joules and FLOPs of all."""

    @property
    def ranks(self) -> int:
        """Devices that share the model."""
        parallel = self.simulation.scenario.parallel
        assert parallel is not None
        return parallel.tensor

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        of_rank, ranks = super().prediction(), self.ranks
        return replace(
            of_rank,
            energy_j=of_rank.energy_j * ranks,
            baseline_energy_j=of_rank.baseline_energy_j * ranks,
            executed_flops=of_rank.executed_flops * ranks,
            baseline_flops=of_rank.baseline_flops * ranks,
            notes=(*of_rank.notes, self._note()),
        )

    def _note(self) -> str:
        asked = self.simulation
        parallel = asked.scenario.parallel
        assert parallel is not None
        links = fabric_of(asked.target.profile, parallel.fabric)
        nodes = links.nodes(self.ranks)
        return (
            f"{self.ranks} ranks on {nodes} node(s) of fabric {links.name} share every layer; "
            "memory and segments are one rank's, energy and FLOPs of all"
        )
