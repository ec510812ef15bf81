"""The list of the stock server's ops, against TensorFlow's own registry."""

from __future__ import annotations

import subprocess
import sys

import pytest

from signatures.stock_ops import in_stock_server, listed

# In a process of its own: a library of ops that another test has loaded adds to the registry.
REGISTERED = """
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

serialized = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
print(tf.__version__, *(each.name for each in op_def_pb2.OpList.FromString(serialized).op))
"""


def test_list_is_the_registry_of_the_installed_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", REGISTERED], capture_output=True, text=True, check=True)
    version, *known = done.stdout.split()
    if not version.startswith("2.16."):
        pytest.skip(f"the list is that of TensorFlow 2.16, not of {version}")
    # What begins with _ is made when a graph runs.
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
