"""SIG601 to SIG603: manifests that are not those of their graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import tensorflow as tf

from signatures import manifest as manifests
from signatures.manifest import Data, Manifest, Signature, TensorInfo
from tests.lint_corpus.case import Build, Case, Clean
from tests.lint_corpus.saving import edited, followed, named, replaced, serving

Tensors = Dict[str, TensorInfo]


def tensor(dtype: Any, *shape: Optional[int], role: Any = "feature", length: Optional[str] = None) -> TensorInfo:
    return TensorInfo(dtype=dtype, shape=shape, role=role, length=length)


INPUTS: Tensors = {
    "history": tensor("int64", None, None, length="history_length"),
    "history_length": tensor("int64", None, role="length"),
}
OUTPUTS: Tensors = {"score": tensor("float32", None, role="output")}
SCANN = "Scann>ScannSearchBatched"


def summed(history: Any, history_length: Any) -> Any:
    return named(score=tf.cast(tf.reduce_sum(-history, 1) + history_length, tf.float32))


model = serving(summed, history=tf.TensorSpec([None, None], tf.int64), history_length=tf.TensorSpec([None], tf.int64))


def described(
    inputs: Tensors = INPUTS,
    outputs: Tensors = OUTPUTS,
    more: Optional[Dict[str, Signature]] = None,
    extra_ops: Tuple[str, ...] = (),
    image: str = "tensorflow/serving:2.16.1",
    build: Build = model,
) -> Build:
    """A sum over a history, with a manifest that says this of it."""

    def write(folder: Path) -> None:
        signature = Signature(inputs=inputs, outputs=outputs, kind="score")
        manifest = Manifest(
            model="sum",
            version=1,
            created="2024-05-01T00:00:00Z",
            schema_hash="",
            features=(),
            training_only=(),
            signatures={"serving_default": signature, **(more or {})},
            extra_ops=extra_ops,
            server_image=image,
            metrics={},
            data=Data(name="none", fingerprint="", synthetic=True),
            code_commit="",
        )
        # What clients have: the two inputs, whatever the signature above leaves out.
        feature = manifests.Feature(
            name="history", side="user", kind="sequence", dtype="int64", inputs=("history", "history_length")
        )
        manifests.write(manifest.model_copy(update={"features": (feature,)}), folder)

    return followed(build, write)


def without(tensors: Tensors, name: str) -> Tensors:
    return {each: info for each, info in tensors.items() if each != name}


RANK = Signature(inputs=INPUTS, outputs=OUTPUTS, kind="rank")
FOREIGN = edited(model, replaced("Neg", SCANN))

CASES: Tuple[Case, ...] = (
    Case("SIG601", "input left out", described(without(INPUTS, "history_length")), "has the input 'history_length'"),
    Case("SIG601", "input too many", described({**INPUTS, "age": tensor("int64", None)}), "has the input 'age'"),
    Case("SIG601", "output renamed", described(outputs={"click": OUTPUTS["score"]}), "has the output 'click'"),
    Case("SIG601", "signature too many", described(more={"rank": RANK}), "has the signature 'rank'"),
    Case(
        "SIG602",
        "dtype",
        described({**INPUTS, "history_length": tensor("int32", None)}),
        "'history_length' is int32 in the manifest and int64 in the graph",
    ),
    Case("SIG602", "rank", described({**INPUTS, "history": tensor("int64", None)}), "'history' is [?] in the manifest"),
    Case(
        "SIG602",
        "output dtype",
        described(outputs={"score": tensor("float64", None, role="output")}),
        "'score' is float64 in the manifest",
    ),
    Case("SIG603", "declared and used", described(extra_ops=(SCANN,), build=FOREIGN), f"'{SCANN}'"),
    Case(
        "SIG603",
        "named in full",
        described(extra_ops=(SCANN,), image="docker.io/tensorflow/serving@sha256:0a"),
        "'docker.io/tensorflow/serving@sha256:0a'",
    ),
)

CLEAN: Tuple[Clean, ...] = (
    Clean("manifest of its graph", described(), ("SIG601", "SIG602", "SIG603", "SIG102")),
    Clean(
        "declared op and its image",
        described(extra_ops=(SCANN,), image="example/scann:1", build=FOREIGN),
        ("SIG603", "SIG601"),
    ),
)
