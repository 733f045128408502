"""Clocks, yardsticks and interleaved cases: how anything is timed here."""
