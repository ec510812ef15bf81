"""The list of the stock server's ops, against TensorFlow's own registry."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from signatures.stock_ops import in_stock_server, listed


def test_list_is_the_registry_of_the_installed_tensorflow() -> None:
    if not tf.__version__.startswith("2.16."):
        pytest.skip(f"the list is that of TensorFlow 2.16, not of {tf.__version__}")
    serialized = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    known = {each.name for each in op_def_pb2.OpList.FromString(serialized).op}
    # What a custom library adds to this process has a namespace; what begins with _ is made when a graph runs.
    assert listed() == {name for name in known if not name.startswith("_") and ">" not in name}


@pytest.mark.parametrize(
    ("op", "known"),
    [
        ("MatMul", True),
        ("_FusedMatMul", True),
        ("TFText>WhitespaceTokenizeWithOffsetsV2", True),
        ("SentencepieceTokenizeOp", True),
        ("SimpleMLInferenceOpWithHandle", True),
        ("Scann>ScannScannSearchBatched", False),
        ("KvResourceGather", False),
        ("Simple", True),
        ("SentencepieceTrainer", False),
        ("", False),
    ],
)
def test_op_is_told_from_a_foreign_one(op: str, known: bool) -> None:
    assert in_stock_server(op) is known
