"""What the training methods gave when they were run for condsim: a table that comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from condsim.errors import CondsimError, unknown
from condsim.files import write_whole
from condsim.study.routing import evenness

FOLDER = Path(__file__).parent
LOADS, QUALITY = "loads.csv", "quality.csv"
"""A row a method, site, moment and branch; a row a method."""
BY = ["method", "site", "trained"]


@dataclass(frozen=True)
class Trainings:
    """Trainings by several methods.

    quality: a row a method: method, model, steps, seed, seconds, quality, quality_name, about,
    source. loads: a row a method, site, moment (trained: steps before) and branch: share of rows.
    """

    quality: pd.DataFrame
    loads: pd.DataFrame

    @property
    def history(self) -> pd.DataFrame:
        """A row a method, site and moment: entropy, imbalance, dropped and dead of the load.

        As `condsim.study.routing.over_training` says of any trace that holds a history.
        """
        rows = []
        for _, group in self.loads.groupby(BY, sort=False):
            columns = group[BY].iloc[0].to_dict()
            rows.append(columns | evenness(group["share"].to_numpy(float)))
        return pd.DataFrame(rows)

    @property
    def summary(self) -> pd.DataFrame:
        """The quality of each method, and the mean over its sites at the last moment."""
        history = self.history
        last = history[history["trained"] == history.groupby("method")["trained"].transform("max")]
        means = last.groupby("method")[["entropy", "imbalance", "dead"]].mean()
        entered = self._taken_last()
        return self.quality.join(means, on="method").join(entered, on="method")

    def _taken_last(self) -> pd.Series:
        """Share of rows that take a site's last branch at the last moment, the mean over sites."""
        loads = self.loads
        is_last = loads["trained"] == loads.groupby("method")["trained"].transform("max")
        of_last = loads["branch"] == loads.groupby("method")["branch"].transform("max")
        means: pd.Series = loads[is_last & of_last].groupby("method")["share"].mean()
        return means.rename("last_branch")

    def of_model(self, model: str) -> Trainings:
        """Those of one model. Raises CondsimError where there is none."""
        known = self.quality["model"].unique().tolist()
        if model not in known:
            raise unknown("model", model, known, "models that were trained by several methods")
        quality = self.quality[self.quality["model"] == model].reset_index(drop=True)
        is_of_it = self.loads["method"].isin(quality["method"])
        return Trainings(quality, self.loads[is_of_it].reset_index(drop=True))

    def save(self, folder: Path) -> None:
        """Write both tables to a folder, as CSV."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in ((QUALITY, self.quality), (LOADS, self.loads)):
            write_whole(folder / name, table.round(5).to_csv(index=False).encode())


def trainings(folder: Path = FOLDER) -> Trainings:
    """Trainings that were kept in a folder; by default those that come with condsim.

    Raises CondsimError where there are none.
    """
    for name in (QUALITY, LOADS):
        if not (folder / name).is_file():
            raise CondsimError(f"no {name} in {folder}; train: python -m condsim.decide.methods")
    return Trainings(pd.read_csv(folder / QUALITY), pd.read_csv(folder / LOADS))
