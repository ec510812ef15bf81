"""The input pipeline: which examples an epoch has, that it is repeatable, and that it reads no more than it needs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import rows as row_files
from pipeline.batches import TrainingBatch
from pipeline.dataset import steps_per_epoch, training_batches, validation_batches
from pipeline.encoding import Encoder
from pipeline.examples import Examples
from pipeline.plan import Plan
from pipeline.prepared import Prepared
from pipeline.schema import Schema
from signatures.errors import UsageError
from tests import training_folder
from tests.training_folder import DAY, EVENTS, GROUP, ITEMS, USERS

PLAN = Plan(batch_size=16, negatives_per_positive=3, shuffle_row_groups=2)
EVENT_COUNT = (USERS - 1) * EVENTS + ITEMS
FIRST = 2
"""The embedding row of the first entry of a vocabulary: user u and item i are rows u + 2 and i + 2."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return training_folder.write(tmp_path_factory.mktemp("events") / "data")


def select(prepared: Prepared, tasks: Tuple[str, ...], features: Any = None) -> Schema:
    names = prepared.schema.feature_names if features is None else features
    return prepared.schema.select(tuple(prepared.schema.feature(name) for name in names), tasks)


def epoch(
    prepared: Prepared,
    rows: Any = "pointwise",
    tasks: Tuple[str, ...] = ("click", "like"),
    plan: Plan = PLAN,
    seed: int = 1,
    epoch: int = 0,
    skip: int = 0,
    features: Any = None,
) -> List[TrainingBatch]:
    schema = select(prepared, tasks, features)
    data = training_batches(prepared, Encoder(schema, prepared), schema, rows, plan, seed, epoch, skip)
    return list(data)


def joined(batches: List[TrainingBatch]) -> Dict[str, np.ndarray]:
    """Everything of an epoch by name, one after the other; lists padded."""
    parts = []
    for batch in batches:
        found = {**batch.features, **batch.labels, **batch.masks, **batch.sample_weights}
        parts.append({name: cells.numpy() for name, cells in found.items()})
    return row_files.concatenate(parts)


def same(first: List[TrainingBatch], second: List[TrainingBatch]) -> bool:
    if len(first) != len(second):
        return False
    pairs = zip(tf.nest.flatten(first), tf.nest.flatten(second))
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)


# ---- which examples there are


def test_each_event_once_and_its_negatives_behind_it(prepared: Prepared) -> None:
    found = joined(epoch(prepared))
    events = training_folder.events()
    happened = found["click"] == 1
    pairs = list(zip(found["user_id"][happened] - FIRST, found["item_id"][happened] - FIRST))
    assert sorted(pairs) == sorted(zip(events["user_id"], events["item_id"]))
    # The last user has met all items: its events have no negatives; each other event has three.
    runs = np.diff(np.append(np.flatnonzero(happened), len(happened))) - 1
    users = found["user_id"][happened] - FIRST
    assert set(runs[users == USERS - 1]) == {0} and set(runs[users < USERS - 1]) == {3}
    met = set(zip(events["user_id"], events["item_id"]))
    drawn = set(zip(found["user_id"][~happened] - FIRST, found["item_id"][~happened] - FIRST))
    assert not met & drawn


def test_a_negative_has_its_own_item_and_the_event_s_user(prepared: Prepared) -> None:
    found = joined(epoch(prepared))
    items = found["item_id"] - FIRST
    np.testing.assert_array_equal(found["price"], items)
    np.testing.assert_array_equal(found["genres_length"], items % 3)
    # Of item 5: genre 0 and genre 1, rows 2 and 3.
    np.testing.assert_array_equal(found["genres"][items == 5], np.tile([2, 3], (sum(items == 5), 1)))
    event = np.maximum.accumulate(np.where(found["click"] == 1, np.arange(len(items)), 0))
    for name in ("user_id", "city", "hour", "history", "history_length", "history_rating", "history_time"):
        np.testing.assert_array_equal(found[name], found[name][event], err_msg=name)
    # Times are 0, 1, 2, ... days, so the history of the third event is what the user met first.
    third = (found["click"] == 1) & (found["history_time"][:, 1] == 2 * DAY - 1)
    assert third.sum() == USERS
    np.testing.assert_array_equal(found["history"][third][:, 1], items[third] - 1 + FIRST)


