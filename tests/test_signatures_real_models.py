"""The linter on models that TensorFlow wrote: each defect in disguises, and what looks like it and is clean.

All defects are signatures of one SavedModel, all clean ones of another: saving is the slow part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple

import pytest
import tensorflow as tf
import tf_keras as keras

from signatures.findings import Finding
from signatures.lint import lint
from signatures.purity import prove
from signatures.reader import read

FLOATS = tf.TensorSpec([None], tf.float32)
IDS = tf.TensorSpec([None], tf.int64)
LISTS = tf.TensorSpec([None, None], tf.int64)


def _signature(function: Callable[..., Any], **arguments: tf.TensorSpec) -> Any:
    """A function as a signature, its arguments named as given."""
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in arguments.items()]
    return tf.function(function, input_signature=specs)


class Defects(tf.Module):
    """One signature per defect. price is the feature, mask what only training has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable([1.0, 2.0, 3.0])
        self.state = tf.Variable([0.0], shape=[None])
        self.calls = tf.Variable(0, dtype=tf.int64)
        self.dropout = keras.layers.Dropout(0.5)
        self.batch_norm = keras.layers.BatchNormalization()
        self.inner = tf.function(lambda price, gate: {"kept": price, "gated": price * gate})

    def signatures(self) -> Dict[str, Any]:
        masked = {"price": FLOATS, "mask": FLOATS}
        return {
            "product": _signature(self.product, **masked),
            "nested": _signature(self.nested, **masked),
            "predicate": _signature(self.predicate, **masked),
            "turns": _signature(self.turns, **masked),
            "two_turns": _signature(self.two_turns, **masked),
            "index": _signature(self.index, price=FLOATS, mask=IDS),
            "mapped": _signature(self.mapped, **masked),
            "fill": _signature(self.fill, price=FLOATS, mask=IDS),
            "through_variable": _signature(self.through_variable, **masked),
            "switch": _signature(self.switch, price=FLOATS, mask=tf.TensorSpec([], tf.int32)),
            "renamed": _signature(self.product, price=FLOATS, gate=FLOATS),
            "unused": _signature(self.unused, **masked),
            "dropped": _signature(lambda price: {"score": self.dropout(price, training=True)}, price=FLOATS),
            "noise": _signature(lambda price: {"score": price + tf.random.normal(tf.shape(price))}, price=FLOATS),
            "batch_statistics": _signature(self.batch_statistics, price=tf.TensorSpec([None, 3], tf.float32)),
            "counter": _signature(self.count, price=FLOATS),
            "python": _signature(self.python, price=FLOATS),
            "file": _signature(self.file, path=tf.TensorSpec([None], tf.string)),
            "compiled": _signature(self.compiled, price=FLOATS),
            "scalar": _signature(lambda price: {"mean": tf.reduce_mean(price)}, price=FLOATS),
            "kept_rows": _signature(lambda price: {"kept": tf.reshape(price, [4])}, price=FLOATS),
            "unnamed": _signature(lambda price: price * 2.0, price=FLOATS),
            "double": _signature(lambda price: {"score": tf.cast(price, tf.float64)}, price=FLOATS),
        }

    def product(self, price, mask):
        return {"score": price * mask}

    def nested(self, price, mask):
        inner = self.inner(price, mask)
        return {"kept": inner["kept"], "score": tf.nn.sigmoid(inner["gated"])}

    def predicate(self, price, mask):
        return {"score": tf.cond(tf.reduce_sum(mask) > 0, lambda: price * 2.0, lambda: price)}

    def turns(self, price, mask):
        count = tf.cast(tf.reduce_sum(mask), tf.int32)
        (_, score) = tf.while_loop(lambda i, _: i < count, lambda i, x: (i + 1, x + 1.0), (0, price))
        return {"score": score}

    def two_turns(self, price, mask):
        def step(i, first, second, third):
            return i + 1, second, third, third

        (_, score, _, _) = tf.while_loop(lambda i, *_: i < 3, step, (0, price, price, mask))
        return {"score": score}

    def index(self, price, mask):
        return {"score": price + tf.gather(self.weight, mask)}

    def mapped(self, price, mask):
        return {"score": tf.map_fn(lambda pair: pair[0] + pair[1], (price, mask), fn_output_signature=tf.float32)}

    def fill(self, price, mask):
        return {"score": price + tf.reduce_sum(tf.ones([mask[0]]))}

    def through_variable(self, price, mask):
        self.state.assign(mask)
        return {"score": price + self.state}

    def switch(self, price, mask):
        branches = {0: lambda: price, 1: lambda: price + 1.0, 2: lambda: price + 2.0}
        return {"score": tf.switch_case(mask, branches)}

    def unused(self, price, mask):
        return {"score": price * 2.0}

    def batch_statistics(self, price):
        return {"score": self.batch_norm(price, training=True)}

    def count(self, price):
        self.calls.assign_add(1)
        return {"score": price * 2.0}

    def python(self, price):
        score = tf.py_function(lambda x: x, [price], tf.float32)
        score.set_shape([None])
        return {"score": score}

    def file(self, path):
        return {"content": tf.map_fn(tf.io.read_file, path)}

    @tf.function(jit_compile=True)
    def fast(self, price):
        return price * 2.0

    def compiled(self, price):
        return {"score": self.fast(price)}


