"""What a device that runs prepared graphs has beside its rates: a matrix unit, what a graph costs to start, and a CPU beside it."""

from __future__ import annotations

from condsim.hardware.quantity import Model, Quantity


class Matrix(Model):
    """A systolic matrix unit, `units` times on the device. It holds a block of `rows` x `columns` weights and is fed `feed` rows of the other matrix at
    a time; smaller ones are padded with zeros."""

    units: Quantity
    rows: Quantity
    columns: Quantity
    feed: Quantity


class Graphs(Model):
    """Seconds of what prepared graphs of fixed shapes cost.

    launch: from the call until the device begins one, and back. switch: to run another graph than the last. branch: a conditional on the device itself,
    None where it has none. prepare: to compile one, once. boundary: bytes a second at which what crosses from one graph to the next changes its layout;
    None: it keeps it.
    """

    launch: Quantity
    switch: Quantity
    branch: Quantity | None = None
    prepare: Quantity
    boundary: Quantity | None = None


class Companion(Model):
    """The CPU beside an accelerator, which runs what the accelerator cannot. It reads the same memory. dispatch: seconds an operator; active_w: watts."""

    flops: Quantity
    bandwidth: Quantity
    dispatch: Quantity
    active_w: Quantity
