"""Settings: what scores tell is what the model does when it is captured there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from condsim.decide.frontier.settings import FOLDER, exits_taken, settings_of, traces_in
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

SHIPPED = ("branch-fashion", "exit-fashion", "merge-fashion", "moe-bytes", "prune-fashion")


def test_rows_leave_at_the_first_exit_that_is_sure() -> None:
    scores = np.array([[0.9, 0.2, 0.2], [0.1, 0.8, 0.3]], np.float32)
    assert exits_taken(scores, 0.5).tolist() == [0, 1, 2]
    assert exits_taken(scores, 0.0).tolist() == [0, 0, 0]
    assert exits_taken(scores, 1.0).tolist() == [2, 2, 2]


def test_scores_tell_what_a_capture_at_that_threshold_sees(exits: Trace) -> None:
    """Quality of every unit, and the rows that take each branch."""
    others = traces_in(resource("traces") / "exit-fashion" / FOLDER)
    assert others
    quality = exits.quality[[f"exit_{number}" for number in range(4)]].to_numpy()
    scores = np.stack([exits.decisions(site.name).scores for site in exits.sites])
    for setting in settings_of(exits, others):
        if setting.trace is exits:
            continue
        assert setting.value is not None
        taken = exits_taken(scores, setting.value)
        told = quality[np.arange(len(taken)), taken]
        assert np.mean(told != setting.quality) < 0.002  # another machine rounds otherwise
        predicted = rebatch(exits, 32, threshold=setting.value)
        captured = rebatch(setting.trace, 32)
        for site in exits.sites:
            of_scores = predicted.sites[site.name].of_unit
            assert np.mean(of_scores != captured.sites[site.name].of_unit) < 0.002


def test_the_captured_setting_is_one_of_them(exits: Trace) -> None:
    settings = settings_of(exits)
    own = [setting for setting in settings if setting.captured]
    assert [setting.label for setting in own] == ["threshold 0.73 (as captured)"]
    values = [setting.value for setting in settings]
    assert values == sorted(values)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_settings_are_of_their_model(name: str) -> None:
    from condsim.trace.read import load

    folder = resource("traces") / name
    settings = settings_of(load(folder), traces_in(folder / FOLDER))
    assert len(settings) >= 3
    assert len({setting.label for setting in settings}) == len(settings)


def test_what_is_no_setting_is_refused(exits: Trace, experts: Trace) -> None:
    with pytest.raises(CondsimError, match="does not name its setting"):
        settings_of(exits, [exits])
    with pytest.raises(CondsimError, match="how good the model is"):
        settings_of(replace(exits, quality=pd.DataFrame()))
    provenance = experts.header.provenance.model_copy(update={"spec": "moe-bytes:top_k=1"})
    other = replace(experts, header=experts.header.model_copy(update={"provenance": provenance}))
    with pytest.raises(CondsimError, match="another model"):
        settings_of(exits, [other])


def test_quality_of_fewer_units_than_scores_is_refused(exits: Trace) -> None:
    fewer = replace(exits, quality=exits.quality.iloc[:-1])
    with pytest.raises(CondsimError, match="capture the trace again"):
        settings_of(fewer)


def test_a_folder_that_is_not_there_has_no_traces() -> None:
    assert traces_in(resource("traces") / "nowhere") == []
