"""What a device that runs prepared graphs has beside its rates.

It has a matrix unit, graphs cost time to start, and a CPU stands beside it.
"""

from __future__ import annotations

from condsim.hardware.quantity import Model, Quantity


class Matrix(Model):
    """A systolic matrix unit, `units` times on the device.

    It holds a block of `rows` x `columns` weights and is fed `feed` rows of the other matrix at a
    time; smaller matrices are padded with zeros.
    """

    units: Quantity
    rows: Quantity
    columns: Quantity
    feed: Quantity


class Graphs(Model):
    """What prepared graphs of fixed shapes cost, in seconds.

    launch: from the call until the device begins a graph, and back.
    switch: to run another graph than the last.
    branch: a conditional on the device itself, None where it has none.
    prepare: to compile a graph, once.
    boundary: bytes a second at which what crosses from one graph to the next changes its layout;
        None: it keeps it.
    """

    launch: Quantity
    switch: Quantity
    branch: Quantity | None = None
    prepare: Quantity
    boundary: Quantity | None = None


class Companion(Model):
    """The CPU beside an accelerator, which runs what the accelerator cannot.

    It reads the same memory. flops: a second. bandwidth: bytes a second. dispatch: seconds of an
    operator. active_w: watts while it runs.
    """

    flops: Quantity
    bandwidth: Quantity
    dispatch: Quantity
    active_w: Quantity
