"""Raw cells to embedding rows and numbers: values by hand for every kind of feature, and what must hold for any row."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.encoding import Encoder, FeatureSpace, Table
from pipeline.prepared import Prepared, Statistics
from signatures.errors import UsageError
from tests import prepared_folder

SCHEMA: Dict[str, Any] = {
    "name": "films",
    "roles": {"user": "user_id", "item": "item_id"},
    "features": [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {"name": "query", "kind": "categorical", "side": "user", "dtype": "string", "hash_buckets": 4},
        {"name": "page", "kind": "categorical", "side": "context", "hash_buckets": 4},
        {"name": "age", "kind": "numeric", "side": "user", "transform": "bucketise", "boundaries": [18, 25]},
        {"name": "price", "kind": "numeric", "side": "item", "transform": "bucketise", "quantiles": 3},
        {"name": "plain", "kind": "numeric", "side": "user", "transform": "none", "clip": [-1, 1]},
        {"name": "scaled", "kind": "numeric", "side": "user", "transform": "standardise", "clip": [0, 20]},
        {"name": "constant", "kind": "numeric", "side": "user", "transform": "standardise"},
        {"name": "narrow", "kind": "numeric", "side": "user", "transform": "standardise"},
        {"name": "visits", "kind": "numeric", "side": "user", "transform": "log1p"},
        {"name": "clicks", "kind": "numeric", "side": "user", "transform": "log1p_standardise"},
        {"name": "image", "kind": "dense", "side": "item", "width": 2},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string", "maximum_length": 2},
        {
            "name": "history",
            "kind": "sequence",
            "side": "user",
            "shares": "item_id",
            "maximum_length": 3,
            "side_sequences": [{"name": "history_rating"}, {"name": "history_device", "dtype": "string"}],
            "times": "history_time",
        },
        # The owner of the history's table comes behind it.
        {"name": "item_id", "kind": "categorical", "side": "item"},
    ],
}
VOCABULARIES: Dict[str, List[Any]] = {
    "user_id": [7, 8],
    "city": ["Zürich", "New York"],
    "genres": ["Drama", "War", "Comedy"],
    "item_id": [10, 20, 30],
    "history_rating": [5],
    "history_device": ["phone"],
}
STATISTICS = {
    "price": Statistics(mean=0, deviation=1, boundaries=(1.0, 2.0)),
    "scaled": Statistics(mean=10, deviation=4),
    "constant": Statistics(mean=5, deviation=0),
    "narrow": Statistics(mean=0, deviation=0.001),
    "clicks": Statistics(mean=1, deviation=2),
}
DTYPES = {"int64": tf.int64, "string": tf.string, "float32": tf.float32}


def folder(path: Path, **vocabularies: List[Any]) -> Prepared:
    known = {**VOCABULARIES, **vocabularies}
    return prepared_folder.write(path / "data", SCHEMA, {"train": {"user_id": [7]}}, None, known, statistics=STATISTICS)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    prepared = folder(tmp_path_factory.mktemp("encoder"))
    return Encoder(prepared.schema, prepared)


@pytest.fixture(scope="module")
def traced(encoder: Encoder) -> Any:
    """The encoder as a signature has it: one trace for any batch and any list length."""
    columns = encoder.schema.columns()
    specs = {c.name: tf.TensorSpec([None, *c.shape], DTYPES[c.dtype], c.name) for c in columns}
    return tf.function(encoder, input_signature=[specs])


def tensors(encoder: Encoder, raw: Dict[str, Any]) -> Dict[str, tf.Tensor]:
    dtypes = {column.name: DTYPES[column.dtype] for column in encoder.schema.columns()}
    return {name: tf.constant(cells, dtypes[name]) for name, cells in raw.items()}


def encode(encoder: Encoder, **raw: Any) -> Dict[str, np.ndarray]:
    return {name: cells.numpy() for name, cells in encoder(tensors(encoder, raw)).items()}


# ---- values by hand


def test_tables_have_two_rows_more_than_the_vocabulary(encoder: Encoder) -> None:
    assert encoder.space == FeatureSpace(
        encoder.schema,
        {
            "user_id": Table("user_id", 4),
            "city": Table("city", 4),
            "query": Table("query", 4),  # missing and three buckets
            "page": Table("page", 4),
            "age": Table("age", 4),  # missing, and three buckets between two edges
            "price": Table("price", 4),
            "genres": Table("genres", 5),
            "history": Table("item_id", 5),
            "history_rating": Table("history_rating", 3),
            "history_device": Table("history_device", 3),
            "item_id": Table("item_id", 5),
        },
    )


def test_ids_are_0_missing_1_unknown_and_then_the_vocabulary(encoder: Encoder) -> None:
    found = encode(encoder, user_id=[7, 8, 9, -1, 2**62, -(2**63)], city=["New York", "Zürich", "zürich", "", "é", " "])
    assert found["user_id"].tolist() == [2, 3, 1, 0, 1, 1]
    assert found["city"].tolist() == [3, 2, 1, 0, 1, 1]
    assert found["user_id"].dtype == found["city"].dtype == np.int32


def test_hashes_start_at_1(encoder: Encoder) -> None:
    # TensorFlow's documentation: to_hash_bucket_fast(["Hello", "TensorFlow", "2.x"], 3) is [0, 2, 2].
    assert encode(encoder, query=["Hello", "TensorFlow", "2.x", ""])["query"].tolist() == [1, 3, 3, 0]


def test_an_integer_hashes_as_its_digits(encoder: Encoder) -> None:
    numbers = list(range(50))
    as_text = encode(encoder, query=[str(n) for n in numbers])["query"]
    assert encode(encoder, page=[*numbers, -1])["page"].tolist() == [*as_text.tolist(), 0]
    assert set(as_text.tolist()) == {1, 2, 3}


def test_buckets_hold_their_lower_edge(encoder: Encoder) -> None:
    found = encode(encoder, age=[-5, 17.9, 18, 24.9, 25, 1e30, math.nan, math.inf, -math.inf], price=[0.9, 1, 2] * 3)
    assert found["age"].tolist() == [1, 1, 2, 2, 3, 3, 0, 0, 0]
    assert found["price"].tolist() == [1, 2, 3] * 3
    assert found["age"].dtype == np.int32


def test_numbers(encoder: Encoder) -> None:
    found = encode(
        encoder,
        plain=[0.5, 7, -7, math.nan],  # clipped to [-1, 1]
        scaled=[12, 100, -3, math.nan],  # (12 - 10) / 4; clipped to 20 and to 0 first
        constant=[5, 6, math.inf, -math.inf],  # no deviation in training: divided by nothing
        visits=[0, math.e - 1, -5, math.nan],  # ln(1 + x), of what is below 0 as of 0
        clicks=[math.e**3 - 1, 0, math.nan, math.inf],  # (3 - 1) / 2, (0 - 1) / 2
    )
    expected: Dict[str, List[float]] = {
        "plain": [0.5, 1, -1, 0],
        "scaled": [0.5, 2.5, -2.5, 0],
        "constant": [0, 1, 0, 0],
        "visits": [0, 1, 0, 0],
        "clicks": [1, -0.5, 0, 0],
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_largest_numbers_stay_finite(encoder: Encoder) -> None:
    largest = float(np.finfo(np.float32).max)
    found = encode(
        encoder,
        constant=[largest, -largest],
        narrow=[largest, -largest],
        visits=[largest, 0],
        clicks=[largest, -largest],
    )
    assert all(np.isfinite(cells).all() for cells in found.values())


def test_vectors_keep_what_is_finite(encoder: Encoder) -> None:
    assert encode(encoder, image=[[1.5, math.nan], [-math.inf, -2]])["image"].tolist() == [[1.5, 0], [0, -2]]


def test_a_bag_keeps_its_first_cells(encoder: Encoder) -> None:
    found = encode(
        encoder,
        genres=[["War", "Drama", "Comedy"], ["Comedy", "", "War"], ["?", "War", "War"], ["War", "War", "War"]],
        genres_length=[3, 2, 1, 0],
    )
    assert found["genres"].tolist() == [[3, 2], [4, 0], [1, 0], [0, 0]]
    assert found["genres_length"].tolist() == [2, 2, 1, 0]
    assert found["genres_length"].dtype == np.int32


def test_a_sequence_keeps_its_newest_cells_in_step(encoder: Encoder) -> None:
    found = encode(
        encoder,
        history=[[10, 20, 30, 99, -1], [10, 20, 30, 10, 10], [30, 20, 10, 10, 10]],
        history_length=[5, 4, 2],
        history_rating=[[1, 2, 5, 5, 4], [5, 5, 5, 4, 5], [5, -1, 5, 5, 5]],
        history_device=[["phone", "", "tv", "phone", ""], ["phone"] * 5, ["tv", "", "x", "y", "z"]],
        history_time=[[1, 2, 3, 4, 5], [6, 7, 8, 9, 0], [11, 12, 0, 0, 0]],
    )
    assert found["history"].tolist() == [[4, 1, 0], [3, 4, 2], [4, 3, 0]]
    assert found["history_length"].tolist() == [3, 3, 2]
    assert found["history_rating"].tolist() == [[2, 2, 1], [2, 2, 1], [2, 0, 0]]
    assert found["history_device"].tolist() == [[1, 2, 0], [2, 2, 2], [1, 0, 0]]
    assert found["history_time"].tolist() == [[3, 4, 5], [7, 8, 9], [11, 12, 0]]


def test_lengths_that_lie_are_put_right(encoder: Encoder) -> None:
    found = encode(encoder, genres=[["War", "Drama"]] * 4, genres_length=[9, -1, 2**62, -(2**63)])
    assert found["genres_length"].tolist() == [2, 0, 2, 0]
    assert found["genres"].tolist() == [[3, 2], [0, 0], [3, 2], [0, 0]]


def test_lists_without_cells(encoder: Encoder) -> None:
    cells: Dict[str, Any] = {n: [[], []] for n in ("history", "history_rating", "history_device", "history_time")}
    found = encode(encoder, **cells, history_length=[0, 3])
    assert found["history"].shape == found["history_device"].shape == found["history_time"].shape == (2, 0)
    assert found["history_length"].tolist() == [0, 0]


def test_what_a_shorter_side_sequence_lacks_is_missing(encoder: Encoder) -> None:
    found = encode(
        encoder,
        history=[[10, 20, 30, 10]],
        history_length=[4],
        history_rating=[[5, 5]],
        history_device=[["phone"] * 6],
        history_time=[[]],
    )
    assert found["history"].tolist() == [[3, 4, 2]]
    assert found["history_rating"].tolist() == [[2, 0, 0]]
    assert found["history_device"].tolist() == [[2, 2, 2]]
    assert found["history_time"].tolist() == [[0, 0, 0]]


def test_candidates_have_one_axis_more(encoder: Encoder) -> None:
    found = encode(
        encoder,
        item_id=[[10, -1, 99], [20, 30, 10]],
        price=[[0, 1, 2], [math.nan, 0, 1]],
        image=[[[1, 2], [3, 4], [5, math.nan]], [[0, 0], [1, 1], [2, 2]]],
        genres=[[["War", "Drama"], ["War", ""], ["", ""]], [["Drama", "War"], ["?", "War"], ["War", "War"]]],
        genres_length=[[2, 1, 0], [1, 2, 2]],
    )
    assert found["item_id"].tolist() == [[2, 0, 1], [3, 4, 2]]
    assert found["price"].tolist() == [[1, 2, 3], [0, 1, 2]]
    assert found["image"].tolist() == [[[1, 2], [3, 4], [5, 0]], [[0, 0], [1, 1], [2, 2]]]
    assert found["genres"].tolist() == [[[3, 2], [3, 0], [0, 0]], [[2, 0], [1, 3], [3, 3]]]
    assert found["genres_length"].tolist() == [[2, 1, 0], [1, 2, 2]]


def test_a_side_can_be_encoded_alone(encoder: Encoder) -> None:
    assert set(encode(encoder, user_id=[7], history=[[10]], history_length=[1])) == {"user_id"}


# ---- vocabularies


def test_an_empty_vocabulary_is_refused(tmp_path: Path) -> None:
    prepared = folder(tmp_path, city=[])
    with pytest.raises(UsageError, match="vocabulary 'city' is empty, .*lower its minimum_count or drop it"):
        Encoder(prepared.schema, prepared)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("Zürich\n", "has 1 ids, not 2"), ("a\nb\nc\n", "has 3 ids, not 2"), ("a\na\n", "cannot be read"), (None, "read")],
)
def test_a_vocabulary_that_is_not_what_was_prepared_is_refused(tmp_path: Path, content: Any, problem: str) -> None:
    prepared = folder(tmp_path)
    prepared.vocabulary("city").unlink()
    if content is not None:
        prepared.vocabulary("city").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=f"city.txt .*{problem}.*; run signet prepare again"):
        Encoder(prepared.schema, prepared)


def test_a_saved_encoder_takes_its_vocabularies_along(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    module = tf.Module()
    module.encoder = Encoder(prepared.schema, prepared)
    specs = {
        "user_id": tf.TensorSpec([None], tf.int64, "user_id"),
        "city": tf.TensorSpec([None], tf.string, "city"),
        "scaled": tf.TensorSpec([None], tf.float32, "scaled"),
    }
    module.serve = tf.function(lambda raw: module.encoder(raw), input_signature=[specs])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    shutil.rmtree(prepared.folder)
    moved = shutil.move(str(tmp_path / "saved"), str(tmp_path / "moved"))
    assert {file.stem for file in (tmp_path / "moved" / "assets").iterdir()} == set(VOCABULARIES)
    served = tf.saved_model.load(moved).signatures["serving_default"]
    found = served(user_id=tf.constant([8, 1, -1], tf.int64), city=["Zürich", "?", ""], scaled=[12.0, math.nan, 10.0])
    assert found["user_id"].numpy().tolist() == [3, 1, 0]
    assert found["city"].numpy().tolist() == [2, 1, 0]
    assert found["scaled"].numpy().tolist() == [0.5, 0, 0]


# ---- what holds for any row

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, 5, 7, 8, 10, 20, 30])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["", "phone", "War", "Zürich"])
FLOATS = st.floats(width=32) | st.sampled_from([18.0, 25.0, 0.0])
CELLS: Dict[str, st.SearchStrategy[Any]] = {"int64": INTEGERS, "string": TEXTS, "float32": FLOATS}


@st.composite
def any_rows(draw: st.DrawFn, encoder: Encoder, in_step: bool = False) -> Dict[str, Any]:
    """Raw columns of up to four rows, as JSON may bring them: any cell, any length, lists of any width.

    in_step: lists of one feature have the same width, and lengths that they can bear.
    """
    count = draw(st.integers(1, 4))
    widths = {column.length: draw(st.integers(0, 6)) for column in encoder.schema.columns() if column.length}
    raw: Dict[str, Any] = {}
    for column in encoder.schema.columns():
        cell = CELLS[column.dtype]
        shape: Tuple[int, ...] = (count,)
        if column.length is not None:
            shape = (count, widths[column.length] if in_step else draw(st.integers(0, 6)))
        elif column.shape:
            shape = (count, int(column.shape[0] or 0))
        elif in_step and column.role == "length":
            cell = st.integers(0, widths[column.name])
        raw[column.name] = draw(arrays(column.dtype, cell, shape))
    return raw


@st.composite
def arrays(draw: st.DrawFn, dtype: str, cell: st.SearchStrategy[Any], shape: Tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    flat = draw(st.lists(cell, min_size=size, max_size=size))
    return np.array(flat, object if dtype == "string" else dtype).reshape(shape)


ANY_ROW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ANY_ROW
@given(data=st.data())
def test_any_row_encodes(encoder: Encoder, traced: Any, data: st.DataObject) -> None:
    raw = data.draw(any_rows(encoder))
    found = traced(tensors(encoder, raw))
    assert set(found) == {column.name for column in encoder.schema.columns()}
    for name, cells in found.items():
        if name in encoder.tables:
            assert cells.dtype == tf.int32
            assert tf.reduce_all((cells >= 0) & (cells < encoder.tables[name].rows))
        elif name.endswith("_length"):
            assert tf.reduce_all((cells >= 0) & (cells <= tf.shape(found[name[: -len("_length")]])[1]))
        elif cells.dtype == tf.float32:
            assert tf.reduce_all(tf.math.is_finite(cells))


@ANY_ROW
@given(data=st.data())
def test_padding_never_matters(encoder: Encoder, traced: Any, data: st.DataObject) -> None:
    raw = data.draw(any_rows(encoder, in_step=True))
    longer = dict(raw)
    lists = [column for column in encoder.schema.columns() if column.length is not None]
    more = data.draw(st.integers(1, 5))
    for column in lists:
        rubbish = data.draw(arrays(column.dtype, CELLS[column.dtype], (len(raw["user_id"]), more)))
        longer[column.name] = np.concatenate([raw[column.name], rubbish], axis=1)
    short, long = traced(tensors(encoder, raw)), traced(tensors(encoder, longer))
    for column in lists:
        expected, found = short[column.name].numpy(), long[column.name].numpy()
        np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
        np.testing.assert_array_equal(long[str(column.length)], short[str(column.length)])
        beyond = np.arange(found.shape[1]) >= long[str(column.length)].numpy()[:, np.newaxis]
        assert not found[beyond].any()


@ANY_ROW
@given(data=st.data())
def test_the_order_of_rows_never_matters(encoder: Encoder, traced: Any, data: st.DataObject) -> None:
    raw = data.draw(any_rows(encoder))
    order = data.draw(st.permutations(range(len(raw["user_id"]))))
    straight, turned = (traced(tensors(encoder, r)) for r in (raw, {n: c[list(order)] for n, c in raw.items()}))
    for name, cells in straight.items():
        np.testing.assert_array_equal(turned[name], cells.numpy()[list(order)])


@ANY_ROW
@given(data=st.data())
def test_a_row_alone_and_among_candidates(encoder: Encoder, data: st.DataObject) -> None:
    item_side = {column.name for column in encoder.schema.columns("item")}
    raw = {name: cells for name, cells in data.draw(any_rows(encoder)).items() if name in item_side}
    flat = encode(encoder, **raw)
    as_candidates = encode(encoder, **{name: cells[np.newaxis] for name, cells in raw.items()})
    for name, cells in flat.items():
        np.testing.assert_array_equal(as_candidates[name][0], cells)
