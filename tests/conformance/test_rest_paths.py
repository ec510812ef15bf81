"""Methods, paths, versions, status and metadata over REST."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.asking import get, one, post
from tests.fixtures_serving import Address

AVAILABLE = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


def test_version_in_the_path(server: Address) -> None:
    assert post(server, "sum/versions/3:predict", one('"inputs": [[1, 2]]')) == (200, {"outputs": [21.0]})


def test_case_of_the_path_is_ignored_and_that_of_the_method_is_not(server: Address) -> None:
    assert httpx.get(f"{server.url}/V1/MODELS/sum", trust_env=False).status_code == 200
    assert post(server, "sum:PREDICT", one('"inputs": [[1, 2]]')) == (
        400, {"error": "Malformed request: POST /v1/models/sum:PREDICT"}
    )


def test_name_is_percent_decoded(server: Address) -> None:
    assert get(server, "/%73um") == (200, {"model_version_status": [AVAILABLE]})


@pytest.mark.parametrize("path", ["/sum", "/sum/versions/3"])
def test_status(server: Address, path: str) -> None:
    assert get(server, path) == (200, {"model_version_status": [AVAILABLE]})


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/nope", 404, "Could not find any versions of model nope"),
        ("/sum/versions/99", 404, "Could not find version 99 of model sum"),
        ("", 400, "Missing model name in request."),
        ("/sum/versions/99999999999999999999", 400, "Failed to convert version: 99999999999999999999 to numeric."),
    ],
)
def test_status_of_the_unknown(server: Address, path: str, code: int, text: str) -> None:
    assert get(server, path) == (code, {"error": text})


def test_metadata(server: Address) -> None:
    code, told = get(server, "/sum/metadata")
    assert code == 200
    assert told["model_spec"] == {"name": "sum", "signature_name": "", "version": "3"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert x["name"] == "serving_default_x:0"
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert get(server, "/sum/versions/3/metadata") == (200, told)


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("/sum/versions/99/metadata", 404, "Servable not found for request: Specific(sum, 99)"),
        ("/sum/labels/nolabel/metadata", 400, "Unrecognized servable version label: nolabel"),
    ],
)
def test_metadata_of_the_unknown(server: Address, path: str, code: int, text: str) -> None:
    assert get(server, path) == (code, {"error": text})


def test_metrics_are_off_unless_asked_for(server: Address) -> None:
    assert httpx.get(f"{server.url}/monitoring/prometheus/metrics", trust_env=False).status_code == 404
