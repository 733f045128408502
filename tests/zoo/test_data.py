"""Samples in the package, and the forms that data is brought into."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo.data import (
    HELD_OUT,
    SAMPLES,
    as_ids,
    fashion_sample,
    normalise,
    read_idx,
    spread_starts,
    text_sample,
    training_text,
    windows,
)


def test_samples_are_in_the_package() -> None:
    images, labels = fashion_sample()
    assert images.shape == (2048, 1, 28, 28)
    assert labels.bincount(minlength=10).min() > 150
    assert 150_000 < len(text_sample()) < 250_000
    assert (SAMPLES / "fashion-test.npz").stat().st_size < 1_200_000


def test_an_idx_file_is_read_in_its_shape(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    shape = np.array(values.shape, ">i4").tobytes()
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + shape + values.tobytes()))
    np.testing.assert_array_equal(read_idx(path), values)
    path.write_bytes(gzip.compress(b"\0\0\x0d\x03" + shape + values.tobytes()))
    with pytest.raises(CondsimError, match="not an idx file of unsigned bytes"):
        read_idx(path)


def test_images_are_normalised_by_the_training_set() -> None:
    images, _ = fashion_sample()
    assert abs(images.mean()) < 0.05
    assert abs(images.std() - 1) < 0.05
    black = normalise(np.zeros((1, 28, 28), np.uint8))
    assert black.unique().item() == pytest.approx(-0.2860 / 0.3530)


def test_targets_are_the_bytes_that_follow() -> None:
    text = as_ids(b"conditional")
    ids, targets = windows(text, torch.tensor([0, 5]), 4)
    assert [bytes(row.tolist()) for row in ids] == [b"cond", b"tion"]
    assert [bytes(row.tolist()) for row in targets] == [b"ondi", b"iona"]


def test_starts_are_spread_over_the_text() -> None:
    text = torch.arange(101)
    starts = spread_starts(text, 5, 10)
    assert starts.tolist() == [0, 18, 36, 54, 72]
    assert int(starts.max()) + 10 < len(text)


def test_no_model_is_trained_on_the_held_out_text() -> None:
    text, digest = training_text()
    whole = bytes(text.to(torch.uint8).tolist())
    assert len(digest) == 64
    for name in HELD_OUT:
        module = __import__(name.removesuffix(".py"))
        assert Path(module.__file__ or "").read_bytes() not in whole
