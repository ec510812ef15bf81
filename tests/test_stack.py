"""The pinned stack: every required package imports, one op of each runs, and what is installed is what the lock says.

A pin that resolves but cannot be loaded is found here, not in the middle of a training run.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import math
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

# What to import for a package whose module has another name, or for one of whose modules we need that one.
MODULES = {
    "grpcio": "grpc",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "setuptools": "pkg_resources",
    "tensorflow-serving-api": "tensorflow_serving.apis.prediction_service_pb2_grpc",
}

ENVIRONMENTS = [
    {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": os, "platform_machine": machine}
    for python in ("3.9", "3.10", "3.11", "3.12")
    for os, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


def requirements(extra: bool = False) -> List[Requirement]:
    """What setup.cfg requires at run time, or for development with extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    text = config["options.extras_require"]["dev"] if extra else config["options"]["install_requires"]
    return [Requirement(line) for line in text.strip().splitlines()]


def locked() -> List[Requirement]:
    """The lines of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def applies(requirement: Requirement, environment: Dict[str, str]) -> bool:
    """Whether the requirement's marker holds in this environment; an empty one is this machine's."""
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins(name: str, environment: Dict[str, str]) -> List[str]:
    """The versions that the lock file gives a package in this environment: one, or it is broken."""
    lines = [line for line in locked() if line.name.lower() == name.lower() and applies(line, environment)]
    return [next(iter(line.specifier)).version for line in lines]


HERE = [requirement for requirement in requirements() if applies(requirement, {})]


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where setup.cfg does not ask for the package; where it does, absence is a failure."""
    return pytest.mark.skipif(name not in {each.name for each in HERE}, reason=f"{name} has no wheel for this platform")


@pytest.mark.parametrize("requirement", HERE, ids=str)
def test_required_package_imports(requirement: Requirement) -> None:
    importlib.import_module(MODULES.get(requirement.name, requirement.name.replace("-", "_")))


@pytest.mark.parametrize("requirement", [each for each in HERE if "==" in str(each.specifier)], ids=str)
def test_pinned_package_is_installed_as_locked(requirement: Requirement) -> None:
    assert [importlib.metadata.version(requirement.name)] == pins(requirement.name, {})


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda each: "-".join(each.values()))
def test_lock_satisfies_setup_cfg(environment: Dict[str, str]) -> None:
    wanted = [each for each in requirements() + requirements(extra=True) if applies(each, environment)]
    assert len(wanted) > 20
    for requirement in wanted:
        versions = pins(requirement.name, environment)
        assert len(versions) == 1, f"{requirement}: requirements.lock has {versions}"
        assert requirement.specifier.contains(versions[0]), f"{requirement}: requirements.lock has {versions[0]}"


def test_lock_is_exact_and_names_no_index() -> None:
    for line in locked():
        assert [each.operator for each in line.specifier] == ["=="], str(line)
        assert line.url is None, str(line)
    assert "--index-url" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_tensorflow_runs_on_keras_2() -> None:
    import tensorflow as tf
    import tf_keras

    assert tf_keras.__version__.startswith("2.16")
    assert tf.keras.layers.Dense is tf_keras.layers.Dense
    layer = tf_keras.layers.Dense(1, kernel_initializer="ones")
    # Ones as weights, zero as bias: the output is the row's sum.
    assert layer(tf.constant([[1.0, 2.0, 3.0]])).numpy().tolist() == [[6.0]]


def test_tfrs_retrieval_task() -> None:
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

    loss = tfrs.tasks.Retrieval()(tf.eye(2), tf.eye(2))
    # Scores are the identity: in each row the positive has logit 1 and the only other candidate 0, so the row's
    # cross-entropy is -log(e / (e + 1)) = log(1 + 1/e), and the task sums over the two rows.
    assert float(loss) == pytest.approx(2 * math.log(1 + math.exp(-1)), abs=1e-6)


def test_serving_stub_reaches_a_grpc_server() -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Doubling(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext) -> object:
            x = tf.make_ndarray(request.inputs["x"])
            outputs = {"y": tf.make_tensor_proto(2 * x)}
            return predict_pb2.PredictResponse(model_spec=request.model_spec, outputs=outputs)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Doubling(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        request = predict_pb2.PredictRequest(inputs={"x": tf.make_tensor_proto([1.0, 2.5])})
        request.model_spec.name = "doubling"
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    finally:
        server.stop(grace=None).wait()
    assert answer.model_spec.name == "doubling"
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [2.0, 5.0]


@needs("tensorflow-io")
def test_tensorflow_io_reads_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf
    import tensorflow_io as tfio

    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"item": pa.array([3, 5, 8], pa.int64())}), path)
    rows = tfio.IODataset.from_parquet(str(path), columns={"item": tf.TensorSpec([], tf.int64)})
    assert [int(next(iter(row.values()))) for row in rows] == [3, 5, 8]


# The Kafka client inside tensorflow-io can play the broker itself (`test.mock.num.brokers`) and says on stderr where it
# listens. In a process of its own, because the client's threads poll, and write to stderr, until the process ends.
KAFKA_ROUND_TRIP = """
import os, re, sys, time
import signatures, tensorflow as tf, tensorflow_io as tfio
from tensorflow_io.python.ops import core_ops

log = open(sys.argv[1], "w+")
os.dup2(log.fileno(), 2)
broker = tfio.experimental.IOLayer.kafka("clicks", 0, None, ["test.mock.num.brokers=1", "debug=mock"])
deadline = time.monotonic() + 30
while True:
    found = re.search(r"bootstrap.servers=([0-9.]+:[0-9]+)", open(sys.argv[1]).read())
    if found or time.monotonic() > deadline:
        break
    time.sleep(0.05)
server = found.group(1)
for message in (b"user 1 item 3", b"user 1 item 5"):
    core_ops.io_write_kafka(message, "clicks", server)
rows = tfio.IODataset.stream().from_kafka("clicks", partition=0, offset=0, servers=server)
print([message.numpy().decode() for message, key in rows])
"""


@needs("tensorflow-io")
def test_tensorflow_io_reads_kafka(tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    command = [sys.executable, "-c", KAFKA_ROUND_TRIP, str(log)]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=300)
    assert run.returncode == 0, log.read_text(encoding="utf-8")[-2000:]
    assert run.stdout.splitlines()[-1] == "['user 1 item 3', 'user 1 item 5']"


@needs("scann")
def test_scann_finds_the_nearest() -> None:
    import scann

    items = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    searcher = scann.scann_ops.builder(items, 3, "dot_product").score_brute_force().build()
    # On the unit sphere the largest dot product of an item is with itself, and it is 1.
    neighbours, scores = searcher.search_batched(items[[7, 42]])
    assert neighbours.numpy()[:, 0].tolist() == [7, 42]
    assert scores.numpy()[:, 0] == pytest.approx([1.0, 1.0], abs=1e-5)


def test_lightgbm_trains_trees() -> None:
    import lightgbm

    x = np.arange(100, dtype=np.float64).reshape(-1, 1)
    y = (x[:, 0] >= 50).astype(np.float64)
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 2}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), num_boost_round=2)
    low, high = booster.predict(np.array([[10.0], [90.0]]))
    assert booster.num_trees() == 2
    assert low < 0.5 < high


def test_tensorboard_reads_back_a_summary(tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorboard import default
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        tf.summary.scalar("loss", 0.25, step=3)
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Tensors("loss")
    assert (event.step, float(tf.make_ndarray(event.tensor_proto))) == (3, 0.25)
    # The web server finds its dashboards by pkg_resources, which newer setuptools lack.
    assert default.get_plugins()
