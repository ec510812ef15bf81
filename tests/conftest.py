"""Fixtures that every test may use, and the environment TensorFlow must find at its import."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before Python 3.11, a program is started by a fork, at which gRPC's handlers can abort the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a GPU's sums differ in the last bits, from run to run too
os.environ.setdefault("MPLBACKEND", "Agg")
for _threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_threads, "2")

# A shell starts what it puts into the background deaf to Ctrl-C, and its children would be too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.fixtures_prepared", "tests.fixtures_serving", "tests.release_site"]

import pipeline  # noqa: E402, F401, I001  (before any test imports TensorFlow: it decides which Keras that gets)

import random  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture
def data_dir() -> Path:
    """The folder of the real data sets; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("SIGNET_DATA_DIR", "")
    if not folder:
        pytest.skip("SIGNET_DATA_DIR is not set: it names the folder that holds ml-100k and the other data sets")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"SIGNET_DATA_DIR is {folder!r}, which is not a folder")
    return path


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Each test starts from the same random state, whichever ran before it. Does not itself import TensorFlow."""
    random.seed(0)
    np.random.seed(0)
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        sys.modules["tensorflow"].random.set_seed(0)
        config.disable_op_determinism()  # that training switches on; a random op of a test would then want a seed