class Clean(tf.Module):
    """What looks like a defect and is none, in ways that recommenders are made."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        initializer = tf.lookup.TextFileInitializer(
            vocabulary, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)
        self.embedding = tf.Variable(tf.ones([8, 4]))
        self.layer_norm = keras.layers.LayerNormalization()
        self.batch_norm = keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.5)
        self.gru = keras.layers.GRU(4)
        self.attention = keras.layers.MultiHeadAttention(2, 4, dropout=0.1)
        # Traces with training=True: they are in the file, and no signature reaches them.
        self.train = tf.function(lambda x: self.dropout(self.batch_norm(x, training=True), training=True))
        self.train(tf.ones([2, 3, 4]))

    def signatures(self) -> Dict[str, Any]:
        lists = {"history": LISTS, "history_length": IDS}
        return {
            "serving_default": _signature(self.score, user=tf.TensorSpec([None], tf.string), **lists),
            "rank": _signature(self.rank, **lists, item=LISTS),
            "names": _signature(
                lambda face_mask_type, label_count: {"score": tf.cast(face_mask_type + label_count, tf.float32)},
                face_mask_type=IDS,
                label_count=IDS,
            ),
            "ragged": _signature(self.ragged, **lists),
            "loop": _signature(self.loop, price=FLOATS),
        }

    def encode(self, history, history_length):
        embedded = tf.gather(self.embedding, history % 8)
        embedded = self.dropout(self.batch_norm(self.layer_norm(embedded), training=False), training=False)
        mask = tf.sequence_mask(history_length, tf.shape(history)[1])
        attended = self.attention(embedded, embedded, attention_mask=mask[:, None, :], training=False)
        return self.gru(attended, mask=mask)

    def score(self, user, history, history_length):
        rows = tf.gather(self.embedding, tf.maximum(self.table.lookup(user), 0))
        return {"score": tf.reduce_sum(rows * self.encode(history, history_length), axis=1)}

    def rank(self, history, history_length, item):
        users = self.encode(history, history_length)
        return {"score": tf.einsum("bd,bnd->bn", users, tf.gather(self.embedding, item % 8))}

    def ragged(self, history, history_length):
        rows = tf.RaggedTensor.from_tensor(history, lengths=history_length)
        return {"mean": tf.reduce_mean(tf.cast(rows, tf.float32), axis=1)}

    def loop(self, price):
        total = price
        for step in tf.range(3):
            total = tf.cond(step > 1, lambda total=total: total, lambda total=total: total + 1.0)
        return {"score": total}


class TrainingGraph(tf.Module):
    """A click model; `leak` is how strongly its prediction looks at what it must predict."""

    def __init__(self, leak: float, ignore_weight: bool = False) -> None:
        super().__init__()
        self.weight = tf.Variable(0.5)
        self.leak = leak
        self.ignore_weight = ignore_weight

    def signature(self) -> Any:
        names = ("features/price", "labels/click", "masks/click", "sample_weights/click")
        return tf.function(
            self.run, input_signature=[{name: tf.TensorSpec([None], tf.float32, name) for name in names}]
        )

    def run(self, batch):
        logits = batch["features/price"] * self.weight
        if self.leak:
            logits = tf.cond(tf.reduce_any(batch["masks/click"] > 0), lambda: logits * self.leak, lambda: logits)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(batch["labels/click"], logits)
        weights = batch["masks/click"] * (1.0 if self.ignore_weight else batch["sample_weights/click"])
        total = tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)
        return {"loss": total, "predictions/click": tf.sigmoid(logits)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of this file are saved."""
    root = tmp_path_factory.mktemp("models")
    (root / "vocabulary.txt").write_text("ann\nbob\n", encoding="utf-8")
    defects = Defects()
    tf.saved_model.save(defects, str(root / "defects"), signatures=defects.signatures())
    clean = Clean(str(root / "vocabulary.txt"))
    tf.saved_model.save(clean, str(root / "clean" / "3"), signatures=clean.signatures())
    (root / "vocabulary.txt").unlink()  # the exports carry their own
    for name, graph in {
        "pure": TrainingGraph(leak=0.0),
        "leaking": TrainingGraph(leak=2.0),
        "weightless": TrainingGraph(leak=0.0, ignore_weight=True),
    }.items():
        tf.saved_model.save(graph, str(root / name), signatures=graph.signature())
    return root


