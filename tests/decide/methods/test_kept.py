"""Trainings by several methods, as tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from condsim.decide.methods.kept import Trainings, trainings
from condsim.errors import CondsimError

EVEN, ONE = [0.25] * 4, [1.0, 0.0, 0.0, 0.0]


def made() -> Trainings:
    """Two methods, one of which ends with a single expert."""
    rows = []
    for method, last in (("even", EVEN), ("collapses", ONE)):
        for trained, shares in ((0, EVEN), (10, last)):
            for branch, share in enumerate(shares):
                rows.append((method, "gate", trained, branch, share))
    loads = pd.DataFrame(rows, columns=["method", "site", "trained", "branch", "share"])
    quality = pd.DataFrame(
        {"method": ["even", "collapses"], "model": ["a", "b"], "quality": [0.8, 0.6]}
    )
    return Trainings(quality, loads)


def test_the_history_tells_a_collapse() -> None:
    history = made().history.set_index(["method", "trained"])
    assert history.loc[("even", 10), "entropy"] == pytest.approx(1.0)
    assert history.loc[("collapses", 0), "dead"] == 0
    assert history.loc[("collapses", 10), ["entropy", "imbalance", "dead"]].tolist() == [0, 4, 0.75]


def test_the_summary_is_of_the_last_moment() -> None:
    summary = made().summary.set_index("method")
    assert summary["entropy"].round(6).to_dict() == {"even": 1.0, "collapses": 0.0}
    assert summary["last_branch"].to_dict() == {"even": 0.25, "collapses": 0.0}


def test_tables_are_kept_and_read_again(tmp_path: Path) -> None:
    made().save(tmp_path / "kept")
    again = trainings(tmp_path / "kept")
    pd.testing.assert_frame_equal(again.loads, made().loads)
    assert again.of_model("b").loads["method"].unique().tolist() == ["collapses"]
    with pytest.raises(CondsimError, match="model 'c'"):
        again.of_model("c")


def test_a_folder_without_trainings_is_named(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match=r"no quality\.csv in"):
        trainings(tmp_path)


def test_what_comes_with_condsim_adds_up() -> None:
    found = trainings()
    shares = found.loads.groupby(["method", "site", "trained"])["share"].sum()
    assert np.allclose(shares, 1, atol=1e-3)
    assert set(found.quality["method"]) == set(found.loads["method"])