def test_labels_and_masks_of_events_and_negatives(prepared: Prepared) -> None:
    found = joined(epoch(prepared))
    happened = found["click"] == 1
    np.testing.assert_array_equal(found["like"], np.where(happened, (found["item_id"] - FIRST) % 2, 0))
    np.testing.assert_array_equal(found["like_mask"], happened)
    np.testing.assert_array_equal(found["weight"], 1)
    assert all(found[name].dtype == np.float32 for name in ("click", "like", "like_mask", "weight"))
    assert {cells.dtype.name for name, cells in found.items() if name in ("user_id", "history", "genres_length")} == {
        "int32"
    }


def test_the_batch_keeps_its_four_dicts_apart(prepared: Prepared) -> None:
    batch = epoch(prepared, tasks=("like",), features=("user_id", "item_id"))[0]
    assert isinstance(batch, TrainingBatch)
    assert set(batch.features) == {"user_id", "item_id"}
    assert [set(part) for part in batch[1:]] == [{"like"}, {"like_mask"}, {"weight"}]


def test_batches_are_full_but_the_last(prepared: Prepared) -> None:
    sizes = [len(batch.labels["click"]) for batch in epoch(prepared)]
    # 40 events with 3 negatives and 40 without: 200 examples.
    assert sizes == [16] * 12 + [8]


def test_popular_items_are_drawn_more_often(prepared: Prepared) -> None:
    plan = PLAN.model_copy(
        update={"negative_sampler": "popularity", "popularity_alpha": 2.0, "negatives_per_positive": 30}
    )
    found = joined(epoch(prepared, plan=plan, features=("user_id", "item_id")))
    drawn = Counter((found["item_id"][found["click"] == 0] - FIRST).tolist())
    # train_count is 1 + item, so that item 39 weighs 1600 and item 0 weighs 1.
    assert drawn[39] > 50 > 5 > drawn[0]


def test_windows_end_with_every_fourth_row_from_the_newest(prepared: Prepared) -> None:
    found = joined(epoch(prepared, "windows", ("next_item",)))
    events = training_folder.events()
    ends = [(u, i) for u, i, n in zip(events["user_id"], events["item_id"], events["newer_events"]) if n % 4 == 0]
    assert len(ends) == 5 * 2 + 10  # histories have at most 4 events
    assert sorted(zip(found["user_id"] - FIRST, found["next_item"] - FIRST)) == sorted(ends)
    assert found["next_item"].dtype == np.int32
    np.testing.assert_array_equal(found["next_item"], found["item_id"])


def test_positives_of_events_are_all_of_them(prepared: Prepared) -> None:
    found = joined(epoch(prepared, "positives", ("click",)))
    assert len(found["click"]) == EVENT_COUNT
    assert set(found["click"]) == {1}


def test_positives_are_those_of_the_task(prepared: Prepared) -> None:
    found = joined(epoch(prepared, "positives", ("like",)))
    assert len(found["like"]) == sum(training_folder.events()["like"])
    assert set((found["item_id"] - FIRST) % 2) == {1}


def labelled_rows() -> Dict[str, List[Any]]:
    """Ten rows: click 1 on two of them, like 1 on one that its mask lets count and one that it does not."""
    rows = [{**training_folder.row(0, [], i, DAY * i), "click": 0.0, "like": 0.0} for i in range(10)]
    rows[3]["click"] = rows[7]["click"] = 1.0
    rows[3]["like"] = rows[4]["like"] = 1.0
    rows[4]["like_mask"] = 0.0
    return training_folder.columns(rows)


def test_labelled_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data", labelled_rows(), positives_only=False)
    found = joined(epoch(prepared))
    order = np.argsort(found["item_id"])
    assert (found["item_id"][order] - FIRST).tolist() == list(range(10))
    for name in ("click", "like", "like_mask"):
        assert found[name][order].tolist() == labelled_rows()[name]
    clicked = joined(epoch(prepared, "positives", ("click",)))
    assert sorted(clicked["item_id"] - FIRST) == [3, 7]
    liked = joined(epoch(prepared, "positives", ("like",)))
    assert sorted(liked["item_id"] - FIRST) == [3]


# ---- repeatable


def test_an_epoch_is_a_function_of_seed_and_epoch(prepared: Prepared) -> None:
    first = epoch(prepared)
    assert same(first, epoch(prepared))
    for other in (epoch(prepared, epoch=1), epoch(prepared, seed=2)):
        found, expected = joined(other), joined(first)
        assert not np.array_equal(found["user_id"], expected["user_id"])
        assert Counter(found["user_id"]) == Counter(expected["user_id"])
        negatives = [Counter(part["item_id"][part["click"] == 0].tolist()) for part in (found, expected)]
        assert negatives[0] != negatives[1]


