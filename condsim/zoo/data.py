"""What the zoo is trained and judged on: Fashion-MNIST and Python's standard library as text.

Training data comes from this machine (a Debian package, the running Python); the held-out samples
that examples use are in the package.
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
"""Standard library modules that no language model of the zoo is trained on; the text sample
consists of them."""
VALIDATION_IMAGES = 5_000
"""The last training images, kept out of training to choose thresholds."""
MEAN, DEVIATION = 0.2860, 0.3530
"""Of the training images' pixels, between 0 and 1."""
UNSIGNED_BYTES = b"\0\0\x08"
"""How an idx file of unsigned bytes begins."""


def fashion_folder() -> Path:
    """Where the Fashion-MNIST files are. Raises CondsimError where they are not."""
    folder = Path(os.environ.get("CONDSIM_FASHION_MNIST", FASHION))
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        raise CondsimError(
            f"no Fashion-MNIST in {folder}: install the Debian package dataset-fashion-mnist, "
            "or set CONDSIM_FASHION_MNIST to a folder with its four .gz files"
        )
    return folder


def read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes: uint8, in the shape that its header says."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != UNSIGNED_BYTES:
        raise CondsimError(f"{path} is not an idx file of unsigned bytes")
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
    return values.reshape(shape)


def normalise(images: np.ndarray) -> torch.Tensor:
    """uint8 [n, 28, 28] → float [n, 1, 28, 28] with the training set's mean 0 and deviation 1."""
    pixels = torch.tensor(images, dtype=torch.float32).unsqueeze(1) / 255
    return (pixels - MEAN) / DEVIATION


def fashion_training() -> tuple[torch.Tensor, torch.Tensor, str]:
    """All 60,000 training images, their labels, and the SHA-256 of the two files."""
    folder = fashion_folder()
    images = folder / "train-images-idx3-ubyte.gz"
    labels = folder / "train-labels-idx1-ubyte.gz"
    both = images.read_bytes() + labels.read_bytes()
    digest = hashlib.sha256(both).hexdigest()
    return normalise(read_idx(images)), as_int64(read_idx(labels)), digest


def fashion_sample() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 2,048 test images and their labels (in the package)."""
    with np.load(SAMPLES / "fashion-test.npz") as sample:
        return normalise(sample["images"]), as_int64(sample["labels"])


def training_text() -> tuple[torch.Tensor, str]:
    """The standard library of the running Python as int64 [bytes], and its SHA-256.

    Of its top-level modules, less the held-out and the private ones.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    files: list[Path] = []
    for file in sorted(folder.glob("*.py"), key=_file_name):
        if file.name not in HELD_OUT and not file.name.startswith("_"):
            files.append(file)
    if not files:
        raise CondsimError(
            f"no standard library sources in {folder}: install Python with its sources"
        )
    text = b"\n".join(file.read_bytes() for file in files)
    return as_ids(text), hashlib.sha256(text).hexdigest()


def _file_name(file: Path) -> str:
    return file.name


def text_sample() -> torch.Tensor:
    """Some 190 KB of standard library that no model was trained on (in the package).

    int64 [bytes].
    """
    return as_ids((SAMPLES / "text.txt").read_bytes())


def as_ids(text: bytes) -> torch.Tensor:
    """Bytes as int64 [bytes]."""
    return as_int64(np.frombuffer(text, np.uint8))


def as_int64(values: np.ndarray) -> torch.Tensor:
    """The same numbers in the type that torch takes indices and classes in."""
    return torch.tensor(values.astype(np.int64))


def windows(
    text: torch.Tensor, starts: torch.Tensor, seq: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences at `starts`, and the byte that follows each of their bytes.

    int64 [starts, seq] each.
    """
    places = starts.unsqueeze(1) + torch.arange(seq)
    return text[places], text[places + 1]


def spread_starts(text: torch.Tensor, count: int, seq: int) -> torch.Tensor:
    """`count` starts of sequences, evenly over the text."""
    possible_starts = len(text) - seq - 1
    return torch.arange(count) * possible_starts // count
