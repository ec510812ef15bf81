"""Each defect, planted into a real export of ours, is caught; and all five exports are clean before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Tuple

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline import inference, saved_models
from pipeline.builder import Built
from pipeline.export import Figures, export
from pipeline.inference import InferenceSignature
from pipeline.items import load as load_items
from pipeline.models import registry
from pipeline.prepared import Prepared
from signatures import manifest as manifests
from signatures.lint import lint
from signatures.manifest import TensorInfo
from tests import built_models
from tests.lint_corpus.saving import edit, replaced

MODEL = "two_tower"
FIGURES = Figures({"auc": 0.9, "recall@10": 0.9, "ndcg@10": 0.9}, {})
NUMBER = TensorInfo(dtype="float32", shape=(None,), role="feature")
Tensors = Mapping[str, tf.Tensor]
Plant = Callable[[InferenceSignature], InferenceSignature]


@pytest.fixture(scope="module")
def built(tiny_prepared: Prepared) -> Built:
    return built_models.built(MODEL, tiny_prepared)


@pytest.fixture(scope="module")
def version(built: Built, tiny_prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published export."""
    published = export(built, tiny_prepared, FIGURES, tmp_path_factory.mktemp("exports")).version
    assert published is not None
    return published


@pytest.mark.parametrize("model", registry.NAMES)
def test_our_exports_have_not_even_a_hint(model: str, tiny_prepared: Prepared, tmp_path: Path) -> None:
    published = export(built_models.built(model, tiny_prepared), tiny_prepared, FIGURES, tmp_path).version
    assert published is not None
    assert lint(published) == []


def answered(change: Callable[[Tensors, Tensors], Tensors]) -> Plant:
    """The signature, its answers gone through `change(raw, answers)`."""
    return lambda signature: replace(signature, function=lambda raw: dict(change(raw, signature.function(raw))))


def scored(change: Callable[[tf.Tensor], tf.Tensor]) -> Plant:
    return answered(lambda raw, answers: {"score": change(answers["score"])})


def fed(name: str, change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Plant:
    """The signature with one input more, and a score made with it."""

    def plant(signature: InferenceSignature) -> InferenceSignature:
        function = lambda raw: {"score": change(signature.function(raw)["score"], raw[name])}  # noqa: E731
        return replace(signature, inputs={**signature.inputs, name: NUMBER}, function=function)

    return plant


def python(score: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda x: x, [score], tf.float32), [None])


def counted(signature: InferenceSignature) -> InferenceSignature:
    calls = tf.Variable(0.0)

    def count(raw: Tensors) -> Dict[str, tf.Tensor]:
        calls.assign_add(1.0)
        return dict(signature.function(raw))

    return replace(signature, function=count)


def normalised(score: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(score, [0])
    return (score - mean) * tf.math.rsqrt(variance + 1e-3)


def compiled(score: tf.Tensor) -> tf.Tensor:
    return tf.function(lambda x: x * 2.0, jit_compile=True)(score)


def on_gpu(score: tf.Tensor) -> tf.Tensor:
    with tf.device("/GPU:0"):
        return score * 2.0


def asserted(score: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(score < 9.0), [score])]):
        return tf.identity(score)