def test_rows_and_row_groups_are_shuffled(prepared: Prepared) -> None:
    examples = Examples(prepared, select(prepared, ("click",)), "positives", PLAN, "train")
    events = training_folder.events()
    place = {pair: n for n, pair in enumerate(zip(events["user_id"], events["item_id"]))}
    rows = row_files.concatenate([batch.rows for batch in examples.batches(seed=1, epoch=0)])
    order = np.array([place[pair] for pair in zip(rows["user_id"], rows["item_id"])])
    assert sorted(order) == list(range(EVENT_COUNT))
    groups = order // GROUP
    # Twelve groups, the last of three rows, come two at a time: which two is drawn, and their rows are mixed.
    first = list(dict.fromkeys(groups))[:4]
    assert sorted(first) != [0, 1, 2, 3]
    assert len(set(groups[: GROUP - 1])) == 2
    assert any(list(order[groups == group]) != sorted(order[groups == group]) for group in range(12))


def test_one_row_group_is_shuffled_anew_each_epoch(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data", row_group=1000)
    examples = Examples(prepared, select(prepared, ("click",)), "pointwise", PLAN, "train")
    epochs = []
    for number in range(2):
        batches = list(examples.batches(seed=1, epoch=number))
        items = np.concatenate([batch.items["item_id"] for batch in batches if batch.items])
        happened = np.concatenate([batch.numbers["click"] for batch in batches]) == 1
        epochs.append((items[happened].tolist(), Counter(items[~happened].tolist())))
    assert epochs[0][0] != epochs[1][0] != training_folder.events()["item_id"]
    assert epochs[0][1] != epochs[1][1]


def test_shifted_windows_keep_the_newest_and_move_the_others(prepared: Prepared) -> None:
    plan = PLAN.model_copy(update={"windows": "shifted"})
    events = training_folder.events()
    newer = {(u, i): n for u, i, n in zip(events["user_id"], events["item_id"], events["newer_events"])}
    offsets = set()
    for number in range(12):
        found = joined(epoch(prepared, "windows", ("next_item",), plan, epoch=number))
        ends = sorted(newer[u - FIRST, i - FIRST] for u, i in zip(found["user_id"], found["next_item"]))
        offset = ends[USERS] % 4
        assert ends == sorted(n for n in newer.values() if n == 0 or (n > 0 and n % 4 == offset))
        offsets.add(offset)
    assert offsets == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("rows", "tasks", "size"),
    [("pointwise", ("click", "like"), 23), ("positives", ("click",), 11), ("windows", ("next_item",), 5)],
)
def test_a_resumed_epoch_goes_on_with_the_same_batches(
    prepared: Prepared, rows: Any, tasks: Tuple[str, ...], size: int
) -> None:
    plan = PLAN.model_copy(update={"batch_size": size})
    whole = epoch(prepared, rows, tasks, plan)
    assert len(whole) > 3
    for skip in (1, len(whole)):
        assert same(epoch(prepared, rows, tasks, plan, skip=skip), whole[skip:]), skip
    # The same before encoding, at every place.
    examples = Examples(prepared, select(prepared, tasks), rows, plan, "train")
    raw = list(examples.batches(1, 0))
    assert len(raw) == len(whole)
    for skip in range(len(raw) + 2):
        rest = list(examples.batches(1, 0, skip))
        assert len(rest) == len(raw[skip:])
        for found, expected in zip(rest, raw[skip:]):
            tf.nest.map_structure(np.testing.assert_array_equal, vars(found), vars(expected))


