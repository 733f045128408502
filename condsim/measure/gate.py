"""Whether the machine is undisturbed right now, and so whether a pair counts."""

from __future__ import annotations

from condsim.hardware import UNDISTURBED
from condsim.timing.yardstick import Yardstick


class Gate:
    """Judges readings of a yardstick.

    undisturbed_s: the yardstick when nothing disturbs it, as a calibration saw it; None: as this
    process sees it.
    """

    def __init__(self, undisturbed_s: float | None = None) -> None:
        self.yardstick = Yardstick()
        self.undisturbed_s = undisturbed_s

    @property
    def limit_s(self) -> float:
        """The slowest reading that says that nothing disturbs."""
        fast_s = self.yardstick.fast_s
        if self.undisturbed_s:
            fast_s = min(fast_s, self.undisturbed_s)
        return UNDISTURBED * fast_s

    def is_open(self, reading_s: float) -> bool:
        """Whether nothing disturbed the machine when the yardstick said so."""
        return reading_s <= self.limit_s

    def wait(self, patience_s: float) -> tuple[float, float]:
        """Wait until nothing disturbs the machine, at most `patience_s`.

        Returns (the last reading, seconds that the wait took).
        """
        reading_s = self.yardstick()
        if self.is_open(reading_s):
            return reading_s, 0.0
        return self.yardstick.wait(self.limit_s, patience_s)
