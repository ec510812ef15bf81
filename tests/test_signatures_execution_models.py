"""The linter's second step on real models, loaded in this process: what runs wrong is found, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Tuple

import pytest
import tensorflow as tf

from signatures import manifest as manifests
from signatures.execution import danger
from signatures.execution.checks import CODES
from signatures.execution.child import examine
from signatures.findings import Finding
from signatures.lint import open_export
from signatures.manifest import Data, Manifest
from tests import executed_models as models

Build = Callable[[Path], Path]

DEFECTS: Dict[str, Tuple[Tuple[Build, str], ...]] = {
    "SIG701": (
        (models.in_batch_softmax, "'score' is 1 alone and "),
        (models.batch_statistics, "through input 'x' of other rows"),
        (models.neighbours_in_tf1, "through input 'price' of other rows"),
    ),
    "SIG702": (
        (models.mask_from_ids, "cells of 'history' beyond 'history_length' change output 'score'"),
        (models.mean_over_padding, "cells of 'history' beyond 'history_length' change output 'score'"),
    ),
    "SIG703": (
        (models.live_dropout, "output 'score' changes from call to call"),
        (models.counter, "output 'score' changes from call to call"),
        (models.clock, "output 'score' changes from call to call"),
    ),
    "SIG704": (
        (models.mean_of_nothing, "'score' is NaN or infinite when everything is zero or empty, through input"),
        (models.logarithm, "through input 'price'"),
        (models.overflow, "when numbers are large, through input 'price'"),
    ),
    "SIG705": (
        (models.bare_gather, "whose 'user_id' is 10000019 fails (indices[0] = 10000019 is not in [0, 20)"),
        (models.word_without_a_row, "whose 'city' is '' fails (indices[0] = -1 is not in [0, 20)"),
    ),
    "SIG706": (
        (models.some_rows, "output 'score' has shape [0] for a request of 6 rows"),
        (models.squeezed, "output 'score' has shape [] for a request of 1 row"),
        (models.distinct, "output 'seen' has shape [1] for a request of 2 rows"),
    ),
    "SIG707": (
        (models.times_zero, "no value of input 'age'"),
        (models.cancelled_label, "no value of input 'label'"),
    ),
    "SIG709": ((models.empty_table_in_tf1, "Table not initialized"), (models.without_variables, "does not load")),
}
ALSO: Dict[Build, FrozenSet[str]] = {
    models.neighbours_in_tf1: frozenset({"SIG704"}),  # the largest of six zeros is 0
    models.mask_from_ids: frozenset({"SIG705"}),  # its table has 20 rows
    models.mean_over_padding: frozenset({"SIG705"}),
}
"""What else is wrong with a model, and rightly found."""

CLEAN: Tuple[Build, ...] = (
    models.row_wise_softmax,
    models.mask_from_length,
    models.softplus,
    models.word_with_a_row,
    models.faint_feature,
    models.parses_examples,
    models.sparse_and_ragged,
    models.talks,
    models.half_precision,
    models.scalars_and_fixed,
    models.unknown_rank,
    models.keras_layers,
    models.validates,
    models.words_of_a_file,
    models.far_ids,
    models.far_words,
)


def run(folder: Path, **changes: Any) -> List[Finding]:
    """The findings of a run in this process."""
    order = {"path": str(folder), "features": None, "training_only": [], "codes": sorted(CODES), "unsafe": False}
    return list(examine({**order, "seconds": 60.0, **changes}, lambda event: None))


def planted() -> List[Any]:
    return [
        pytest.param(code, build, culprit, id=f"{code}-{build.__name__}")
        for code, cases in DEFECTS.items()
        for build, culprit in cases
    ]


@pytest.mark.parametrize(("code", "build", "culprit"), planted())
def test_defect_is_found_and_named(code: str, build: Build, culprit: str, tmp_path: Path) -> None:
    found = run(build(tmp_path / "m"))
    assert {each.rule for each in found} - ALSO.get(build, frozenset()) == {code}
    assert culprit in next(each.message for each in found if each.rule == code)


@pytest.mark.parametrize("build", CLEAN, ids=lambda build: build.__name__)
def test_model_that_only_looks_like_it_is_clean(build: Build, tmp_path: Path) -> None:
    assert run(build(tmp_path / "m")) == []


def test_dead_label_is_an_error_and_a_dead_feature_a_warning(tmp_path: Path) -> None:
    (label,) = run(models.cancelled_label(tmp_path / "label"))
    (age,) = run(models.times_zero(tmp_path / "age"))
    assert (label.severity, age.severity) == ("error", "warning")
    (told,) = run(models.times_zero(tmp_path / "told"), training_only=["age"])
    assert told.severity == "error"


def test_only_what_is_asked_for_is_tested(tmp_path: Path) -> None:
    folder = models.mask_from_ids(tmp_path / "m")
    assert [each.rule for each in run(folder, codes=["SIG705"])] == ["SIG705"]


def test_model_that_refuses_what_is_made_up_is_mentioned(tmp_path: Path) -> None:
    (finding,) = run(models.validates_strictly(tmp_path / "m"))
    assert (finding.rule, finding.severity) == ("SIG709", "info")
    assert "assertion failed" in finding.message and "golden" in finding.message


def write_golden(folder: Path, score: float) -> Path:
    (folder / "golden").mkdir()
    content = {"inputs": {"price": [1.0, 2.0]}, "outputs": {"score": [score, 2.126928]}}
    (folder / "golden" / "serving_default.json").write_text(json.dumps(content))
    return folder


def test_golden_answers_are_compared(tmp_path: Path) -> None:
    """softplus(1) = log(1 + e) = 1.313262 and softplus(2) = log(1 + e^2) = 2.126928."""
    assert run(write_golden(models.softplus(tmp_path / "good"), 1.313262)) == []
    (finding,) = run(write_golden(models.softplus(tmp_path / "bad"), 1.3134))
    assert (finding.rule, finding.severity, finding.tensor) == ("SIG708", "error", "score")
    assert "is 1.31326 and was 1.3134 in the golden answer" in finding.message


def test_golden_file_that_is_damaged_is_a_finding(tmp_path: Path) -> None:
    folder = write_golden(models.softplus(tmp_path / "m"), 1.0)
    (folder / "golden" / "serving_default.json").write_text("{")
    (finding,) = run(folder)
    assert finding.rule == "SIG708" and "JSONDecodeError" in finding.message


def test_golden_request_is_what_the_checks_begin_with(tmp_path: Path) -> None:
    """No made-up id is in this table of one row in a million; the golden ones are."""
    folder = models.sparse_ids(tmp_path / "m")
    assert [each.rule for each in run(folder)] == ["SIG709"]
    (folder / "golden").mkdir()
    content = {"inputs": {"item_id": [1_000_000, 2_000_000]}, "outputs": {"score": [1.0, 2.0]}}
    (folder / "golden" / "serving_default.json").write_text(json.dumps(content))
    assert [each.rule for each in run(folder)] == ["SIG705"]


def manifest(**changes: Any) -> Manifest:
    found: Dict[str, Any] = {
        "model": "m",
        "version": 1,
        "created": "",
        "schema_hash": "",
        "features": (),
        "training_only": (),
        "signatures": {},
        "server_image": "",
        "metrics": {},
        "data": Data(name="", fingerprint="", synthetic=True),
        "code_commit": "",
    }
    return Manifest(**{**found, **changes})


def test_manifest_makes_errors_of_warnings_and_knows_numbers_that_may_be_missing(tmp_path: Path) -> None:
    """softplus(NaN) is NaN: nobody minds, until the manifest says that a client sends NaN for a missing price."""
    folder = models.softplus(tmp_path / "m")
    described = {
        "inputs": {"price": {"dtype": "float32", "shape": (None,), "role": "feature"}},
        "outputs": {"score": {"dtype": "float32", "shape": (None,), "role": "output"}},
        "kind": "score",
    }
    feature = {"name": "price", "side": "item", "kind": "numeric", "dtype": "float32", "inputs": ("price",)}
    manifests.write(manifest(features=(feature,), signatures={"serving_default": described}), folder)
    (finding,) = run(folder)
    assert finding.rule == "SIG704" and "when numbers are missing, through input 'price'" in finding.message
    other = shutil.copytree(models.bare_gather(tmp_path / "g"), tmp_path / "h")
    described = {**described, "inputs": {"user_id": {"dtype": "int64", "shape": (None,), "role": "feature"}}}
    manifests.write(manifest(signatures={"serving_default": described}), other)
    (finding,) = run(other)
    assert (finding.rule, finding.severity) == ("SIG705", "error")
    assert str(2**63 - 1) in finding.message  # what is an id may be as large as ids get


@pytest.mark.parametrize(
    ("build", "told"),
    [(models.writes_a_file, "SIG204 found in 'serving_default': WriteFile"), (models.calls_python, "SIG201 found")],
    ids=["file", "python"],
)
def test_dangerous_model_is_not_loaded(build: Build, told: str, tmp_path: Path) -> None:
    (finding,) = run(build(tmp_path / "m"))
    assert (finding.rule, finding.severity) == ("SIG710", "warning")
    assert told in finding.message and "--allow-unsafe" in finding.message
    assert not (tmp_path / "written.txt").exists()


def test_dangerous_model_is_loaded_when_it_is_trusted(tmp_path: Path) -> None:
    assert run(models.writes_a_file(tmp_path / "m"), unsafe=True) == []
    assert (tmp_path / "written.txt").read_text() == "here"


def test_no_suppression_makes_a_model_harmless(tmp_path: Path) -> None:
    """Whoever made the model wrote its manifest too."""
    folder = models.writes_a_file(tmp_path / "m")
    allowed = ({"code": "SIG204", "reason": "it is fine"},)
    manifests.write(manifest(suppressions=allowed), folder)
    assert [each.rule for each in run(folder)] == ["SIG710"]


def test_restoring_cannot_smuggle_in_what_no_signature_runs(tmp_path: Path) -> None:
    """The file says which node restores the variables, and it may name any node."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = models.bare_gather(tmp_path / "m")
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    meta = saved.meta_graphs[0]
    export = open_export(folder)
    assert danger.reason(export, meta.saver_def.restore_op_name) is None
    text = tf.make_tensor_proto(str(tmp_path / "written.txt"))
    for name in ("path", "content"):
        node = meta.graph_def.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(text)
        node.attr["dtype"].type = tf.string.as_datatype_enum
    meta.graph_def.node.add(name="restore_it", op="WriteFile", input=["path", "content"])
    meta.saver_def.restore_op_name = "restore_it"
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    (finding,) = run(folder)
    assert finding.rule == "SIG710" and "restoring its variables runs WriteFile 'restore_it'" in finding.message
    assert not (tmp_path / "written.txt").exists()


@pytest.mark.parametrize("filename", ["../../secret.txt", "/secret.txt"])
def test_asset_elsewhere_is_not_read(filename: str, tmp_path: Path) -> None:
    """An absolute name, or one that climbs out, would let a model read what is on this machine."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = models.words_of_a_file(tmp_path / "m")
    assert run(folder) == []
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].asset_file_def[0].filename = filename
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    (finding,) = run(folder)
    assert finding.rule == "SIG710" and f"its asset '{filename}' is outside of its folder" in finding.message


def test_op_that_only_another_server_has_is_not_run(tmp_path: Path) -> None:
    """Declared or not, it is not installed here: the run would say nothing of the model."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = models.softplus(tmp_path / "m")
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "Scann>ScannSearchBatched" if node.op == "Softplus" else node.op
    file.write_bytes(saved.SerializeToString())
    manifests.write(manifest(extra_ops=("Scann>ScannSearchBatched",), server_image="scann"), folder)
    (finding,) = run(folder)
    assert finding.rule == "SIG710" and "Scann>ScannSearchBatched" in finding.message