def test_the_features_of_skipped_windows_are_not_read(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = select(prepared, ("click",))
    examples = Examples(prepared, schema, "pointwise", PLAN, "train")
    reads: List[bool] = []
    read = row_files.read_groups

    def spied(groups: Any, columns: Any, others: Any = (), at: Any = None) -> Any:
        assert sum(group.rows for group in groups) <= PLAN.shuffle_row_groups * GROUP
        reads.append(bool(columns))
        return read(groups, columns, others, at)

    monkeypatch.setattr(row_files, "read_groups", spied)
    assert sum(batch.size for batch in examples.batches(1, 0)) == 200
    assert sum(reads) == 6  # windows of two of the twelve groups
    reads.clear()
    assert sum(batch.size for batch in examples.batches(1, 0, skip=12)) == 8
    assert sum(reads) == 1 and len(reads) == 7


def test_steps_are_the_batches(prepared: Prepared) -> None:
    for rows, tasks in (("positives", ("click",)), ("windows", ("next_item",)), ("positives", ("like",))):
        steps = steps_per_epoch(prepared, select(prepared, tasks), rows, PLAN)  # type: ignore[arg-type]
        assert steps == len(epoch(prepared, rows, tasks))
    # 80 events times 4 as if all negatives were found; the user who has met everything has none, so 13 come.
    assert steps_per_epoch(prepared, select(prepared, ("click",)), "pointwise", PLAN) == 20


def test_validation_is_in_order_with_the_same_negatives(prepared: Prepared) -> None:
    schema = select(prepared, ("click",))
    encoder = Encoder(schema, prepared)
    data = validation_batches(prepared, encoder, schema, "pointwise", PLAN, seed=1)
    first, second = list(data), list(data)
    assert same(first, second)
    found = joined(first)
    assert (found["user_id"] - FIRST).tolist() == [0] * 4 + [1] * 4
    assert found["item_id"][found["click"] == 1].tolist() == [30 + FIRST, 31 + FIRST]
    windows = list(validation_batches(prepared, encoder, schema, "windows", PLAN, seed=1))
    assert len(joined(windows)["user_id"]) == 2


def test_negatives_know_nothing_of_later_parts_but_the_row_s_own_item(prepared: Prepared) -> None:
    schema = select(prepared, ("click",), ("user_id", "item_id"))
    plan = PLAN.model_copy(update={"negatives_per_positive": 500})
    drawn = joined(epoch(prepared, plan=plan, tasks=("click",), features=("user_id", "item_id")))
    of_user = drawn["item_id"][(drawn["click"] == 0) & (drawn["user_id"] == 0 + FIRST)] - FIRST
    # User 0 met 0 to 7 in training. Item 30 comes in validation, and nobody may know that yet.
    assert set(of_user) == set(range(EVENTS, ITEMS))
    later = validation_batches(prepared, Encoder(schema, prepared), schema, "pointwise", plan, seed=1)
    found = joined(list(later))
    of_user = found["item_id"][(found["click"] == 0) & (found["user_id"] == 0 + FIRST)] - FIRST
    assert set(of_user) == set(range(EVENTS, ITEMS)) - {30}


# ---- weights


def test_negatives_weigh_as_much_as_their_event(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data")
    found = joined(epoch(prepared, plan=PLAN.model_copy(update={"class_balance": True})))
    np.testing.assert_array_equal(found["weight"], np.where(found["click"] == 1, np.float32(1), np.float32(1 / 3)))


def test_classes_of_labelled_rows_weigh_the_same_in_sum(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data", labelled_rows(), positives_only=False)
    found = joined(epoch(prepared, tasks=("click",), plan=PLAN.model_copy(update={"class_balance": True})))
    # Two rows of ten are positive: the other eight weigh 2/8.
    np.testing.assert_array_equal(found["weight"], np.where(found["click"] == 1, 1, 0.25))


def test_old_rows_weigh_less(prepared: Prepared) -> None:
    plan = PLAN.model_copy(update={"recency_half_life_days": 3.0})
    found = joined(epoch(prepared, "positives", ("click",), plan))
    # The newest event of training is that of day 39; event n of a user is of day n. The last user met item n on day n,
    # the others their u * 3 + n.
    user, item = found["user_id"] - FIRST, found["item_id"] - FIRST
    day = np.where(user == USERS - 1, item, item - 3 * user)
    np.testing.assert_allclose(found["weight"], 0.5 ** ((39 - day) / 3), rtol=1e-6)
    assert found["weight"][day == 39].tolist() == [1.0]
    assert found["weight"][day == 36].tolist() == [0.5]


def test_recency_and_balance_multiply(prepared: Prepared) -> None:
    plan = PLAN.model_copy(update={"recency_half_life_days": 3.0, "class_balance": True})
    found = joined(epoch(prepared, plan=plan))
    event = np.maximum.accumulate(np.where(found["click"] == 1, np.arange(len(found["click"])), 0))
    share = np.where(found["click"] == 1, 1, 1 / 3)
    np.testing.assert_allclose(found["weight"], found["weight"][event] * share, rtol=1e-6)


def test_a_stored_weight_multiplies(tmp_path: Path) -> None:
    rows = labelled_rows()
    rows["weight"] = [float(i) for i in range(10)]
    prepared = training_folder.write(tmp_path / "data", rows, positives_only=False)
    found = joined(epoch(prepared, tasks=("click",), plan=PLAN.model_copy(update={"class_balance": True})))
    share = np.where(found["click"] == 1, 1, 0.25)
    np.testing.assert_allclose(found["weight"], (found["item_id"] - FIRST) * share, rtol=1e-6)


# ---- what is shared with serving, and what is read


def test_the_dataset_encodes_as_a_signature_does(prepared: Prepared) -> None:
    schema = select(prepared, ("click",))
    encoder = Encoder(schema, prepared)
    dtypes = {"int64": tf.int64, "string": tf.string, "float32": tf.float32}
    specs = {c.name: tf.TensorSpec([None, *c.shape], dtypes[c.dtype], c.name) for c in schema.columns()}
    signature = tf.function(encoder, input_signature=[specs])
    examples = Examples(prepared, schema, "positives", PLAN, "train")
    data = training_batches(prepared, encoder, schema, "positives", PLAN, 3, 2)
    for raw, batch in zip(examples.batches(3, 2), data):
        served = signature({name: tf.constant(cells, specs[name].dtype) for name, cells in raw.rows.items()})
        assert set(served) == set(batch.features)
        for name, cells in served.items():
            np.testing.assert_array_equal(batch.features[name], cells, err_msg=name)


def test_only_the_columns_of_the_model_are_read(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data")
    file = prepared.part("train") / "part-00000.parquet"
    pq.write_table(pq.read_table(file, columns=["user_id", "item_id", "click"]), file)
    found = joined(epoch(prepared, tasks=("click",), features=("user_id", "item_id")))
    assert len(found["click"]) == 200
    with pytest.raises(UsageError, match="column 'like' is missing in .*part-00000.parquet"):
        epoch(prepared, tasks=("like",), features=("user_id", "item_id"))


def test_a_truncated_file_is_named_before_anything_starts(tmp_path: Path) -> None:
    prepared = training_folder.write(tmp_path / "data")
    file = prepared.part("train") / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(UsageError, match="part-00000.parquet is no whole Parquet file"):
        epoch(prepared)


# ---- what is refused


def test_one_class_is_refused(tmp_path: Path) -> None:
    rows = labelled_rows()
    rows["click"] = [1.0] * 10
    prepared = training_folder.write(tmp_path / "data", rows, positives_only=False)
    with pytest.raises(UsageError, match="label 'click' has 10 positive and 0 negative rows in the training part"):
        epoch(prepared)


def test_a_label_that_is_no_number_is_refused(tmp_path: Path) -> None:
    rows = labelled_rows()
    rows["click"][5] = None
    prepared = training_folder.write(tmp_path / "data", rows, positives_only=False)
    with pytest.raises(UsageError, match="column 'click' of the prepared data has a cell that is no number"):
        epoch(prepared)


def test_negatives_need_to_know_their_cross_features(tmp_path: Path) -> None:
    schema = {**training_folder.SCHEMA}
    schema["features"] = [
        {**f, "side": "cross"} if f["name"] == "price" else f for f in training_folder.SCHEMA["features"]
    ]
    prepared = training_folder.write(tmp_path / "known", schema=schema)
    assert len(joined(epoch(prepared))["price"]) == 200
    table = pq.read_table(prepared.items)
    pq.write_table(table.drop_columns(["price"]), prepared.items)
    with pytest.raises(UsageError, match="feature column 'price' is of the cross side and not known"):
        epoch(prepared)
    assert epoch(prepared, features=("user_id", "item_id"))


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        ({"class_balance": True}, "positives", "the model learns from positives, which have one class; drop it"),
        ({"recency_half_life_days": 5.0}, "pointwise", "the schema names no time column; set roles.time"),
    ],
)
def test_weights_in_vain_are_refused(tmp_path: Path, changes: Dict[str, Any], rows: Any, message: str) -> None:
    schema = {**training_folder.SCHEMA, "roles": {"user": "user_id", "item": "item_id"}}
    prepared = training_folder.write(tmp_path / "data", schema=schema)
    with pytest.raises(UsageError, match=message):
        epoch(prepared, rows, ("click",), PLAN.model_copy(update=changes))


def test_weights_without_a_declared_one_are_refused(tmp_path: Path) -> None:
    schema = {**training_folder.SCHEMA, "sample_weights": [], "tasks": [{"name": "click", "label": "click"}]}
    prepared = training_folder.write(tmp_path / "data", schema=schema)
    with pytest.raises(UsageError, match="class_balance is set, but no task has a sample_weight"):
        epoch(prepared, tasks=("click",), plan=PLAN.model_copy(update={"class_balance": True}))
