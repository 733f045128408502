"""Whose accuracy it is: the machines on which predictions were checked, in words."""

from __future__ import annotations

import pandas as pd

from condsim.show.text import error_line
from condsim.study.compare import errors_of


def machines(table: pd.DataFrame) -> list[str]:
    """Names of the profiles that were checked on their own machines.

    table: of `condsim.study.compare.compare`.
    """
    own = table[table["same_machine"].astype(bool)]
    return list(dict.fromkeys(own["profile"]))


def accuracy_line(table: pd.DataFrame) -> str:
    """The statistics, and on which machines. table: of `condsim.study.compare.compare`."""
    line = error_line(errors_of(table))
    names = ", ".join(machines(table))
    return f"On {names}: {line}" if names else line


def not_checked_line(device: str, basis: str) -> str:
    """That nothing says how true the predictions for a device are.

    device: the name of its profile. basis: what they rest on, "estimated".
    """
    about = f"what is predicted for it is {basis} and was not checked"
    return f"Nothing was measured on {device}: {about}."
