"""Tables in CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importers.made import LAYERS, SHAPE, TOP_K, drawn, ids_of, refused, steps_of, truncated

import condsim


def rows_of(ids: np.ndarray, sequence: int = 0) -> pd.DataFrame:
    """A row a token and layer, layer after layer."""
    tokens = len(ids)
    table = pd.DataFrame(
        {
            "sequence": sequence,
            "layer": np.repeat(np.arange(LAYERS), tokens),
            "token": np.tile(np.arange(tokens), LAYERS),
        }
    )
    by_layer = ids.transpose(1, 0, 2).reshape(-1, TOP_K)
    for place in range(TOP_K):
        table[f"expert_{place}"] = by_layer[:, place].astype(np.int64)
    return table


def in_lists(table: pd.DataFrame) -> pd.DataFrame:
    """The ids in one column of lists."""
    wide = [f"expert_{place}" for place in range(TOP_K)]
    return table.drop(columns=wide).assign(indices=table[wide].to_numpy().tolist())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_plain_table_in_any_order(ending: str, tmp_path: Path) -> None:
    both = pd.concat([rows_of(drawn(5, 0), 0), rows_of(drawn(3, 1), 1)])
    mixed = both.sample(frac=1, random_state=0)
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        mixed.to_csv(path, index=False)
    else:
        mixed.to_parquet(path, index=False)
    trace = condsim.import_routing(path, model=SHAPE)
    first = mixed["sequence"].iloc[0]
    expected = [drawn(5, 0), drawn(3, 1)]
    np.testing.assert_array_equal(
        ids_of(trace), np.concatenate(expected if first == 0 else expected[::-1])
    )
    assert sorted(steps_of(trace)) == [("prefill", 1, 3, 0), ("prefill", 1, 5, 0)]


def test_flame_moe_is_a_file_a_layer(tmp_path: Path) -> None:
    ids = drawn(9)
    scores = np.linspace(1, 0, 9 * TOP_K).reshape(9, TOP_K).astype(np.float16)
    paths = []
    for layer in range(LAYERS):
        columns = {"scores": scores.tolist(), "indices": ids[:, layer].tolist()}
        paths.append(tmp_path / f"layer_{layer + 2:02}.parquet")
        pq.write_table(pa.table(columns), paths[-1])
    trace = condsim.import_routing(paths, model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), ids)
    assert [site.name for site in trace.sites] == ["layers.2", "layers.3", "layers.4"]
    weights = trace.decisions("layers.3").weights
    assert weights is not None
    np.testing.assert_array_equal(weights, scores)


def test_a_step_is_a_batch_that_decodes(tmp_path: Path) -> None:
    ids = drawn(6).reshape(2, 3, LAYERS, TOP_K)
    tables = [rows_of(one).assign(step=step + 1) for step, one in enumerate(ids)]
    table = pd.concat(tables).rename(columns={"token": "sequence", "sequence": "unused"})
    in_lists(table).to_parquet(tmp_path / "decode.parquet")
    trace = condsim.import_routing(tmp_path / "decode.parquet", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), drawn(6))
    assert steps_of(trace) == [("decode", 3, 1, 0)] * 2


def test_ids_may_be_one_text_and_tokens_unnumbered(tmp_path: Path) -> None:
    """Scripts around llama.cpp: layer_id, and ids with blanks between."""
    lines = [
        f"{layer},{' '.join(map(str, chosen))}"
        for t in drawn(5).tolist()
        for layer, chosen in enumerate(t)
    ]
    path = tmp_path / "a.csv"
    path.write_text("layer_id,expert_ids\n" + "\n".join(lines) + "\n")
    np.testing.assert_array_equal(ids_of(condsim.import_routing(path, model=SHAPE)), drawn(5))


def test_sequences_may_have_names(tmp_path: Path) -> None:
    tables = [rows_of(drawn(2, n)).assign(sequence=f"req-{n}") for n in range(2)]
    pd.concat(tables).rename(columns={"sequence": "req_id"}).to_csv(tmp_path / "a.csv", index=False)
    trace = condsim.import_routing(tmp_path / "a.csv", model=SHAPE)
    np.testing.assert_array_equal(ids_of(trace), np.concatenate([drawn(2, 0), drawn(2, 1)]))


def test_files_with_and_without_steps_keep_their_own(tmp_path: Path) -> None:
    rows_of(drawn(4)).to_csv(tmp_path / "a.csv", index=False)
    steps = rows_of(drawn(2, 1)).drop(columns="sequence").rename(columns={"token": "sequence"})
    steps.assign(step=0).to_csv(tmp_path / "b.csv", index=False)
    trace = condsim.import_routing([tmp_path / "a.csv", tmp_path / "b.csv"], model=SHAPE)
    assert steps_of(trace) == [("prefill", 1, 4, 0), ("decode", 2, 1, 0)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(layer=-1), ["column layer"]),
        (lambda t: t.assign(token=0.5), ["column token"]),
        (lambda t: t.assign(expert_0=0.5), ["integers"]),
        (lambda t: t.assign(expert_0=np.where(t["token"] == 1, np.nan, 1)), ["integers"]),
        (lambda t: t.assign(token=0), ["twice"]),
        (lambda t: t.iloc[:-1], ["layer 2", "4 rows"]),
        (lambda t: t.iloc[:0], ["no decisions"]),
        (lambda t: t.assign(sequence=[[1]] * len(t)), ["column sequence", "list"]),
        (lambda t: t.drop(columns="layer"), ["no layout"]),
    ],
)
def test_wrong_tables_are_refused(change: object, words: list[str], tmp_path: Path) -> None:
    assert callable(change)
    path = tmp_path / "a.parquet"
    change(rows_of(drawn(5))).to_parquet(path, index=False)
    refused(path, *words, model=SHAPE)


def test_lists_of_unlike_length_are_refused(tmp_path: Path) -> None:
    table = in_lists(rows_of(drawn(2)))
    table.at[1, "indices"] = [1]
    table.to_parquet(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "lists of 1 and 4")
    table.at[1, "indices"] = None
    table.to_parquet(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "without a value")
    path = tmp_path / "a.csv"
    path.write_text("layer,expert_ids\n0,1 2\n0,3\n")
    refused(path, "as many")
    path.write_text("layer,expert_ids\n0,1 x\n")
    refused(path, "whole numbers")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    rows_of(drawn(50)).to_parquet(tmp_path / "a.parquet")
    refused(truncated(tmp_path / "a.parquet"), "damaged or truncated")
    path = tmp_path / "a.csv"
    rows_of(drawn(50)).to_csv(path, index=False)
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])
    refused(path, "damaged or truncated", "a.csv")


def test_more_layers_than_any_model_has_are_refused(tmp_path: Path) -> None:
    """A column that means something else would open a file for each of its values."""
    path = tmp_path / "a.csv"
    table = pd.DataFrame({"layer": range(2000), "indices": ["0 1 2 3"] * 2000})
    table.to_csv(path, index=False)
    refused(path, "more than 256 layers")
