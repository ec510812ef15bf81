"""Tuning: which settings are tried, which one wins, and what is left in the export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest
import typer
from google.protobuf import text_format
from typer.testing import CliRunner

from serving import prediction_logs, records
from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.deployment.served import TUNED
from serving.embedded import config_protos
from serving.embedded.batching import parameters
from serving.launch import IMAGE
from serving.tune import command, writing
from serving.tune.setting import ANY, ONE, POWERS, Measured, Setting
from serving.tune.sweep import Knobs, best, pays, sweep
from serving.tune.trials import publish
from signatures import manifest
from signatures.errors import UsageError
from signatures.manifest import Data, Manifest, Signature, TensorInfo
from tests.fixtures_serving import Address
from tests.running_server import ROW

KNOBS = Knobs((8, 16, 32), (0, 500), (2, 4))


def measured(setting: Optional[Setting], rate: float, p99: float = 10.0, failed: int = 0) -> Measured:
    return Measured(setting, rate, p99 / 2, p99, 100, failed)


@pytest.mark.parametrize(
    ("setting", "sizes", "warm"),
    [
        (Setting(8), (1, 2, 4, 8), (1, 2, 4, 8)),
        (Setting(12), (1, 2, 4, 8, 12), (1, 2, 4, 8, 12)),
        (Setting(1), (1,), (1,)),
        (Setting(8, allowed=ONE), (8,), (8,)),
        (Setting(8, allowed=ANY), (), (1, 8)),
    ],
)
def test_sizes_end_with_the_largest_batch(setting: Setting, sizes: Tuple[int, ...], warm: Tuple[int, ...]) -> None:
    assert (setting.sizes(), setting.warm_up_sizes()) == (sizes, warm)


@pytest.mark.parametrize("allowed", [POWERS, ONE, ANY])
@pytest.mark.parametrize("pads", [True, False])
def test_the_file_is_what_a_server_reads(tmp_path: Path, allowed: str, pads: bool) -> None:
    setting = Setting(12, 500, 3, allowed)
    (tmp_path / TUNED).write_text(setting.text(pads))
    found = parameters.in_export(tmp_path)
    assert found is not None
    parameters.check(found)
    assert (found.max_batch_size, found.batch_timeout_micros, found.num_batch_threads) == (12, 500, 3)
    assert (found.allowed_batch_sizes, found.pad_variable_length_inputs) == (setting.sizes(), pads)
    text_format.Parse(setting.text(pads), config_protos.BatchingParameters())


def test_the_sweep_turns_one_knob_after_the_other() -> None:
    """A server that likes 16 rows, 500 µs, any size and 2 threads: each knob is left where it was best."""
    asked: List[Optional[Setting]] = []

    def measure(setting: Optional[Setting]) -> Measured:
        asked.append(setting)
        if setting is None:
            return measured(None, 50)
        liked = (setting.rows == 16, setting.timeout_micros == 500, setting.allowed == ANY, setting.threads == 2)
        return measured(setting, 100.0 + 10 * sum(liked))

    found = sweep(KNOBS, 20.0, measure)
    expected = [(8, 0, POWERS), (16, 0, POWERS), (32, 0, POWERS), (16, 500, POWERS), (16, 500, ONE), (16, 500, ANY)]
    assert asked == [None, *(Setting(r, t, n, a) for n in (2, 4) for r, t, a in expected)]
    chosen = best(found, 20.0)
    assert chosen is not None and chosen.setting == Setting(16, 500, 2, ANY)


def test_a_sweep_that_misses_the_target_goes_on_from_the_nearest() -> None:
    """More rows are faster and slower to answer: 32 answers the most, 8 comes nearest to 5 ms."""
    found = sweep(KNOBS, 5.0, lambda s: measured(s, s.rows if s else 1, p99=s.rows if s else 1))
    assert all(each.setting is None or each.setting.rows == 8 for each in found[4:7])
    assert best(found, 5.0) is None


def test_the_target_and_failures_decide() -> None:
    fast, late, failing = (measured(Setting(rows), rate, p99, failed) for rows, rate, p99, failed in
                           ((8, 10, 20.0, 0), (16, 99, 20.1, 0), (32, 99, 1.0, 1)))
    assert best([fast, late, failing], 20.0) == fast
    assert best([late, failing], 20.0) is None
    assert best([measured(None, 99)], 20.0) is None


def test_batching_must_beat_none_by_more_than_chance() -> None:
    chosen = measured(Setting(8), 102.0)
    assert not pays(chosen, [measured(None, 100.0)], 20.0)
    assert pays(measured(Setting(8), 103.0), [measured(None, 100.0)], 20.0)
    assert pays(chosen, [measured(None, 200.0, p99=21.0)], 20.0)  # more rows, and too late


def test_a_copy_never_writes_into_the_export(tmp_path: Path) -> None:
    export = tmp_path / "export"
    (export / "assets.extra").mkdir(parents=True)
    for name in (TUNED, prediction_logs.PATH_IN_EXPORT):
        (export / name).write_text("the export's own")
    publish(export, tmp_path / "1", "of the trial", b"of the trial")
    assert (tmp_path / "1" / TUNED).read_text() == "of the trial"
    assert (tmp_path / "1" / prediction_logs.PATH_IN_EXPORT).read_text() == "of the trial"
    publish(export, tmp_path / "2", None)
    assert not (tmp_path / "2" / TUNED).exists()
    for name in (TUNED, prediction_logs.PATH_IN_EXPORT):
        assert (export / name).read_text() == "the export's own"
        assert name == TUNED or (tmp_path / "2" / name).read_text() == "the export's own"


@pytest.fixture
def exported(copy_of: Any) -> Path:
    """`sum/3` with a golden request and a manifest that declares its rows independent."""
    export = copy_of("sum") / "3"
    (export / "golden").mkdir()
    document = {"signature": "serving_default", "inputs": ROW, "outputs": {"score": [6.0]}}
    (export / "golden" / "serving_default.json").write_text(json.dumps(document))
    write_manifest(export)
    return Path(export)


def write_manifest(export: Path, batchable: bool = True) -> None:
    shapes: Dict[str, Any] = {"x": ("float32", (None, 2)), "ids": ("int64", (None,)), "name": ("string", (None,))}
    inputs = {name: TensorInfo(dtype=dtype, shape=shape, role="feature") for name, (dtype, shape) in shapes.items()}
    outputs = {"score": TensorInfo(dtype="float32", shape=(None,), role="output")}
    signature = Signature(inputs=inputs, outputs=outputs, kind="score", batchable=batchable)
    manifest.write(
        Manifest(model="sum", version=3, created="", schema_hash="", features=(), training_only=(),
                 signatures={"serving_default": signature}, server_image=IMAGE, metrics={},
                 data=Data(name="none", fingerprint="0", synthetic=True), code_commit=""), export,
    )


def test_warm_up_has_a_record_for_each_signature_and_size(exported: Path, embedded: Address, tmp_path: Path) -> None:
    with Client(GrpcTransport("127.0.0.1", embedded.port)) as client:
        content = writing.warm_up(client, "sum", exported, (1, 2, 4))
        with pytest.raises(UsageError, match="would get 1001 warm-up records; a server takes 1 to 1,000"):
            writing.warm_up(client, "sum", exported, (1,) * 1001)
    (tmp_path / "file").write_bytes(content)
    found = prediction_logs.read(tmp_path / "file")
    assert [(each.signature, each.inputs["x"].shape) for each in found] == [
        ("serving_default", (size, 2)) for size in (1, 2, 4)
    ]
    assert all(np.array_equal(each.inputs["x"], [[1.0, 2.0]] * len(each.inputs["x"])) for each in found)


def test_a_model_whose_rows_depend_on_each_other_is_not_tuned(exported: Path) -> None:
    write_manifest(exported, batchable=False)
    with pytest.raises(UsageError, match="nothing declares that the rows of sum are independent"):
        command._export(exported.parent.parent, "sum")


def test_a_batch_holds_a_request() -> None:
    with pytest.raises(UsageError, match="--batch 8 is smaller than a request of 9 rows"):
        command._knobs(9, [8, 16], None, None)
    assert command._knobs(9, None, [0], [1]) == Knobs((16, 32, 64, 128), (0,), (1,))
    assert command._knobs(500, None, None, [1]).rows == (500,)


def test_the_console_tunes_an_export(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a server of its own. Whether batching pays is the machine's business, so no batching fails here."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    monkeypatch.setattr(command, "pays", lambda *_: True)
    app = typer.Typer()
    app.command()(command.tune)
    files = [tmp_path / f"chart.{form}" for form in ("html", "png", "json")]
    flags = ["--p99", "60000", "--seconds", "0.2", "--concurrency", "4", "--batch", "4", "--timeout", "0"]
    flags += ["--threads", "2"]
    flags += [word for file in files for word in ("--output", str(file))]
    before = sorted(path for path in exported.rglob("*"))
    dry = CliRunner().invoke(app, ["sum", "--exports", str(exported.parent.parent), "--dry-run", *flags])
    assert dry.exit_code == 0, dry.output
    assert sorted(path for path in exported.rglob("*")) == before
    result = CliRunner().invoke(app, ["sum", "--exports", str(exported.parent.parent), *flags])
    assert result.exit_code == 0, result.output
    found = parameters.in_export(exported)
    assert found is not None and found.max_batch_size == 4
    count = len(list(records.read(exported / prediction_logs.PATH_IN_EXPORT)))
    assert count == len(found.allowed_batch_sizes or (1, 4))
    document = json.loads(files[2].read_text())
    assert [each["setting"] is None for each in document["measured"]] == [True, False, False, False]
    assert files[1].read_bytes().startswith(b"\x89PNG") and "data:image/png;base64," in files[0].read_text()
    shutil.rmtree(exported / "golden")
    gone = CliRunner().invoke(app, ["sum", "--exports", str(exported.parent.parent), *flags])
    assert isinstance(gone.exception, UsageError) and "no golden request" in str(gone.exception)
