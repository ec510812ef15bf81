"""What every model owes, whatever it is. A model gets these tests by standing in `registry.NAMES`."""

from __future__ import annotations

import warnings
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline import inference, rank_items, requests, saved_models, wire
from pipeline.batches import TrainingBatch
from pipeline.builder import Built
from pipeline.gates import TOLERANCE, differences, tile
from pipeline.items import load as load_items
from pipeline.models import registry
from pipeline.prepared import Prepared
from signatures.purity import prove
from tests import built_models

CACHE: Dict[str, Built] = {}


@pytest.fixture(params=registry.NAMES)
def made(request: pytest.FixtureRequest, tiny_prepared: Prepared) -> Built:
    if request.param not in CACHE:
        CACHE[request.param] = built_models.built(request.param, tiny_prepared)
    return CACHE[request.param]


@pytest.fixture
def batch(made: Built, tiny_prepared: Prepared) -> TrainingBatch:
    return built_models.batch(made, tiny_prepared)


def scores(made: Built, features: Dict[str, tf.Tensor]) -> Dict[str, np.ndarray]:
    return {task: z.numpy() for task, z in made.graph(features, training=False).items()}


def gradients(made: Built, batch: TrainingBatch) -> List[np.ndarray]:
    """Of the reduced loss in inference mode: nothing drawn, nothing averaged over time."""
    with tf.GradientTape() as tape:
        total, _ = made.graph.loss_of(batch, training=False)
    found = tape.gradient(total, made.model.trainable_variables)
    return [tf.convert_to_tensor(g).numpy() if g is not None else np.zeros(()) for g in found]


def same(one: List[np.ndarray], other: List[np.ndarray]) -> bool:
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(one, other))


def weighted(made: Built, batch: TrainingBatch, weights: np.ndarray) -> TrainingBatch:
    return batch._replace(sample_weights={name: tf.constant(weights, tf.float32) for name in batch.sample_weights})


def test_a_row_scores_the_same_alone_as_in_its_batch(made: Built, batch: TrainingBatch) -> None:
    together = scores(made, batch.features)
    alone = scores(made, built_models.rows_of(batch.features, [5]))
    for task, values in together.items():
        np.testing.assert_allclose(alone[task], values[5:6], atol=TOLERANCE)


def test_cells_beyond_the_length_do_not_matter(made: Built, batch: TrainingBatch) -> None:
    longer = dict(batch.features)
    for feature in made.schema.features:
        for column in feature.columns():
            if column.length is not None:
                cells = batch.features[column.name]
                longer[column.name] = tf.concat([cells, tf.ones_like(cells[..., :1]), tf.ones_like(cells[..., :1])], -1)
    for task, values in scores(made, batch.features).items():
        np.testing.assert_allclose(scores(made, longer)[task], values, atol=TOLERANCE)


def test_an_empty_history_is_finite(made: Built, batch: TrainingBatch) -> None:
    empty = dict(batch.features)
    for feature in made.schema.features:
        for column in feature.columns():
            if column.role == "length":
                empty[column.name] = tf.zeros_like(batch.features[column.name])
    assert all(np.isfinite(values).all() for values in scores(made, empty).values())
    assert np.isfinite(made.graph.loss_of(batch._replace(features=empty), training=False)[0].numpy())


def test_every_variable_gets_a_gradient(made: Built, batch: TrainingBatch) -> None:
    still = [v.name for v, g in zip(made.model.trainable_variables, gradients(made, batch)) if not np.any(g)]
    assert not still


def test_a_row_of_weight_zero_has_no_say_of_its_own(made: Built, batch: TrainingBatch) -> None:
    weights = np.ones(len(next(iter(batch.labels.values()))), np.float32)
    weights[3] = 0.0
    light = weighted(made, batch, weights)
    before = gradients(made, light)
    flipped = {name: tf.tensor_scatter_nd_update(y, [[3]], [1 - y[3]]) for name, y in batch.labels.items()}
    assert same(gradients(made, light._replace(labels=flipped)), before)
    assert not same(gradients(made, batch._replace(labels=flipped)), gradients(made, batch))


def test_weight_two_is_the_row_twice(made: Built, batch: TrainingBatch) -> None:
    if made.spec.rows == "positives":
        pytest.skip("a row is a negative of the other rows of its batch, so twice the row is another batch")
    few = built_models.take(batch, list(range(8)))
    twice = built_models.take(batch, [*range(8), 2])
    weights = np.ones(8, np.float32)
    weights[2] = 2.0
    assert same(gradients(made, weighted(made, few, weights)), gradients(made, weighted(made, twice, np.ones(9))))


def test_a_masked_task_gives_no_gradient(made: Built, batch: TrainingBatch) -> None:
    masked = batch._replace(masks={name: tf.zeros_like(mask) for name, mask in batch.masks.items()})
    _, losses = made.graph.loss_of(masked, training=False)
    for task in made.schema.tasks:
        if task.mask is not None:
            assert losses[task.name].numpy() == 0.0
        else:
            assert losses[task.name].numpy() > 0.0


def test_what_is_masked_may_be_nan(made: Built, batch: TrainingBatch) -> None:
    masks = {name: tf.tensor_scatter_nd_update(mask, [[0]], [0.0]) for name, mask in batch.masks.items()}
    if not masks:
        pytest.skip("no task of this model has a mask")
    labels = {
        task.label: tf.tensor_scatter_nd_update(batch.labels[task.label], [[0]], [np.nan])
        for task in made.schema.tasks
        if task.mask is not None
    }
    poisoned = batch._replace(masks=masks, labels={**batch.labels, **labels})
    assert np.isfinite(made.graph.loss_of(poisoned, training=False)[0].numpy())


