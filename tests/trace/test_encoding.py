"""Decisions as columns of a file."""

from __future__ import annotations

import numpy as np
import pytest
from made_traces import make_trace

from condsim.errors import CondsimError
from condsim.trace.encoding import compression_of, encode, id_dtype, stored_columns


@pytest.mark.parametrize(
    ("branches", "dtype"), [(1, "i1"), (128, "i1"), (129, "i2"), (40000, "i4")]
)
def test_ids_are_stored_as_narrowly_as_they_fit(branches: int, dtype: str) -> None:
    assert id_dtype(branches) == np.dtype(dtype)
    assert np.iinfo(id_dtype(branches)).max >= branches - 1


def test_ids_are_quick_to_read_and_numbers_are_small() -> None:
    assert compression_of("id_0") == compression_of("depth") == "lz4"
    assert compression_of("weight_0") == compression_of("score_1") == "zstd"


def test_a_chain_of_exits_is_one_depth_a_row() -> None:
    trace = make_trace()
    sites = [site for site in trace.sites if site.encoding == "depth"]
    blocks = [trace.decisions(site.name) for site in sites]
    passed = encode(sites, blocks)["depth"]
    expected = sum((block.ids == 1).astype(int) for block in blocks)
    np.testing.assert_array_equal(passed, expected.ravel())


def test_a_column_that_is_missing_is_named() -> None:
    site = make_trace().site("experts")
    with pytest.raises(CondsimError, match=r"column id_1 of site 'experts' .* is missing"):
        stored_columns(site, {"id_0": "int8"}, "experts.parquet")
