"""Small SavedModels, and servers that answer them: the embedded one always, the real one where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import httpx
import numpy as np
import pytest

ECHOED = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
          "string", "float16", "bfloat16")


@dataclass(frozen=True)
class Address:
    """Where a server answers."""

    port: int
    rest_port: int
    kind: str = "embedded"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def save_sum(folder: Path, bonus: float = 0.0) -> Path:
    """`score` = x0 + x1 + ids + bonus, `letters` = length of name; signature `one`: x [B, 2] -> y [B] = x0 + 10 x1."""
    import tensorflow as tf

    class Sum(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bonus = tf.Variable(bonus)
            self.weights = tf.Variable([[1.0], [10.0]])

        @tf.function(input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([None], tf.int64, "ids"),
            tf.TensorSpec([None], tf.string, "name"),
        ])
        def serve(self, x: Any, ids: Any, name: Any) -> Dict[str, Any]:
            score = tf.reduce_sum(x, -1) + tf.cast(ids, tf.float32) + self.bonus
            return {"score": score, "letters": tf.strings.length(name)}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def one(self, x: Any) -> Dict[str, Any]:
            return {"y": tf.squeeze(tf.matmul(x, self.weights), -1)}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def shapes(self, x: Any) -> Dict[str, Any]:
            return {"total": tf.reduce_sum(x)}

    module = Sum()
    signatures = {"serving_default": module.serve, "one": module.one, "scalar": module.shapes}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def save_echo(folder: Path) -> Path:
    """One signature for each type: v -> v; and `bytes`: v -> raw_bytes."""
    import tensorflow as tf

    def echo(dtype: Any, name: str) -> Any:
        return tf.function(lambda v: {name: tf.identity(v)}, [tf.TensorSpec(None, dtype, "v")])

    module = tf.Module()
    signatures = {dtype: echo(tf.as_dtype(dtype), "v") for dtype in ECHOED}
    signatures["bytes"] = echo(tf.string, "raw_bytes")
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def save_ragged(folder: Path) -> Path:
    """`score` [B] = sum of the first `history_length` of history [B, L], times 1 + the sum of history_rating there."""
    import tensorflow as tf

    class Ragged(tf.Module):
        @tf.function(input_signature=[
            tf.TensorSpec([None, None], tf.int64, "history"), tf.TensorSpec([None, None], tf.float32, "history_rating"),
            tf.TensorSpec([None], tf.int64, "history_length"),
        ])
        def serve(self, history: Any, history_rating: Any, history_length: Any) -> Dict[str, Any]:
            valid = tf.sequence_mask(history_length, tf.shape(history)[1])
            total = tf.reduce_sum(tf.where(valid, tf.cast(history, tf.float32), 0.0), -1)
            rating = tf.reduce_sum(tf.where(valid, history_rating, 0.0), -1)
            return {"score": total * (1.0 + rating)}

    module = Ragged()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sum/3`, `echo/1`, `ragged/1`. Not to be changed; `copy_of` gives a test its own."""
    folder = tmp_path_factory.mktemp("models")
    save_sum(folder / "sum" / "3")
    save_echo(folder / "echo" / "1")
    save_ragged(folder / "ragged" / "1")
    return folder


@pytest.fixture(scope="session")
def other_sum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same signatures as `sum`, but 100 more: another version of it."""
    return save_sum(tmp_path_factory.mktemp("other") / "sum", bonus=100.0)


@pytest.fixture
def copy_of(model_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a model's folder, for a test that changes it."""
    return lambda name: Path(shutil.copytree(model_folder / name, tmp_path / name))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Runs of every session wait while it is cleared; `runs` counts those that wait or have passed."""
    from serving.embedded.servable import Servable

    opened: Any = threading.Event()
    opened.set()
    opened.runs = 0
    run_now = Servable.run_now

    def gated(self: Any, *arguments: Any) -> Any:
        opened.runs += 1
        assert opened.wait(30)
        return run_now(self, *arguments)

    monkeypatch.setattr(Servable, "run_now", gated)
    yield opened
    opened.set()


@pytest.fixture(scope="session")
def config_file(model_folder: Path) -> Path:
    """Serves all of `model_folder`."""
    from serving.launch import model_config

    file = model_folder / "models.config"
    file.write_text(model_config({name: model_folder / name for name in ("sum", "echo", "ragged")}), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def embedded(config_file: Path) -> Iterator[Address]:
    """An embedded server in this process."""
    from serving.embedded.flags import Flags
    from serving.embedded.server import Server

    address = Address(free_port(), free_port())
    server = Server(Flags(port=address.port, rest_api_port=address.rest_port, model_config_file=str(config_file)))
    yield address
    server.close()


@pytest.fixture(scope="session")
def real(config_file: Path) -> Iterator[Address]:
    """tensorflow_model_server, where it is installed."""
    program = shutil.which(os.environ.get("TENSORFLOW_MODEL_SERVER") or "tensorflow_model_server")
    if program is None:
        pytest.skip("no tensorflow_model_server on PATH or in TENSORFLOW_MODEL_SERVER")
    address = Address(free_port(), free_port(), "real")
    flags = (f"--port={address.port}", f"--rest_api_port={address.rest_port}", f"--model_config_file={config_file}")
    process = subprocess.Popen((program, *flags))
    try:
        wait_until(lambda: is_up(address), 120)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.tfserving)])
def address(request: pytest.FixtureRequest) -> Address:
    """Each server in turn: the same assertions hold for both."""
    found: Address = request.getfixturevalue(request.param)
    return found


def is_up(address: Address) -> bool:
    try:
        return httpx.get(f"{address.url}/v1/models/sum", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Polls a condition; fails when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come true within {seconds} s: {condition}")
        time.sleep(0.02)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal in type, shape and value, NaN included."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype == object or left.dtype.kind not in "fc":
        return bool((left == right).all())
    return bool(np.array_equal(left, right, equal_nan=True))
