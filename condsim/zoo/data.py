"""What the zoo is trained and judged on: Fashion-MNIST and the source text of Python's standard library.

Training data comes from this machine (a Debian package, the running Python); the held-out samples that examples use are in the package.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sysconfig
from pathlib import Path

import numpy as np
import torch

from condsim.errors import CondsimError

SAMPLES = Path(__file__).parent / "samples"
FASHION = "/usr/share/datasets/fashion-mnist"
HELD_OUT = ("argparse.py", "heapq.py", "statistics.py", "textwrap.py")
"""Standard library modules that no language model of the zoo is trained on; the text sample consists of them."""
VALIDATION_IMAGES = 5_000
"""The last training images, kept out of training to choose thresholds."""


def fashion_folder() -> Path:
    """Where the Fashion-MNIST files are. Raises CondsimError where they are not."""
    folder = Path(os.environ.get("CONDSIM_FASHION_MNIST", FASHION))
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        raise CondsimError(
            f"no Fashion-MNIST in {folder}: install the Debian package dataset-fashion-mnist, or set CONDSIM_FASHION_MNIST to a folder with its four .gz files"
        )
    return folder


def read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes: uint8, in the shape that its header says."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise CondsimError(f"{path} is not an idx file of unsigned bytes")
    ndim = raw[3]
    shape = np.frombuffer(raw, ">i4", ndim, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def normalise(images: np.ndarray) -> torch.Tensor:
    """uint8 [n, 28, 28] → float [n, 1, 28, 28] with the training set's mean 0 and deviation 1."""
    return (torch.tensor(images, dtype=torch.float32).unsqueeze(1) / 255 - 0.2860) / 0.3530


def fashion_training() -> tuple[torch.Tensor, torch.Tensor, str]:
    """All 60,000 training images, their labels, and the SHA-256 of the two files."""
    files = [fashion_folder() / f"train-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1")]
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    return (
        normalise(read_idx(files[0])),
        torch.tensor(read_idx(files[1]), dtype=torch.int64),
        digest,
    )


def fashion_sample() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 2,048 test images and their labels (in the package)."""
    with np.load(SAMPLES / "fashion-test.npz") as sample:
        return normalise(sample["images"]), torch.tensor(sample["labels"], dtype=torch.int64)


def training_text() -> tuple[torch.Tensor, str]:
    """The top-level modules of the running Python's standard library, less the held-out and private ones: int64 [bytes], SHA-256."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        (f for f in folder.glob("*.py") if f.name not in HELD_OUT and not f.name.startswith("_")),
        key=lambda f: f.name,
    )
    if not files:
        raise CondsimError(
            f"no standard library sources in {folder}: install Python with its sources"
        )
    text = b"\n".join(f.read_bytes() for f in files)
    return as_ids(text), hashlib.sha256(text).hexdigest()


def text_sample() -> torch.Tensor:
    """About 190 KB of standard library sources that no model was trained on (in the package): int64 [bytes]."""
    return as_ids((SAMPLES / "text.txt").read_bytes())


def as_ids(text: bytes) -> torch.Tensor:
    """Bytes as int64 [bytes]."""
    return torch.tensor(np.frombuffer(text, np.uint8).astype(np.int64))


def windows(
    text: torch.Tensor, starts: torch.Tensor, seq: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences at `starts` and the byte that follows each of their bytes: int64 [starts, seq] twice."""
    at = starts.unsqueeze(1) + torch.arange(seq)
    return text[at], text[at + 1]


def spread_starts(text: torch.Tensor, count: int, seq: int) -> torch.Tensor:
    """`count` starts of sequences, evenly over the text."""
    return torch.arange(count) * (len(text) - seq - 1) // count
