"""A scenario: what is asked of one trace, as plain values, and how to ask the same on the command line and in Python."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from condsim.hardware import HardwareProfile
from condsim.strategies import BASELINES
from condsim.trace import Trace

OPTIONS = ("batch", "dtype", "runtime", "threshold", "phase")
NAMES = ("device", "strategy", "baseline", *OPTIONS)


@dataclass(frozen=True)
class Scenario:
    """name: of the trace in the library. where: what the command line is given for it, a name or a folder. device: a profile's name, None: the one the trace
    was measured on. The rest is as in `condsim.simulate`, None: its default."""

    name: str
    where: str
    device: str | None = None
    strategy: str | None = None
    batch: int | None = None
    baseline: str = BASELINES[0]
    dtype: str | None = None
    runtime: str | None = None
    threshold: float | None = None
    phase: str | None = None

    def options(self) -> dict[str, Any]:
        """Arguments of `condsim.simulate` beside trace, profile, strategy and baseline."""
        return {k: getattr(self, k) for k in OPTIONS}

    def profile(
        self, trace: Trace, profiles: Callable[[str], HardwareProfile]
    ) -> HardwareProfile | None:
        """The profile: the trace's own where no device is named. profiles: name → profile."""
        own: HardwareProfile | None = trace.profile
        return own if self.device is None else profiles(self.device)

    def flags(self, *names: str) -> list[str]:
        """Command line options that differ from their defaults. names: which of them a command takes."""
        given = [(n, getattr(self, n)) for n in names or NAMES]
        return [
            part
            for n, v in given
            if v is not None and (n, v) != ("baseline", BASELINES[0])
            for part in (f"--{n}", str(v))
        ]

    def command(self, *more: str, verb: str = "simulate", flags: tuple[str, ...] = ()) -> str:
        """What to type for the same numbers."""
        return shlex.join(["condsim", verb, self.where, *self.flags(*flags), *more])

    def python(self, last: str = "print(p.speedup, p.speedup_interval, p.verdict)") -> str:
        """What to run in Python for the same numbers."""
        arguments = {
            "strategy": self.strategy,
            "baseline": None if self.baseline == BASELINES[0] else self.baseline,
            **self.options(),
        }
        given = [
            *([repr(self.device)] if self.device is not None else []),
            *(f"{k}={v!r}" for k, v in arguments.items() if v is not None),
        ]
        return python([self.where], f"p = condsim.simulate({', '.join(['trace', *given])})", last)

    def query(self) -> str:
        """The same scenario as the query of a link."""
        given = {
            k: v
            for k, v in asdict(self).items()
            if k not in ("name", "where", "baseline") and v is not None
        }
        return urlencode({"trace": self.name, **given, "baseline": self.baseline})


def python(where: Sequence[str], *lines: str) -> str:
    """Lines of Python over `trace`, or over `traces` where there are several. where: names of traces that come with condsim, or folders."""
    shipped = [w for w in where if not Path(w).exists()]
    loads = [
        f'condsim.load(resource("traces") / {w!r})' if w in shipped else f"condsim.load({w!r})"
        for w in where
    ]
    opened = (
        f"trace = {loads[0]}"
        if len(loads) == 1
        else "traces = [\n    " + ",\n    ".join(loads) + ",\n]"
    )
    return "\n".join(
        [
            "import condsim",
            *(["from condsim.resources import resource"] if shipped else []),
            "",
            opened,
            *lines,
        ]
    )
