"""The embedded server's answers where its flags or its insides matter; what any server answers is in `conformance`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from tests.conformance import models
from tests.conformance.asking import connected, get, post, predict_request, refusal
from tests.conformance.asking_examples import classify, example, regress
from tests.fixtures_serving import Address, wait_until
from tests.running_server import running

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def address(server: Any) -> Address:
    return Address(server.flags.port, server.flags.rest_api_port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base paths `examples`, as TensorFlow 2 writes it, `declared`, which names the methods, and `odd`."""
    from tensorflow.core.protobuf import saved_model_pb2

    made = tmp_path_factory.mktemp("answers")
    models.save_odd(made / "odd" / "1")
    for name in ("examples", "declared"):
        models.save_examples(made / name / "1")
    file = made / "declared" / "1" / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    signatures = saved_model.meta_graphs[0].signature_def
    signatures["classify"].method_name, signatures["regress"].method_name = CLASSIFY, REGRESS
    signatures["three"].method_name = "tensorflow/serving/other"
    file.write_bytes(saved_model.SerializeToString())
    return made


@pytest.fixture(scope="module", params=["examples", "declared"])
def checking(request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    """A server that checks the methods which signatures declare, and the model it serves."""
    flags = {"model_name": request.param, "model_base_path": str(folder / request.param)}
    with running(**flags, enable_signature_method_name_check=True) as server:
        yield address(server), request.param


def test_checked_method_names(checking: Any) -> None:
    server, model = checking
    for call, kind, method in (("classify", "classification", CLASSIFY), ("regress", "regression", REGRESS)):
        code, body = post(server, f"{model}:{call}", {"signature_name": call, "examples": [{"x": 1.0}]})
        if model == "declared":
            assert code == 200
        else:
            assert (code, body["error"]) == (
                400, f"Expected {kind} signature method_name to be {method}. Was: tensorflow/serving/predict"
            )


def test_checked_method_name_of_predict(checking: Any) -> None:
    server, model = checking
    serialized = np.array([example(x=1.0).SerializeToString()], object)
    with connected(server) as stubs:
        if model == "examples":
            assert set(stubs.predict(predict_request(model, "three", inputs=serialized))) == {"classes", "scores", "x"}
            return
        assert set(stubs.predict(predict_request(model, "classify", inputs=serialized))) == {"classes", "scores"}
        assert refusal(stubs.prediction.Predict, predict_request(model, "three", inputs=serialized)) == (
            "INTERNAL", "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
                        f"{CLASSIFY}, {REGRESS}}}. Was: tensorflow/serving/other"
        )


def test_xla_runs_where_the_flag_allows_it(folder: Path) -> None:
    flags = {"model_name": "odd", "model_base_path": str(folder / "odd"), "xla_cpu_compilation_enabled": True}
    with running(**flags) as server:
        body = {"signature_name": "xla", "inputs": [1.5]}
        assert post(address(server), "odd:predict", body) == (200, {"outputs": [3.0]})


def test_deadline_of_the_caller_ends_the_run(folder: Path) -> None:
    with running(model_name="odd", model_base_path=str(folder / "odd")) as server, \
            connected(address(server)) as stubs:
        request = predict_request("odd", "slow", turns=np.array([100_000], np.int32))  # a minute, were it not stopped
        assert refusal(stubs.prediction.Predict, request, timeout=1)[0] == "DEADLINE_EXCEEDED"
        wait_until(lambda: server.models.status("odd")[0].users == 0, 10)
        for _ in range(3):  # another time for each call, the same compiled graph
            quick = predict_request("odd", "slow", turns=np.array([0], np.int32))
            assert stubs.prediction.Predict(quick, timeout=30).outputs["y"].int_val[:] == [0]


def test_status_of_a_label_in_the_path_is_every_version(folder: Path) -> None:
    with running(model_name="odd", model_base_path=str(folder / "odd")) as server:
        assert get(address(server), "/odd/labels/any")[0] == 200


@pytest.mark.parametrize("made", [classify, regress])
def test_context_is_in_front_of_each_example(made: Any) -> None:
    from tensorflow.core.example import example_pb2

    from serving.embedded import examples

    request = made("any", example(x=3.0), example(), context=example(x=1.0, id=7))
    read = [example_pb2.Example.FromString(each) for each in examples.serialized(request.input)]
    assert [each.features.feature["x"].float_list.value[:] for each in read] == [[3.0], [1.0]]
    assert [each.features.feature["id"].int64_list.value[:] for each in read] == [[7], [7]]