def test_it_learns_64_rows(made: Built, tiny_prepared: Prepared) -> None:
    fresh = built_models.built(made.experiment.model, tiny_prepared)
    batch = built_models.batch(fresh, tiny_prepared)
    fresh.graph.compile(optimizer=keras.optimizers.Adam(0.01))
    first = float(fresh.graph.loss_of(batch, training=False)[0])
    data = tf.data.Dataset.from_tensors(batch).repeat(300)
    fresh.graph.fit(data, epochs=1, verbose=0)
    last = float(fresh.graph.loss_of(batch, training=False)[0])
    assert last < 0.1 * first


def test_tracing_is_silent(made: Built, tiny_prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for signature in inference.signatures(made, load_items(tiny_prepared)):
            signature.trace()
    assert not [r.message for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


def test_rank_is_serving_default_on_tiled_rows(made: Built, tiny_prepared: Prepared) -> None:
    items = load_items(tiny_prepared)
    by_name = {s.name: s for s in inference.signatures(made, items)}
    rows = requests.request(by_name["rank"], made, requests.sample(made, tiny_prepared, 6), items, candidates=5)
    ranked = call(by_name["rank"], rows)
    tiled = call(
        by_name["serving_default"], tile(rows, by_name["rank"].described(), by_name["serving_default"].described())
    )
    assert not differences("rank", ranked, {k: v.reshape(ranked[k].shape) for k, v in tiled.items()})


@pytest.mark.parametrize("largest_parts", [1 << 30, 0])
def test_rank_items_is_serving_default_on_what_the_ids_stand_for(
    made: Built, tiny_prepared: Prepared, monkeypatch: pytest.MonkeyPatch, largest_parts: int
) -> None:
    monkeypatch.setattr(rank_items, "LARGEST_PARTS", largest_parts)
    items = load_items(tiny_prepared)
    by_name = {s.name: s for s in inference.signatures(made, items)}
    rows = requests.request(by_name["rank_items"], made, requests.sample(made, tiny_prepared, 6), items, candidates=5)
    item = made.schema.feature(str(made.schema.roles.item))
    unknown, missing = ("no such item", "") if item.dtype == "string" else (987654321, -1)
    rows[item.name][1, 2], rows[item.name][2, 0] = unknown, missing
    ranked = call(by_name["rank_items"], rows)
    whole = {**rows, **rank_items.described(made.schema, items, rows[item.name])}
    tiled = tile(whole, by_name["rank"].described(), by_name["serving_default"].described())
    expected = call(by_name["serving_default"], tiled)
    assert not differences("rank_items", ranked, {k: v.reshape(ranked[k].shape) for k, v in expected.items()})
    assert all(np.unique(v).size > 20 for v in ranked.values())  # answers that are all the same would agree


def test_rank_works_in_mixed_precision(made: Built, tiny_prepared: Prepared) -> None:
    half = built_models.built(made.experiment.model, tiny_prepared, ["precision=mixed_bfloat16"])
    items = load_items(tiny_prepared)
    by_name = {s.name: s for s in inference.signatures(half, items)}
    rows = requests.request(by_name["rank"], half, requests.sample(half, tiny_prepared, 3), items, candidates=4)
    tiled = tile(rows, by_name["rank"].described(), by_name["serving_default"].described())
    expected = call(by_name["serving_default"], tiled)
    for name in ("rank", "rank_items"):
        for output, scores in call(by_name[name], rows).items():
            # 8 bits of mantissa, rounded at other places.
            np.testing.assert_allclose(scores.reshape(-1), expected[output], rtol=0.05, atol=0.02)


def test_swapping_candidates_swaps_scores(made: Built, tiny_prepared: Prepared) -> None:
    items = load_items(tiny_prepared)
    rank = next(s for s in inference.signatures(made, items) if s.name == "rank")
    rows = requests.request(rank, made, requests.sample(made, tiny_prepared, 4), items, candidates=6)
    order = np.array([3, 1, 5, 0, 2, 4])
    per_item = {n for n in rank.inputs if n in items.rows}
    swapped = {name: cells[:, order] if name in per_item else cells for name, cells in rows.items()}
    for name, values in call(rank, rows).items():
        np.testing.assert_allclose(call(rank, swapped)[name], values[:, order], atol=TOLERANCE)


def test_embeddings_multiply_to_the_score(made: Built, tiny_prepared: Prepared) -> None:
    by_name = {s.name: s for s in inference.signatures(made, load_items(tiny_prepared))}
    if "user_embedding" not in by_name:
        pytest.skip("this model's user and item meet before a dot product")
    rows = requests.sample(made, tiny_prepared, 8)
    user, item = (call(by_name[name], rows)["embedding"] for name in ("user_embedding", "item_embedding"))
    score = call(by_name["serving_default"], rows)["score"]
    np.testing.assert_allclose(np.sum(user * item, axis=1), score, atol=1e-4)


def test_saved_and_loaded_it_answers_as_in_training(made: Built, tiny_prepared: Prepared, tmp_path: Any) -> None:
    items = load_items(tiny_prepared)
    signatures = inference.signatures(made, items)
    saved_models.save(signatures, made.encoder, tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    rows = requests.sample(made, tiny_prepared, 16)
    for signature in signatures:
        asked = requests.request(signature, made, rows, items)
        assert not differences(
            signature.name,
            wire.call(loaded.signatures[signature.name], signature.inputs, asked),
            call(signature, asked),
        )


def test_no_prediction_of_the_training_graph_sees_what_is_for_training(made: Built, tmp_path: Any) -> None:
    saved_models.save_training_graph(made, tmp_path / "graph")
    assert not [finding.message for finding in prove(tmp_path / "graph")]


def call(signature: inference.InferenceSignature, rows: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return wire.call(signature.trace(), signature.inputs, rows)
