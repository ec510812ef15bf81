"""Vocabularies and statistics of a part: by hand, and against numpy with everything in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import schema as schemas
from pipeline.preparation import layout as layouts
from pipeline.preparation import parts, statistics, vocabularies
from pipeline.preparation.learning import Learned, learn, require_two_classes
from pipeline.preparation.statistics import Moments
from pipeline.schema import Numeric
from pipeline.sources import movielens_schema
from signatures.errors import UsageError


def learned(folder: Path, features: List[Dict[str, Any]], columns: Dict[str, Any], **others: Any) -> Learned:
    """What is learned of these columns, written in row groups of two rows."""
    schema = schemas.parse({"name": "test", "features": features, **others}, "test")
    layout = layouts.plan(schema, list(columns), "test")
    table = pa.table(columns)
    folder.mkdir(exist_ok=True)
    for start in range(0, table.num_rows, 2):
        parts.write_table(table.slice(start, 2), folder / f"part-{start:05d}.parquet")
    return learn(folder, layout, seed=0)


def ids(name: str, dtype: str = "string", **others: Any) -> Dict[str, Any]:
    return {"name": name, "kind": "categorical", "side": "user", "dtype": dtype, **others}


def test_frequency_decides_and_then_the_value(tmp_path: Path) -> None:
    found = learned(tmp_path, [ids("city")], {"city": ["b", "a", "c", "b", "", "d", "d", "a"]})
    assert found.vocabularies["city"].to_pylist() == ["a", "b", "d", "c"]
    numbers = learned(tmp_path / "n", [ids("n", "int64")], {"n": pa.array([10, 9, -1, 10, 9, 2], pa.int64())})
    assert numbers.vocabularies["n"].to_pylist() == [9, 10, 2]  # by number, not by text


def test_rare_ids_and_ids_with_line_breaks_are_left_out(tmp_path: Path) -> None:
    cities = ["a", "a", "b", "x\ny", "x\ny", "x\ry", "x\ry", "c", "c"]
    found = learned(tmp_path, [ids("city", minimum_count=2)], {"city": cities})
    assert found.vocabularies["city"].to_pylist() == ["a", "c"]
    path = tmp_path / "city.txt"
    vocabularies.write(found.vocabularies["city"], path)
    assert path.read_bytes() == b"a\nc\n"


def test_features_that_share_a_table_are_counted_together(tmp_path: Path) -> None:
    features = [
        ids("item"),
        {"name": "tags", "kind": "bag", "side": "item", "dtype": "string", "shares": "item"},
        ids("hashed", hash_buckets=10),
    ]
    columns = {"item": ["a", "b"], "tags": [["c", "c", "b"], ["c"]], "hashed": ["x", "y"]}
    found = learned(tmp_path, features, columns)
    assert {name: entries.to_pylist() for name, entries in found.vocabularies.items()} == {"item": ["c", "b", "a"]}


def test_histories_made_of_rows_are_not_counted_again() -> None:
    layout = layouts.plan(
        movielens_schema.schema("ml-100k"),
        ["user_id", "item_id", "rating", "timestamp", "hour", "weekday", "like"],
        "u.data",
        ["age", "gender", "occupation"],
        ["genres", "release_year"],
    )
    counted = vocabularies.sources(layout)
    assert counted["item_id"] == ["item_id"] and counted["history_rating"] == ["history_rating"]
    assert "history" not in counted and "age" not in counted


def test_a_column_without_a_value_has_an_empty_vocabulary(tmp_path: Path) -> None:
    found = learned(tmp_path, [ids("city")], {"city": ["", ""]})
    assert found.vocabularies["city"].to_pylist() == []


def numeric(**others: Any) -> Dict[str, Any]:
    return {"name": "x", "kind": "numeric", "side": "user", **others}


def test_statistics_by_hand(tmp_path: Path) -> None:
    values = pa.array([1.0, 3.0, float("nan"), float("inf"), 5.0], pa.float32())
    plain = learned(tmp_path / "a", [numeric()], {"x": values}).statistics["x"]
    assert plain.mean == pytest.approx(3.0)
    assert plain.deviation == pytest.approx(np.sqrt(8 / 3))
    clipped = learned(tmp_path / "b", [numeric(clip=[0, 4])], {"x": values}).statistics["x"]
    assert clipped.mean == pytest.approx(8 / 3)
    logs = learned(tmp_path / "c", [numeric(transform="log1p_standardise")], {"x": values}).statistics["x"]
    assert logs.mean == pytest.approx((np.log(2) + np.log(4) + np.log(6)) / 3)


def test_nothing_but_missing_values_is_no_problem(tmp_path: Path) -> None:
    nothing = pa.array([float("nan")] * 3, pa.float32())
    found = learned(tmp_path, [numeric(transform="bucketise", quantiles=4)], {"x": nothing}).statistics["x"]
    assert (found.mean, found.deviation, found.boundaries) == (0.0, 0.0, ())


def test_quantiles_make_buckets_equally_full(tmp_path: Path) -> None:
    values = np.random.default_rng(0).permutation(1_000).astype(np.float32)
    found = learned(tmp_path, [numeric(transform="bucketise", quantiles=4)], {"x": values}).statistics["x"]
    assert found.boundaries is not None
    assert np.bincount(np.searchsorted(found.boundaries, values, side="right")).tolist() == [250, 250, 250, 250]


def test_quantiles_of_few_values_are_distinct() -> None:
    assert statistics.quantiles(np.array([0.0] * 9 + [1.0]), 10) == [0.0, 1.0]


def test_quantiles_of_many_values_are_those_of_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "SAMPLE_ROWS", 1_000)
    values = np.arange(20_000, dtype=np.float32)
    features = [numeric(transform="bucketise", quantiles=2)]
    folder = tmp_path / "many"
    folder.mkdir()
    for start in range(0, 20_000, 5_000):
        parts.write_table(pa.table({"x": values[start : start + 5_000]}), folder / f"part-{start:05d}.parquet")
    schema = schemas.parse({"name": "test", "features": features}, "test")
    median = statistics.learn(folder, schema, 0)["x"].boundaries
    # The median of a sample of 1,000 of 20,000: standard deviation 20,000 * 0.5 / sqrt(1,000) = 316.
    assert median is not None and abs(median[0] - 10_000) < 4 * 316
    assert statistics.learn(folder, schema, 0)["x"].boundaries == median


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=5), max_size=6))
def test_moments_do_not_depend_on_the_batches(batches: List[List[float]]) -> None:
    moments = Moments()
    for batch in batches:
        moments.add(np.array(batch))
    values = np.array([value for batch in batches for value in batch])
    assert moments.count == len(values)
    assert moments.mean == pytest.approx(values.mean() if len(values) else 0.0, rel=1e-9, abs=1e-6)
    assert moments.deviation == pytest.approx(values.std() if len(values) else 0.0, rel=1e-6, abs=1e-3)


def test_great_numbers_do_not_cancel() -> None:
    moments = Moments()
    for value in (1e9, 1e9 + 1, 1e9 + 2):
        moments.add(np.array([value]))
    assert moments.deviation == pytest.approx(np.sqrt(2 / 3), rel=1e-6)
    assert statistics.scaled(Numeric(name="x", side="user", kind="numeric"), np.array([np.nan, 2.0])).tolist() == [2.0]


@pytest.mark.parametrize(
    ("labels", "masks", "message"),
    [
        ([0, 1, 0], [1, 1, 1], None),
        ([0, 1, 0], [1, 0, 1], "label 'y' is 0 in all 2 training rows that count"),
        ([1, 1, 1], [1, 1, 1], "label 'y' is 1 in all 3 training rows that count"),
        ([0, 1, 0], [0, 0, 0], "label 'y': mask 'm' is 0 in all training rows"),
    ],
)
def test_a_label_needs_two_classes(tmp_path: Path, labels: List[int], masks: List[int], message: Any) -> None:
    content = {"name": "t", "features": [ids("city")], "labels": [{"name": "y"}], "masks": [{"name": "m"}]}
    schema = schemas.parse({**content, "tasks": [{"name": "y", "label": "y", "mask": "m"}]}, "test")
    numbers = {"y": pa.array(labels, pa.float32()), "m": pa.array(masks, pa.float32())}
    parts.write_table(pa.table(numbers), tmp_path / "part-00000.parquet")
    layout = layouts.plan(schema, ["city", "y", "m"], "test")
    if message is None:
        require_two_classes(tmp_path, layout)
    else:
        with pytest.raises(UsageError, match=message):
            require_two_classes(tmp_path, layout)
