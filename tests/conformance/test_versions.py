"""Versions that come, break and go; warm-up. Each test has a model of its own to change.

Point 15 of the pitfalls is here and in test_reloads.py: a version that fails, or whose warm-up fails, leaves the old
one; a base path that vanishes keeps serving, one that is emptied unloads.
"""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest

from serving.launch import model_config
from tests.conformance import servers
from tests.conformance.asking import SUM_COLUMNS, get, post, reaches, states
from tests.conformance.asking_examples import classify, example, multi, regress
from tests.conformance.models import predict_log, save_examples, write_warm_up
from tests.fixtures_serving import Address, wait_until

MODELS = (
    "comes", "breaks", "loses_variables", "deleted", "vanishes", "warm", "warm_wrong", "warm_many", "warm_garbage",
)


@pytest.fixture(scope="module")
def folder(kind: str, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `sum` for each test, scoring 6."""
    made = tmp_path_factory.mktemp("changing")
    for name in MODELS:
        shutil.copytree(model_folder / "sum", made / name)
    return made


@pytest.fixture(scope="module")
def changing(kind: str, folder: Path) -> Iterator[Address]:
    """A server that looks at its folders every second and tries a broken version once."""
    config = folder / "models.config"
    config.write_text(model_config({name: folder / name for name in MODELS}), encoding="utf-8")
    flags = [f"--model_config_file={config}", "--file_system_poll_wait_seconds=1", "--max_num_load_retries=0"]
    with servers.running(kind, folder, flags, MODELS[-1]) as address:
        yield address


def publish(source: Path, target: Path) -> None:
    """Copies beside the target and renames: the server never sees half a version."""
    work = Path(shutil.copytree(source, target.with_name(f"work-{target.name}")))
    work.rename(target)


def score(server: Address, model: str) -> float:
    code, body = post(server, f"{model}:predict", SUM_COLUMNS)
    assert code == 200, body
    return float(body["outputs"]["score"][0])


def test_a_new_version_is_taken_and_the_old_one_stays_listed_as_end(
    changing: Address, folder: Path, sum_100: Path
) -> None:
    assert score(changing, "comes") == 6.0
    publish(sum_100, folder / "comes" / "4")
    reaches(changing, "comes", {4: "AVAILABLE", 3: "END"})
    assert score(changing, "comes") == 106.0
    code, body = get(changing, "/comes")
    assert (code, [told["version"] for told in body["model_version_status"]]) == (200, ["4", "3"])  # newest first
    code, body = get(changing, "/comes/versions/3")
    assert (code, body["model_version_status"][0]["state"]) == (200, "END")
    assert post(changing, "comes/versions/3:predict", SUM_COLUMNS) == (
        404, {"error": "Servable not found for request: Specific(comes, 3)"}
    )


def test_a_broken_version_leaves_the_old_one(changing: Address, folder: Path, sum_100: Path) -> None:
    work = Path(shutil.copytree(sum_100, folder / "breaks" / "work"))
    (work / "saved_model.pb").write_bytes(b"\x0a\xff garbage")
    work.rename(folder / "breaks" / "4")
    reaches(changing, "breaks", {4: "END", 3: "AVAILABLE"})
    assert score(changing, "breaks") == 6.0
    told = get(changing, "/breaks/versions/4")[1]["model_version_status"][0]["status"]
    assert told["error_code"] != "OK" and told["error_message"]


def test_a_version_without_its_variables_leaves_the_old_one(changing: Address, folder: Path, sum_100: Path) -> None:
    work = Path(shutil.copytree(sum_100, folder / "loses_variables" / "work"))
    (work / "variables" / "variables.data-00000-of-00001").unlink()
    work.rename(folder / "loses_variables" / "4")
    reaches(changing, "loses_variables", {4: "END", 3: "AVAILABLE"})
    assert score(changing, "loses_variables") == 6.0


def test_deleting_the_newest_brings_the_previous_back(changing: Address, folder: Path, sum_100: Path) -> None:
    publish(sum_100, folder / "deleted" / "4")
    reaches(changing, "deleted", {4: "AVAILABLE", 3: "END"})
    shutil.rmtree(folder / "deleted" / "4")
    reaches(changing, "deleted", {4: "END", 3: "AVAILABLE"})
    assert score(changing, "deleted") == 6.0


def test_a_vanished_base_path_keeps_serving_and_an_emptied_one_unloads(changing: Address, folder: Path) -> None:
    base, elsewhere = folder / "vanishes", folder / "elsewhere"
    base.rename(elsewhere)
    time.sleep(2.5)  # two looks
    assert score(changing, "vanishes") == 6.0
    base.mkdir()
    reaches(changing, "vanishes", {3: "END"})
    assert post(changing, "vanishes:predict", SUM_COLUMNS) == (
        404, {"error": "Servable not found for request: Latest(vanishes)"}
    )
    base.rmdir()
    elsewhere.rename(base)
    reaches(changing, "vanishes", {3: "AVAILABLE"})


def test_every_kind_of_warm_up_record_is_replayed(changing: Address, folder: Path) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    logs = [prediction_log_pb2.PredictionLog() for _ in range(4)]
    logs[0].classify_log.request.CopyFrom(classify("classify", example(x=1.0)))
    logs[1].regress_log.request.CopyFrom(regress("regress", example(x=1.0)))
    tasks = (("regress", "tensorflow/serving/regress"), ("classify", "tensorflow/serving/classify"))
    logs[2].multi_inference_log.request.CopyFrom(multi(*tasks, examples=[example(x=1.0)]))
    logs[3] = predict_log("id_alone", inputs=np.array([example(id=1).SerializeToString()], object))
    version = save_examples(folder / "warm" / "work")
    write_warm_up(version, *logs)
    version.rename(folder / "warm" / "4")
    reaches(changing, "warm", {4: "AVAILABLE", 3: "END"})
    for number, broken in enumerate(logs, 5):
        # The same record for a signature that is not there: had it not been run, the version would load.
        version = Path(shutil.copytree(folder / "warm" / "4", folder / "warm" / "work"))
        write_warm_up(version, without_signature(broken))
        version.rename(folder / "warm" / str(number))
        wait_until(partial(_is_end, changing, "warm", number))


def without_signature(log: Any) -> Any:
    """A record that asks for signatures that do not exist."""
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    for specification in [task.model_spec for task in request.tasks] if "multi" in kind else [request.model_spec]:
        specification.signature_name = f"no {specification.signature_name}"
    return log


def _is_end(server: Address, model: str, version: int) -> bool:
    return states(server, model).get(version) == "END"


@pytest.mark.parametrize(
    ("model", "logs"),
    [
        ("warm_wrong", lambda: [predict_log("one", x=np.ones([1, 3], np.float32))]),  # the graph takes [None, 2]
        ("warm_many", lambda: [predict_log("one", x=np.ones([1, 2], np.float32))] * 1001),
        ("warm_garbage", lambda: []),
    ],
)
def test_a_warm_up_that_fails_refuses_the_version(
    changing: Address, folder: Path, sum_100: Path, model: str, logs: Callable[[], List[Any]]
) -> None:
    work = Path(shutil.copytree(sum_100, folder / model / "work"))
    write_warm_up(work, *logs())
    if model == "warm_garbage":
        (work / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"this is no TFRecord at all")
    work.rename(folder / model / "4")
    reaches(changing, model, {4: "END", 3: "AVAILABLE"})
    assert score(changing, model) == 6.0
