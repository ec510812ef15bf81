"""Batching: strangers' requests run as one, are padded, and are refused when they cannot be."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import httpx
import numpy as np
import pytest

from serving.launch import model_config
from tests.conformance import models, servers
from tests.conformance.asking import Stubs, connected, one, post, predict_request, refusal
from tests.fixtures_serving import Address

PARAMETERS = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 400000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 4
allowed_batch_sizes: 8
pad_variable_length_inputs: true
"""
MONITORING = "prometheus_config { enable: true path: \"/monitoring/prometheus/metrics\" }\n"


@pytest.fixture(scope="module")
def batching(
    kind: str, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tuple[Address, Stubs]]:
    """A server with batching, padding and metrics; a batch waits 0.4 s for company."""
    folder = tmp_path_factory.mktemp("batching")
    shutil.copytree(model_folder / "sum", folder / "sum")
    models.save_shape(folder / "shape" / "1")
    files = {"models.config": model_config({name: folder / name for name in ("sum", "shape")}),
             "batching.config": PARAMETERS, "monitoring.config": MONITORING}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    flags = [f"--model_config_file={folder}/models.config", "--enable_batching=true",
             f"--batching_parameters_file={folder}/batching.config",
             f"--monitoring_config_file={folder}/monitoring.config"]
    with servers.running(kind, folder, flags) as address, connected(address) as stubs:
        yield address, stubs


def ids_request(*rows: List[int]) -> Any:
    """Rows of ids to model `shape`, whose answers tell what the graph saw."""
    ids = np.array(rows, np.int64)
    return predict_request("shape", ids=ids, other=np.zeros(len(rows), np.int64))


def together(stubs: Stubs, *requests: Any) -> List[Dict[str, np.ndarray]]:
    """The answers to requests sent at once."""
    barrier = threading.Barrier(len(requests))

    def ask(request: Any) -> Dict[str, np.ndarray]:
        barrier.wait()
        return stubs.predict(request)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_task_that_is_larger_than_a_batch(batching: Tuple[Address, Stubs]) -> None:
    server, stubs = batching
    rows = ", ".join(["[1, 2]"] * 9)
    assert post(server, "sum:predict", one(f'"instances": [{rows}]')) == (
        400, {"error": "Task size 9 is larger than maximum input batch size 8"}
    )
    assert refusal(stubs.prediction.Predict, ids_request(*[[1]] * 9)) == (
        "INVALID_ARGUMENT", "Task size 9 is larger than maximum input batch size 8"
    )


def test_columns_of_unequal_length(batching: Tuple[Address, Stubs]) -> None:
    server, stubs = batching
    body = '{"inputs": {"x": [[1, 2]], "ids": [3, 4], "name": ["abc"]}}'  # broadcasts without batching
    assert post(server, "sum:predict", body) == (
        400, {"error": "Batching Run() input tensors must have equal 0th-dimension size"}
    )


def test_strangers_share_a_batch_and_each_gets_its_own_rows(batching: Tuple[Address, Stubs]) -> None:
    answers = together(batching[1], ids_request([1, 2], [3, 4]), ids_request([5, 6]), ids_request([7, 8]))
    assert [answer["cells"].tolist() for answer in answers] == [[3, 7], [11], [15]]
    assert {int(rows) for answer in answers for rows in answer["rows"]} == {4}  # the graph ran once, with 2 + 1 + 1


def test_a_batch_is_filled_up_to_the_next_allowed_size(batching: Tuple[Address, Stubs]) -> None:
    for count, seen in ((1, 4), (3, 4), (5, 8), (8, 8)):
        answer = batching[1].predict(ids_request(*[[number] for number in range(count)]))
        assert answer["rows"].tolist() == [seen] * count
        assert answer["cells"].tolist() == list(range(count))


def test_padding_is_the_tensor_s_first_element(batching: Tuple[Address, Stubs]) -> None:
    # [7] goes with [1, 2, 3] and becomes [7, 7, 7], not [7, 0, 0]: the graph sums 21.
    short, long = together(batching[1], ids_request([7]), ids_request([1, 2, 3]))
    assert (short["cells"].tolist(), long["cells"].tolist()) == ([21], [6])


def test_one_request_alone_waits_its_time(batching: Tuple[Address, Stubs]) -> None:
    started = time.monotonic()
    batching[1].predict(ids_request([1]))
    assert time.monotonic() - started > 0.35  # of the 0.4 s that a batch waits
    started = time.monotonic()
    batching[1].predict(ids_request(*[[1]] * 8))  # a full one does not wait
    assert time.monotonic() - started < 0.3


def test_metrics_are_where_the_file_says(batching: Tuple[Address, Stubs]) -> None:
    server, stubs = batching
    stubs.predict(ids_request(*[[1]] * 8))
    answer = httpx.get(f"{server.url}/monitoring/prometheus/metrics", trust_env=False)
    assert answer.status_code == 200
    assert '# TYPE :tensorflow:serving:request_count counter' in answer.text
    assert ':tensorflow:serving:request_count{model_name="shape",status="OK"}' in answer.text


def test_parameters_in_the_export_are_its_own(kind: str, model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder / "sum", tmp_path / "sum")
    models.save_shape(tmp_path / "shape" / "1")
    (tmp_path / "shape" / "1" / "batching_params.pbtxt").write_text(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 0 } num_batch_threads { value: 2 }", encoding="utf-8"
    )
    config = tmp_path / "models.config"
    config.write_text(model_config({name: tmp_path / name for name in ("sum", "shape")}), encoding="utf-8")
    flags = [f"--model_config_file={config}", "--enable_batching=true", "--enable_per_model_batching_parameters=true"]
    with servers.running(kind, tmp_path, flags) as server:
        rows = '"instances": [[1, 2], [1, 2], [1, 2]]'
        assert post(server, "sum:predict", one(rows))[0] == 200  # no file, no batching
        body = {"inputs": {"ids": [[1]] * 3, "other": [0] * 3}}
        assert post(server, "shape:predict", body) == (
            400, {"error": "Task size 3 is larger than maximum input batch size 2"}
        )


def test_too_few_threads_are_told_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    models.save_odd(tmp_path / "odd" / "1")
    flags = ["--model_name=odd", f"--model_base_path={tmp_path / 'odd'}", "--grpc_max_threads=8"]
    with servers.running(kind, tmp_path, flags, "odd") as server, connected(server) as stubs:
        slow = predict_request("odd", "slow", turns=np.array([400], np.int32))
        calls = [stubs.prediction.Predict.future(slow, timeout=60) for _ in range(24)]
        codes = {call.code().name for call in calls}  # waits for each
    assert codes == {"OK", "RESOURCE_EXHAUSTED"}