def explained(score: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(score)
        squashed = tf.tanh(score)
    return tape.gradient(squashed, score)


def logged(score: tf.Tensor) -> tf.Tensor:
    tf.print(score, output_stream="file://scores.log")
    return score * 1.0


def looked_up(score: tf.Tensor, member: tf.Tensor) -> tf.Tensor:
    return score + tf.gather(tf.ones([9]), tf.cast(member, tf.int64) % 9)


def large(score: tf.Tensor) -> tf.Tensor:
    return score + tf.constant(np.arange(2_600_000, dtype=np.float32))[0]


def clocked(score: tf.Tensor) -> tf.Tensor:
    return score * tf.cast(tf.timestamp(), tf.float32)


PLANTS: Tuple[Tuple[str, str, Plant], ...] = (
    ("SIG101", "'like_mask'", fed("like_mask", lambda score, mask: score * mask)),
    ("SIG101", "'weight'", fed("weight", lambda score, weight: tf.cond(weight[0] > 0, lambda: score, lambda: -score))),
    ("SIG102", "'gate'", fed("gate", lambda score, gate: score + tf.gather(tf.ones([2]), tf.cast(gate, tf.int32)))),
    ("SIG104", "'like'", fed("like", lambda score, like: score)),
    ("SIG107", "'score'", scored(lambda score: score[:4] * tf.ones([4]))),
    ("SIG108", "'score'", scored(lambda score: tf.cast(score, tf.float64))),
    ("SIG109", "Mean", scored(lambda score: score - tf.reduce_mean(score, axis=0))),
    ("SIG112", "'member'", fed("member", looked_up)),
    ("SIG113", "'score'", answered(lambda raw, answers: {"score": tf.zeros_like(raw["age"])})),
    (
        "SIG115",
        "'price'",
        lambda signature: replace(
            fed("price", lambda score, price: score * price)(signature),
            inputs={**signature.inputs, "price": TensorInfo(dtype="float32", shape=(), role="feature")},
        ),
    ),
    ("SIG201", "PyFunc", scored(python)),
    ("SIG202", "Random", scored(lambda score: tf.nn.dropout(score, 0.5))),
    ("SIG203", "AssignAddVariableOp", counted),
    ("SIG204", "PrintV2", scored(logged)),
    ("SIG206", "PartitionedCall", scored(compiled)),
    ("SIG207", "SquaredDifference", scored(normalised)),
    ("SIG208", "GPU:0", scored(on_gpu)),
    ("SIG209", "10 MB", scored(large)),
    ("SIG210", "Timestamp", scored(clocked)),
    ("SIG211", "TanhGrad", scored(explained)),
    ("SIG212", "Assert", scored(asserted)),
    ("SIG601", "'gate'", fed("gate", lambda score, gate: score * gate)),
    ("SIG602", "'score'", scored(lambda score: tf.cast(score, tf.float64))),
)


@pytest.mark.parametrize(("code", "culprit", "plant"), PLANTS, ids=[f"{code}-{culprit}" for code, culprit, _ in PLANTS])
def test_defect_in_a_signature_is_caught(
    code: str, culprit: str, plant: Plant, built: Built, version: Path, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    planted = tuple(
        plant(signature) if signature.name == "serving_default" else signature
        for signature in inference.signatures(built, load_items(tiny_prepared))
    )
    saved_models.save(planted, built.encoder, tmp_path / "export")
    (tmp_path / "export" / "assets.extra").mkdir(exist_ok=True)
    shutil.copy(version / manifests.PATH_IN_EXPORT, tmp_path / "export" / manifests.PATH_IN_EXPORT)
    found = [each.message for each in lint(tmp_path / "export") if each.rule == code]
    assert any(culprit in message for message in found), found


def drop_default(saved: Any) -> None:
    del saved.meta_graphs[0].signature_def["serving_default"]


def rename_output(saved: Any) -> None:
    outputs = saved.meta_graphs[0].signature_def["serving_default"].outputs
    outputs["output_0"].CopyFrom(outputs["score"])
    del outputs["score"]


def lose_input(saved: Any) -> None:
    inputs = saved.meta_graphs[0].signature_def["serving_default"].inputs
    # The graph reads it on, as a placeholder that nobody can feed.
    del inputs["user_id"]


def change_method(saved: Any) -> None:
    saved.meta_graphs[0].signature_def["serving_default"].method_name = "tensorflow/supervised/eval"


def copy_meta_graph(saved: Any) -> None:
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])


def tag(saved: Any) -> None:
    saved.meta_graphs[0].meta_info_def.tags.append("gpu")


def lose_init(saved: Any) -> None:
    del saved.meta_graphs[0].signature_def["__saved_model_init_op"]
    del saved.meta_graphs[0].collection_def["saved_model_main_op"]


def add_slot(saved: Any) -> None:
    slot = saved.meta_graphs[0].graph_def.node.add(name="Adam/m/kernel", op="VarHandleOp")
    slot.attr["dtype"].type = 1
    slot.attr["shape"].shape.dim.add(size=1000)


EDITS: Tuple[Tuple[str, str, Callable[[Any], None]], ...] = (
    ("SIG103", "'serving_default_user_id'", lose_input),
    ("SIG105", "'serving_default'", drop_default),
    ("SIG106", "'output_0'", rename_output),
    ("SIG110", "'tensorflow/supervised/eval'", change_method),
    ("SIG111", "2 meta graphs", copy_meta_graph),
    ("SIG114", "'gpu'", tag),
    ("SIG205", "KvResourceGather", replaced("ResourceGather", "KvResourceGather")),
    ("SIG302", "HashTableV2", lose_init),
    ("SIG303", "'Adam/m/kernel'", add_slot),
    ("SIG601", "'output_0'", rename_output),
)


@pytest.fixture
def copy(version: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(version, tmp_path / "copy"))


@pytest.mark.parametrize(("code", "culprit", "change"), EDITS, ids=[code for code, _, _ in EDITS])
def test_defect_in_the_file_is_caught(code: str, culprit: str, change: Callable[[Any], None], copy: Path) -> None:
    edit(copy, change)
    found = [each.message for each in lint(copy) if each.rule == code]
    assert any(culprit in message for message in found), found


def test_lost_asset_is_caught(copy: Path) -> None:
    (copy / "assets" / "user_id.txt").unlink()
    assert [(each.rule, "'user_id.txt'" in each.message) for each in lint(copy)] == [("SIG301", True)]


def test_training_checkpoint_among_the_variables_is_caught(copy: Path) -> None:
    optimizer = keras.optimizers.Adam()
    optimizer.build([tf.Variable(tf.ones([200_000]))])
    tf.train.Checkpoint(optimizer=optimizer).write(str(copy / "variables" / "training"))
    assert [each.rule for each in lint(copy)] == ["SIG304"]


def test_stock_image_for_extra_ops_is_caught(copy: Path) -> None:
    path = copy / manifests.PATH_IN_EXPORT
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "extra_ops": ["Scann>ScannSearchBatched"]}), encoding="utf-8")
    assert [each.rule for each in lint(copy)] == ["SIG603"]
