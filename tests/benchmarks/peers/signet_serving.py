"""Signet's side of the serving comparisons: `rank` of an export, in process and through the embedded server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import tensorflow as tf

from pipeline import inference, saved_models
from pipeline.builder import Built
from serving.client import grpc_wire
from serving.client.client import Client
from serving.client.encode import encode
from serving.client.grpc_transport import GrpcTransport
from serving.client.transport import Target
from tests.benchmarks import model_server
from tests.benchmarks.peers import counting, data, signet_training
from tests.benchmarks.peers.work import Settings, Work

DEADLINE_SECONDS = 60


def rank_din(settings: Settings) -> Work:
    """The export's `rank`, from raw ids: vocabulary look-up included. The history comes in its real length."""
    export_din(settings)
    pairs, width = settings["candidates"] * settings["history"], 2 * settings["width"]
    first, *rest = settings["attention"]
    gigaflop = counting.dense(pairs, [width + 1, first]) + counting.dense(pairs, [first, *rest, 1])
    gigaflop += counting.dense(settings["candidates"], [2 * width, *settings["hidden"], 1])
    return called(settings, user_once(settings), gigaflop)


def rank_deepfm(settings: Settings) -> Work:
    """The export's `rank`, from raw ids: vocabulary look-up included."""
    export_deepfm(settings)
    half = data.ID_FIELDS // 2 * settings["width"]
    gigaflop = counting.dense(settings["candidates"], [half, *settings["hidden"], 1])
    return called(settings, user_fields_once(settings), gigaflop)


def export_din(settings: Settings) -> Work:
    """Writes our DIN's signatures as a SavedModel. There is nothing to run."""
    sizes = {"item_id": settings["items"], "category_id": settings["categories"]}
    features: List[Dict[str, Any]] = [{"name": name, "side": "item", "kind": "categorical"} for name in sizes]
    parameters = signet_training.din_parameters(settings)
    return exported("din", [*features, signet_training.history()], parameters, sizes, settings)


def export_deepfm(settings: Settings) -> Work:
    """Writes our DeepFM's signatures as a SavedModel. There is nothing to run."""
    names = [(side, f"{side}_{place}") for side in ("user", "item") for place in range(data.ID_FIELDS // 2)]
    features = [{"name": name, "side": side, "kind": "categorical"} for side, name in names]
    parameters = signet_training.deepfm_parameters(settings)
    sizes = {name: settings["rows"] // data.ID_FIELDS for _, name in names}
    return exported("deepfm", features, parameters, sizes, settings)


def user_once(settings: Settings) -> data.Arrays:
    """The request of `data.one_user` as `rank` takes it."""
    asked = data.one_user(*(settings[name] for name in data.USER))
    length = np.array([settings["history"]])
    return {**{name: cells[np.newaxis] for name, cells in asked.items()}, "hist_item_id_length": length}


def user_fields_once(settings: Settings) -> data.Arrays:
    """The request of `data.one_user_fields` as `rank` takes it."""
    asked = data.one_user_fields(settings["rows"], settings["candidates"])
    return {name: cells[np.newaxis] for name, cells in asked.items()}


def exported(
    model: str, features: List[Dict[str, Any]], parameters: Dict[str, Any], vocabularies: Dict[str, int],
    settings: Settings,
) -> Work:
    """Builds the model and writes its signatures as `signet export` does, without the gates."""
    with tempfile.TemporaryDirectory() as folder:
        built: Built = signet_training.made(model, features, parameters, vocabularies, Path(folder))
        signatures = inference.signatures(built, None)
        saved_models.save(signatures, built.encoder, Path(settings["signet_export"]))
    return Work(lambda: 0.0, 1, {"parameters": built.model.count_params()})


def called(settings: Settings, request: data.Arrays, gigaflop: float) -> Work:
    """Calls of the loaded `rank` in this process, each with its answer as a numpy array."""
    function = tf.saved_model.load(settings["signet_export"]).signatures["rank"]
    tensors = {name: tf.constant(cells) for name, cells in request.items()}
    return repeated(lambda: function(**tensors)["score"].numpy(), settings["calls"], {"gigaflop": gigaflop})


def grpc_peer_din(settings: Settings) -> Work:
    """DeepCTR's DIN behind our embedded server, asked with tiled rows."""
    request = data.tiled_user(*(settings[name] for name in data.USER))
    return over_grpc(settings["peer_export"], "serving_default", request, settings)


def grpc_rank_din(settings: Settings) -> Work:
    """Our DIN behind the same server, asked with the user once."""
    return over_grpc(settings["signet_export"], "rank", user_once(settings), settings)


def grpc_peer_deepfm(settings: Settings) -> Work:
    """DeepCTR's DeepFM behind our embedded server, asked with tiled rows."""
    request = data.tiled_user_fields(settings["rows"], settings["candidates"])
    return over_grpc(settings["peer_export"], "serving_default", request, settings)


def grpc_rank_deepfm(settings: Settings) -> Work:
    """Our DeepFM behind the same server, asked with the user once."""
    return over_grpc(settings["signet_export"], "rank", user_fields_once(settings), settings)


def over_grpc(export: str, signature: str, request: data.Arrays, settings: Settings) -> Work:
    """A server of this export in a process of its own, and the client that asks it, encoding included."""
    open_ones = ExitStack()
    command = (sys.executable, "-m", "serving.embedded")
    folder = Path(open_ones.enter_context(tempfile.TemporaryDirectory()))
    server = open_ones.enter_context(model_server.serving("embedded", command, Path(export), folder))
    client = open_ones.enter_context(Client(GrpcTransport(port=server.port), deadline_seconds=DEADLINE_SECONDS))
    target = Target(Path(export).parent.name, signature)

    def call() -> np.ndarray:
        (scores,) = client.predict(target.model, request, signature).outputs.values()
        return scores

    sent = encode(client.contract(target), request)
    narrow = {name: cells.astype(np.int32) for name, cells in sent.items()}
    facts = {name: len(grpc_wire.predict(target, cells, ()).body)
             for name, cells in (("bytes", sent), ("bytes_int32", narrow))}
    work = repeated(call, settings["calls"], facts)
    return Work(work.run, work.steps, work.facts, open_ones.close)


def import_tensorflow(settings: Settings) -> Work:
    """A process that imports TensorFlow and ends: what every tool that needs it costs before it begins."""
    return repeated(lambda: _process("-c", "import tensorflow"), settings["calls"], {})


def lint(settings: Settings) -> Work:
    """`signet lint` of our export of DIN, a process from its start to its verdict; or the linter by itself."""
    export_din(settings)
    command = ("-m", settings["linter"], "lint", settings["signet_export"])
    return repeated(lambda: _process(*command), settings["calls"], {})


def _process(*arguments: str) -> int:
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):  # 1: the linter has found something
        raise RuntimeError(done.stderr)
    return done.returncode


def repeated(call: Callable[[], Any], times: int, facts: Dict[str, Any]) -> Work:
    """A round of so many calls; its value is the sum of the last answer."""

    def run() -> float:
        for _ in range(times):
            answer = call()
        return float(np.sum(answer))

    return Work(run, times, facts)
