"""Two traces can be compared where they decide at the same sites."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_traces import make_trace

from condsim.decide.same_sites import check_same_sites
from condsim.errors import CondsimError


def test_a_trace_is_comparable_with_itself() -> None:
    check_same_sites(make_trace(), make_trace("other"))


def test_the_site_that_differs_is_named_with_what_it_is_in_each() -> None:
    trace = make_trace()
    header = trace.header
    other = replace(trace, header=header.model_copy(update={"sites": header.sites[1:]}))
    with pytest.raises(CondsimError, match="'experts' is moe of 5 branches, top 2 in the first"):
        check_same_sites(trace, other)
    with pytest.raises(CondsimError, match="not there in the first, moe of 5 branches"):
        check_same_sites(other, trace)
