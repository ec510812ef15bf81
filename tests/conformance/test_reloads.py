"""HandleReloadConfigRequest: labels, models that are added and taken away, lists that are refused.

Adding a model is synchronous, a label in use moves only to a loaded version, and a request replaces the whole list.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple

import pytest

from serving.launch import model_config
from tests.conformance import servers
from tests.conformance.asking import SUM_COLUMNS, Stubs, connected, post, reaches, refusal, states, sum_request
from tests.fixtures_serving import Address, wait_until


@pytest.fixture(scope="module")
def reloading(
    kind: str, model_folder: Path, sum_100: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tuple[Address, Stubs, Path]]:
    """A server of `sum` with both its versions and no labels, as it starts by default, and its folder."""
    folder = tmp_path_factory.mktemp("reloading")
    shutil.copytree(model_folder / "sum", folder / "sum")
    shutil.copytree(model_folder / "echo", folder / "echo")
    shutil.copytree(sum_100, folder / "sum" / "4")
    config = folder / "models.config"
    config.write_text(both_versions(folder), encoding="utf-8")
    with servers.running(kind, folder, [f"--model_config_file={config}"]) as address, connected(address) as stubs:
        reaches(address, "sum", {4: "AVAILABLE", 3: "AVAILABLE"})
        yield address, stubs, folder


def both_versions(folder: Path, *others: str, **labels: int) -> str:
    """A config of `sum` in both versions, under these labels, and of other models."""
    text = model_config({name: folder / name for name in ("sum", *others)})
    told = "".join(f'version_labels {{ key: "{label}" value: {number} }} ' for label, number in labels.items())
    return text.replace('model_platform: "tensorflow"', 'model_platform: "tensorflow" model_version_policy { all {} } '
                        + told, 1)


def reload_request(text: str) -> Any:
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    return request


def test_labels_move_only_to_loaded_versions(reloading: Tuple[Address, Stubs, Path]) -> None:
    server, stubs, folder = reloading
    stubs.model.HandleReloadConfigRequest(reload_request(both_versions(folder, stable=3, canary=4)), timeout=60)
    for label, expected in (("stable", 6.0), ("canary", 106.0)):
        assert post(server, f"sum/labels/{label}:predict", SUM_COLUMNS)[1]["outputs"]["score"] == [expected]
        request = sum_request()
        request.model_spec.version_label = label
        answer = stubs.prediction.Predict(request, timeout=60)
        assert (list(answer.outputs["score"].float_val), answer.model_spec.version.value) == (
            [expected], 3 if label == "stable" else 4
        )
    code, text = refusal(stubs.model.HandleReloadConfigRequest, reload_request(both_versions(folder, stable=9)))
    assert code == "FAILED_PRECONDITION" and "Request to assign label to version 9 of model sum" in text
    assert post(server, "sum/labels/stable:predict", SUM_COLUMNS)[1]["outputs"]["score"] == [6.0]  # as before
    stubs.model.HandleReloadConfigRequest(reload_request(both_versions(folder, stable=4)), timeout=60)
    assert post(server, "sum/labels/stable:predict", SUM_COLUMNS)[1]["outputs"]["score"] == [106.0]
    assert post(server, "sum/labels/canary:predict", SUM_COLUMNS) == (
        400, {"error": "Unrecognized servable version label: canary"}
    )


def test_a_reload_replaces_the_list_and_adding_is_synchronous(reloading: Tuple[Address, Stubs, Path]) -> None:
    server, stubs, folder = reloading
    echo = {"signature_name": "float32", "inputs": [1.5]}
    stubs.model.HandleReloadConfigRequest(reload_request(both_versions(folder, "echo")), timeout=60)
    assert post(server, "echo:predict", echo) == (200, {"outputs": [1.5]})
    stubs.model.HandleReloadConfigRequest(reload_request(both_versions(folder)), timeout=60)
    wait_until(lambda: post(server, "echo:predict", echo) == (
        404, {"error": "Servable not found for request: Latest(echo)"}
    ))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('base_path: "', 'base_path: "not'), "to have an absolute path or URI"),
        (lambda text: text.replace("}\n}\n", "}\n" + text.split("{", 1)[1]), "multiple times in config list"),
    ],
    ids=["relative path", "one name twice"],
)
def test_a_list_that_cannot_be_taken_changes_nothing(
    reloading: Tuple[Address, Stubs, Path], change: Callable[[str], str], words: str
) -> None:
    server, stubs, folder = reloading
    code, text = refusal(stubs.model.HandleReloadConfigRequest, reload_request(change(both_versions(folder))))
    assert code == "INVALID_ARGUMENT" and words in text
    assert states(server, "sum") == {4: "AVAILABLE", 3: "AVAILABLE"}


def test_a_broken_version_is_tried_again_a_minute_later(reloading: Tuple[Address, Stubs, Path]) -> None:
    server, _, folder = reloading  # with the default of five retries
    (folder / "sum" / "5").mkdir()
    wait_until(lambda: 5 in states(server, "sum"))
    time.sleep(2)
    assert states(server, "sum")[5] == "LOADING"
    shutil.rmtree(folder / "sum" / "5")
