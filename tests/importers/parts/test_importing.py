"""What an import asks of files, whatever their layout."""

from __future__ import annotations

import gzip
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from importers.made import (
    EXPERTS,
    LAYERS,
    SHAPE,
    TOP_K,
    base64_response,
    drawn,
    ids_of,
    log_lines,
    noted,
    refused,
    selection,
    steps_of,
    write_lines,
)

import condsim
from condsim.importers import IMPORTERS
from condsim.steps.rebatch import rebatch
from condsim.study import routing


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"routed_experts": [1]}))


def pytorch(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


def packed(path: Path) -> None:
    path.write_bytes(gzip.compress(b"{}"))


def words(path: Path) -> None:
    path.write_text("these are words\n")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 10)


def image(path: Path) -> None:
    path.write_bytes("ÄÖÜ".encode("latin-1"))


def settings(path: Path) -> None:
    path.write_text(json.dumps({"experts": 8}))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (pickled, "pickle"),
        (pytorch, "pickle"),
        (packed, "gunzip"),
        (words, "no layout"),
        (binary, "no layout"),
        (image, "no layout"),
        (settings, "no layout"),
        (Path.touch, "empty"),
        (Path.mkdir, "folder"),
        (lambda path: None, "No such file"),
    ],
)
def test_files_of_no_routing_are_refused(
    write: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    write(path)
    refused(path, str(path), says)


@pytest.mark.parametrize("write", [pickled, pytorch, packed, words, binary, settings])
@pytest.mark.parametrize("format", list(IMPORTERS))
def test_the_wrong_format_is_refused(
    write: Callable[[Path], object], format: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    write(path)
    refused(path, "a", format=format, model=SHAPE)


def test_what_is_asked_for_must_make_sense(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn(5))
    path = tmp_path / "a.npy"
    refused(path, "did you mean 'arrays'", format="array")
    refused(path, "prefill or decode", phase="training")
    refused([], "at least one file")
    refused(path, "3 layers", "4", model=condsim.ModelShape(layers=4))
    refused(path, "4 experts a token", "2", model=condsim.ModelShape(top_k=2))
    with pytest.raises(condsim.CondsimError, match="experts must be a whole number of at least 1"):
        condsim.ModelShape(experts=0)


def test_formats_do_not_mix(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn(5))
    log = write_lines(tmp_path / "a.jsonl", log_lines(drawn(5)))
    refused([tmp_path / "a.npy", log], "a.npy is arrays", "a.jsonl is route-log")


def test_each_layout_is_recognised(tmp_path: Path) -> None:
    ids = drawn(5)
    np.save(tmp_path / "arrays", ids)
    np.savez(tmp_path / "layer-arrays", layer_0=ids[:, 0])
    np.savez(tmp_path / "sglang-recorder", topk_ids_of_layer=ids.transpose(1, 0, 2))
    np.savez(tmp_path / "counts", logical_count=np.ones((LAYERS, EXPERTS), int))
    write_lines(tmp_path / "responses.json", [base64_response(ids)])
    write_lines(tmp_path / "route-log.json", log_lines(ids))
    (tmp_path / "expert-selection.json").write_text(json.dumps(selection(ids, 3), indent=1))
    (tmp_path / "table.csv").write_text("token,layer,expert_0,expert_1\n0,0,1,2\n")
    condsim.import_routing(tmp_path / "arrays.npy").export_routing(tmp_path / "condsim.npz")
    found = {}
    for path in tmp_path.iterdir():
        top_k = TOP_K if path.stem in ("counts", "responses") else None
        layers = LAYERS if path.stem == "responses" else None
        shape = condsim.ModelShape(layers=layers, top_k=top_k)
        trace = condsim.import_routing(path, model=shape)
        command = trace.header.provenance.command
        assert command is not None
        found[path.stem] = command.rpartition(" ")[2]
    assert found == {name: name for name in IMPORTERS}


def test_a_token_may_be_a_step(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        np.save(path, drawn(2 + number, number))
    trace = condsim.import_routing(paths, model=SHAPE, phase="decode")
    assert steps_of(trace)[:3] == [("decode", 1, 1, 0), ("decode", 1, 1, 1), ("decode", 1, 1, 0)]
    cut = rebatch(trace, 3)
    assert len(cut.steps) == 2, "only two positions have three sequences"


def test_routing_is_studied(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn(40))
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE, phase="decode")
    load = routing.load(trace)
    assert load["rows"].sum() == 40 * LAYERS * TOP_K
    with pytest.raises(condsim.CondsimError, match="recorded routing only"):
        condsim.simulate(trace, "nvidia-h100-sxm")


def test_a_trace_outlives_its_import(tmp_path: Path) -> None:
    """The decisions are on disk as long as the trace is there, and saved with it."""
    np.save(tmp_path / "a.npy", drawn(10))
    trace = condsim.import_routing(tmp_path / "a.npy", model=SHAPE)
    (tmp_path / "a.npy").unlink()
    np.testing.assert_array_equal(ids_of(trace), drawn(10))
    again = condsim.load(trace.save(tmp_path / "t"))
    np.testing.assert_array_equal(ids_of(again), drawn(10))
    assert again.header == trace.header


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    lines = log_lines(drawn(5))
    lines[4]["topk_weights"][0] = float("nan")
    trace = condsim.import_routing(write_lines(tmp_path / "a.jsonl", lines), model=SHAPE)
    assert trace.decisions("layers.0").weights is None
    assert noted(trace, "not finite")


def test_experts_that_nobody_counts_are_said_to_be_guessed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn(50))
    trace = condsim.import_routing(tmp_path / "a.npy")
    assert {site.branches for site in trace.sites} == {EXPERTS}
    assert noted(trace, "16", "--experts")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A token takes 24 bytes in the file, and in memory the one that says whether it is kept."""

    def peak(tokens: int) -> int:
        path = tmp_path / "a.npy"
        np.save(path, np.tile(drawn(1000), (tokens // 1000, 1, 1)))
        tracemalloc.start()
        condsim.import_routing(path, model=SHAPE)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(800_000) - peak(400_000) < 400_000 * 2
