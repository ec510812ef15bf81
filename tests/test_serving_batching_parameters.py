"""BatchingParameters from text, with the real server's fields, defaults and refusals; and MonitoringConfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

import pytest

from serving.embedded.batching.parameters import Parameters, check, from_file, in_export
from serving.embedded.errors import StatusError
from serving.embedded.metrics.settings import page_path
from signatures.errors import UsageError

ALL = """
max_batch_size { value: 128 }
batch_timeout_micros { value: 500 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }
thread_pool_name { value: "pool" }
allowed_batch_sizes: 32
allowed_batch_sizes: 128  # the last is the largest
pad_variable_length_inputs: true
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 64 }
"""


def write(folder: Path, text: str, name: str = "batching.config") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_every_field(tmp_path: Path) -> None:
    assert from_file(write(tmp_path, ALL)) == Parameters(128, 500, 7, 3, "pool", (32, 128), True, True, 64)


def test_absent_fields_have_the_servers_defaults(tmp_path: Path) -> None:
    found = from_file(write(tmp_path, ""))
    assert found == Parameters(
        max_batch_size=1000, batch_timeout_micros=0, max_enqueued_batches=10, thread_pool_name="batch_threads",
        allowed_batch_sizes=(), pad_variable_length_inputs=False, enable_large_batch_splitting=False,
    )
    assert found.threads == os.cpu_count() and found.rows_at_once == 1000


def test_no_queue_at_all_means_one_batch(tmp_path: Path) -> None:
    assert from_file(write(tmp_path, "max_enqueued_batches { value: 0 }")).max_enqueued_batches == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8", ["no BatchingParameters", "max_batch_size { value: 32 }"]),
        ("max_batchsize { value: 8 }", ["no BatchingParameters", "max_batchsize"]),
        ("max_batch_size { value: 8", ["no BatchingParameters"]),
        ("max_batch_size { value: 0 }", ["input_batch_size_limit must be positive; was 0"]),
        ("num_batch_threads { value: 0 }", ["num_batch_threads must be positive"]),
        ("batch_timeout_micros { value: -1 }", ["batch_timeout_micros must be non-negative; was -1"]),
        ("allowed_batch_sizes: 8", ["must match max_batch_size; last entry was 8; expected 1000"]),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 8 }",
            ["input_batch_size_limit must be greater than or equal to max_execution_batch_size"],
        ),
        (
            "max_enqueued_batches { value: 0 } enable_large_batch_splitting { value: true }",
            ["max_enqueued_batches must be positive; was 0"],
        ),
    ],
)
def test_bad_file(tmp_path: Path, text: str, words: List[str]) -> None:
    with pytest.raises(UsageError) as caught:
        from_file(write(tmp_path, text))
    assert all(word in str(caught.value) for word in ["--batching_parameters_file", *words]), caught.value


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        from_file(tmp_path / "nowhere")


def test_parameters_in_an_export(tmp_path: Path) -> None:
    assert in_export(tmp_path) is None
    write(tmp_path, "max_batch_size { value: 16 }", "batching_params.pbtxt")
    assert in_export(tmp_path) == Parameters(max_batch_size=16)
    write(tmp_path, "nonsense", "batching_params.pbtxt")
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Invalid protobuf file: '.*batching_params.pbtxt'"):
        in_export(tmp_path)


def test_size_that_no_batch_may_have_is_refused() -> None:
    check(Parameters(max_batch_size=8, allowed_batch_sizes=(2, 8)))
    with pytest.raises(StatusError, match="last entry was 4; expected 8"):
        check(Parameters(max_batch_size=8, allowed_batch_sizes=(2, 4)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        ("prometheus_config { enable: false path: '/metrics' }", None),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ("prometheus_config { enable: true path: '/metrics' }", "/metrics"),
    ],
)
def test_path_of_the_metrics(tmp_path: Path, text: str, path: Optional[str]) -> None:
    assert page_path(str(write(tmp_path, text))) == path
    assert page_path("") is None


@pytest.mark.parametrize(("text", "words"), [("enabled", "no MonitoringConfig"), (None, "cannot be read")])
def test_bad_monitoring_file(tmp_path: Path, text: Optional[str], words: str) -> None:
    file = write(tmp_path, text) if text is not None else tmp_path / "nowhere"
    with pytest.raises(UsageError, match=words):
        page_path(str(file))
