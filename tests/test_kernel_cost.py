"""What an operator's calls cost, as rows of the table of kernels."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.kernel_cost import KernelCost, SizedRead, least_sure

TWO_READS = (
    SizedRead(np.array([8.0, 4.0]), np.ones(2), np.ones(2)),
    SizedRead(np.array([1.0, 2.0]), np.ones(2), np.ones(2)),
)


def cost(**more: object) -> KernelCost:
    parts = {"dispatch": 1.0, "matmul": np.array([2.0, 3.0])}
    return KernelCost(parts, "linear", "calibrated", flops=np.array([5.0, 7.0]), **more)


def column(rows: object, name: str) -> list[float]:
    return rows.table[rows.names.index(name)].tolist()


def test_a_number_stands_for_all_sizes() -> None:
    rows = cost().rows(2)
    assert column(rows, "dispatch") == [1.0, 1.0]
    assert column(rows, "matmul") == [2.0, 3.0]
    assert column(rows, "flops") == [5.0, 7.0]
    assert column(rows, "moved_bytes") == [0.0, 0.0]


def test_reads_of_several_weights_add_up() -> None:
    assert column(cost(reads=TWO_READS).rows(2), "weight_bytes") == [9.0, 6.0]


def test_worlds_and_memory_levels_are_columns() -> None:
    rows = cost(worlds={"gather": 2.0}, memory_bytes={"dram": 3.0}).rows(2)
    assert column(rows, "world gather") == [2.0, 2.0]
    assert column(rows, "memory dram") == [3.0, 3.0]


def test_of_grouped_weights_those_are_read_that_have_rows() -> None:
    rows_of_experts = np.array([[3, 0, 1], [0, 0, 2]])
    read = SizedRead(np.array([10.0, 10.0]), np.ones(2), np.ones(2), rows_of_experts)
    assert read.bytes_a_call.tolist() == [20.0, 10.0]
    assert read.at(slice(1, 2)).bytes_a_call.tolist() == [10.0]


def test_rows_at_some_sizes_keep_what_they_rest_on() -> None:
    rows = cost(reads=TWO_READS).rows(2, np.array(["calibrated", "extrapolated"]))
    assert rows.basis == "extrapolated"
    first = rows.at(slice(0, 1))
    assert (first.basis, column(first, "matmul")) == ("calibrated", [2.0])
    swapped = rows.at(np.array([1, 0]))
    assert column(swapped, "matmul") == [3.0, 2.0]
    assert [read.bytes.tolist() for read in swapped.reads] == [[4.0, 8.0], [2.0, 1.0]]


@pytest.mark.parametrize(
    ("bases", "least"),
    [
        ("calibrated", "calibrated"),
        (["calibrated", "extrapolated"], "extrapolated"),
        (["extrapolated", "estimated", "calibrated"], "estimated"),
    ],
)
def test_a_sum_rests_on_the_least_sure_word(bases: object, least: str) -> None:
    assert least_sure(bases) == least