@pytest.fixture(scope="module")
def found(folder: Path) -> List[Finding]:
    """What the linter says of the defects, knowing no feature."""
    return lint(folder / "defects", training_only=["mask"])


# Signature, rule, what the message must name.
EXPECTED: List[Tuple[str, str, str]] = [
    ("product", "SIG101", "'mask'"),
    ("nested", "SIG101", "'score' at Mul"),
    ("predicate", "SIG101", "'mask'"),
    ("turns", "SIG101", "'mask'"),
    ("two_turns", "SIG101", "'mask'"),
    ("index", "SIG101", "ResourceGather"),
    ("mapped", "SIG101", "'mask'"),
    ("fill", "SIG101", "'mask'"),
    ("through_variable", "SIG101", "'mask'"),
    ("through_variable", "SIG203", "AssignVariableOp"),
    ("switch", "SIG101", "'mask'"),
    ("unused", "SIG104", "'mask'"),
    ("dropped", "SIG202", "Random"),
    ("noise", "SIG202", "RandomStandardNormal"),
    ("batch_statistics", "SIG203", "Assign"),
    ("counter", "SIG203", "AssignAddVariableOp"),
    ("python", "SIG201", "EagerPyFunc"),
    ("file", "SIG204", "ReadFile"),
    ("compiled", "SIG206", "PartitionedCall"),
    ("scalar", "SIG107", "'mean' is a scalar"),
    ("kept_rows", "SIG107", "4 rows"),
    ("unnamed", "SIG106", "'output_0'"),
    ("double", "SIG108", "'score' is float64"),
]


@pytest.mark.parametrize(("signature", "rule", "named"), EXPECTED, ids=[f"{each[0]}-{each[1]}" for each in EXPECTED])
def test_defect_is_found_and_named(found: List[Finding], signature: str, rule: str, named: str) -> None:
    messages = [each.message for each in found if (each.signature, each.rule) == (signature, rule)]
    assert any(named in message for message in messages), messages


def test_each_defect_is_found_once(found: List[Finding]) -> None:
    """A defect must not be blamed on rules that it does not break; `renamed` is undetectable without features."""
    expected: Set[Tuple[str, str]] = {(signature, rule) for signature, rule, _ in EXPECTED}
    assert {(each.signature, each.rule) for each in found if each.signature} == expected
    assert [each.rule for each in found if each.signature is None] == ["SIG105"]


def test_nested_function_keeps_outputs_apart(found: List[Finding]) -> None:
    (message,) = [each.message for each in found if each.signature == "nested"]
    assert "'score'" in message and "'kept'" not in message


def test_name_alone_is_enough_for_a_mask(folder: Path) -> None:
    signatures = {each.signature for each in lint(folder / "defects") if each.rule == "SIG101"}
    assert signatures == {signature for signature, rule, _ in EXPECTED if rule == "SIG101"}


def test_renamed_mask_is_found_with_a_list_of_features(folder: Path) -> None:
    found = lint(folder / "defects", features=["price", "path"])
    (finding,) = [each for each in found if each.signature == "renamed"]
    assert (finding.rule, finding.severity, finding.tensor) == ("SIG102", "error", "gate")


def test_clean_model_has_no_findings(folder: Path) -> None:
    assert lint(folder / "clean") == []
    features = ["user", "history", "history_length", "item", "face_mask_type", "label_count", "price"]
    assert lint(folder / "clean", features=features, training_only=["mask", "label"]) == []


def test_clean_model_holds_what_must_not_be_flagged(folder: Path) -> None:
    """Else the test above would prove nothing: saver, file, random and write ops are in the file, unreached."""
    model = read(folder / "clean")
    held = {node.op for graph in (model.graph, *model.functions.values()) for node in graph.nodes.values()}
    wanted = {"SaveV2", "RestoreV2", "FusedBatchNormV3", "InitializeTableFromTextFileV2", "AssignSubVariableOp"}
    assert wanted <= held
    assert any("Random" in op for op in held)
    assert [(asset.filename, asset.present) for asset in model.assets] == [("vocabulary.txt", True)]


def test_training_graph_is_proven_pure(folder: Path) -> None:
    assert prove(folder / "pure") == []
    assert lint(folder / "pure") == []


def test_leak_into_a_prediction_is_found(folder: Path) -> None:
    (finding,) = prove(folder / "leaking")
    assert (finding.rule, finding.tensor) == ("SIG401", "masks/click")
    assert "'predictions/click' depends on 'masks/click'" in finding.message
    assert lint(folder / "leaking") == [finding]


def test_ignored_sample_weight_is_found(folder: Path) -> None:
    (finding,) = prove(folder / "weightless")
    assert (finding.rule, finding.tensor) == ("SIG402", "sample_weights/click")
