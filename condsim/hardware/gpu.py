"""What makes a GPU a GPU: the block `gpu` of a profile."""

from __future__ import annotations

from pydantic import Field, model_validator

from condsim.hardware.quantity import Model, NotNegative, Quantity, within
from condsim.untrusted import Name

MOST_ELEMENTS = 1 << 20
"""Of a side of a tile."""


class Tile(Model):
    """A block of the result that is computed together.

    m, n: its rows and columns (elements).
    sms: how many SMs compute it, a part each, and take in its operands once for all of them (thread
        block clusters with multicast; pairs of SMs).
    rows: the largest input (in rows, before top-k) that the library's rule uses it for; None: no
        limit.
    """

    m: int = Field(ge=1, le=MOST_ELEMENTS)
    n: int = Field(ge=1, le=MOST_ELEMENTS)
    sms: int = Field(default=1, ge=1, le=MOST_ELEMENTS)
    rows: NotNegative | None = None


class TwoFour(Model):
    """Products with a matrix of which two of each four elements in a row are zero.

    times: the rate of the whole product over that of a dense one (2: zeros are skipped, 1: they are
        only not stored).
    call_s: seconds of the host that one call costs beyond a dense one's.
    rows, depth: what the sparse matrix's two sizes are padded to (elements of 2 bytes; twice as
        many of one byte).
    columns: what the dense matrix's columns are padded to.
    """

    times: Quantity
    call_s: Quantity
    rows: int = Field(ge=1, le=MOST_ELEMENTS)
    depth: int = Field(ge=4, le=MOST_ELEMENTS)
    columns: int = Field(ge=1, le=MOST_ELEMENTS)


class DecodeAttention(Model):
    """What the kernel takes that attends for new tokens, however few keys they see.

    start_s: of the kernel, and of the one that adds its parts. block_s: of each thread block on its
        SM; a sequence and a head of keys are a block.
    unpacked_flops: FLOPs a second of a kernel that attends for prompts too, and in which each head
        of a new token is a block by itself, as large as one of a prompt; None: it is as fast.
    block_bytes_per_s: that a block reads of keys and values where nobody else reads, of kernels
        whose blocks begin in the order of the sequences; None: nobody waits for a long sequence.
    """

    start_s: Quantity
    block_s: Quantity
    unpacked_flops: Quantity | None = None
    block_bytes_per_s: Quantity | None = None


class Gpu(Model):
    """A GPU and the kernels that run on it.

    sms: streaming multiprocessors.
    clock_hz: under load.
    dram_fraction: the share of the data sheet's memory bandwidth that a long stream reaches.
    operand_bytes_per_clock: what an SM takes in from L2 for operands of its tiles, where all do.
    port_bytes_per_clock: what one takes in where few others do; None: no more than that.
    overlap: exponent p of (a^p + b^p)^(1/p), which joins arithmetic and traffic of one kernel: 1 =
        one after the other, large = the longer one alone.
    kernel_s: fixed seconds of a kernel on the device: its start, the fill and the drain of its
        pipelines.
    tile_s: the fixed seconds of a tile on its SM.
    row_s: seconds that a row costs the one thread block that sorts routed rows by expert.
    sector_bytes: the smallest piece of memory that is moved.
    tiles: what the library chooses the fastest of.
    grouped_tiles: those of the fused mixture-of-experts kernel, chosen by rows, rising.
    two_four: of a device whose tensor cores multiply 2:4 sparse matrices, else None.
    matmul_efficiencies: of dtypes in which a large matmul reaches another share of the peak than
        `matmul_efficiency` of the profile.
    decode_attention: of engines' kernels on this device; None: not known, they cost as products do.
    """

    sms: Quantity
    clock_hz: Quantity
    dram_fraction: Quantity
    operand_bytes_per_clock: Quantity
    overlap: Quantity
    kernel_s: Quantity
    tile_s: Quantity
    row_s: Quantity
    sector_bytes: Quantity
    tiles: list[Tile] = Field(min_length=1)
    grouped_tiles: list[Tile] = Field(min_length=1)
    two_four: TwoFour | None = None
    matmul_efficiencies: dict[Name, Quantity] = Field(default_factory=dict)
    port_bytes_per_clock: Quantity | None = None
    decode_attention: DecodeAttention | None = None

    @model_validator(mode="after")
    def _ranges(self) -> Gpu:
        within("sms", self.sms, 1, 1e6)
        within("dram_fraction", self.dram_fraction, 1e-3, 1)
        within("overlap", self.overlap, 1, 1e6)
        for dtype, share in self.matmul_efficiencies.items():
            within(f"matmul_efficiencies.{dtype}", share, 1e-12, 1.5)
        return self
