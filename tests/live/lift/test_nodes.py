"""One call on a tape."""

from __future__ import annotations

import torch

from condsim.live.lift.nodes import Fork, Node, Ref


def node(out: object, args: tuple[object, ...] = (), fork: Fork | None = None) -> Node:
    return Node(3, "add", torch.add, None, args, {}, out, fork)


def test_a_result_of_several_items_has_a_reference_to_each() -> None:
    assert node(torch.zeros(1)).results == [Ref(3)]
    assert node((torch.zeros(1), torch.zeros(1))).results == [Ref(3, 0), Ref(3, 1)]


def test_ids_beside_numbers_are_not_numbers_only() -> None:
    numbers, ids = torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    assert node(numbers).is_of_numbers
    assert node((numbers, numbers)).is_of_numbers
    assert not node((numbers, ids)).is_of_numbers


def test_what_it_reads_is_found_in_nested_arguments() -> None:
    assert node(torch.zeros(1), ([Ref(0), 2], Ref(1, 4))).read == [Ref(0), Ref(1, 4)]


def test_what_decides_is_the_item_of_the_fork() -> None:
    values, ids = torch.zeros(2), torch.ones(2)
    decides = node((values, ids), fork=Fork(4, item=1))
    assert decides.decided() is ids
    assert decides.branches == 4
    assert node(values).branches == 0
