"""`signet serve --write-config`: what the exports decide, and what writing twice leaves alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
import typer
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig
from typer.testing import CliRunner

from serving import commands
from serving.deployment.batching import batching
from serving.deployment.compose import Here, environment
from serving.deployment.images import GPU_IMAGE, SCANN_IMAGE, gpu_image, image, memory_mebibytes
from serving.deployment.inside import CONTAINER, METRICS_PATH
from serving.deployment.kubernetes import object_name
from serving.deployment.served import Served, describe
from serving.deployment.server_files import flags, gpu_flags, session_config
from serving.deployment.write import files, write
from serving.embedded import config_protos
from serving.embedded.flags import parse
from serving.launch import IMAGE
from serving.tune.setting import Setting
from signatures import manifest
from signatures.errors import UsageError
from signatures.manifest import Data, Manifest, Signature, TensorInfo
from tests.saved_model_files import write as save

SCORE = "input price float32[?]\noutput score float32[?] = a\na = Add price price"
COMPILED = """
input price float32[?]
output score float32[?] = call
call = StatefulPartitionedCall price f=@inner _XlaMustCompile=true
function inner(x) -> x
"""


def export(exports: Path, name: str, version: int = 1, example: str = SCORE, **changes: Any) -> Path:
    """Saves a model's version; with a manifest when anything of it is given."""
    folder = save(exports / name / str(version), example)
    if changes:
        flat = TensorInfo(dtype="float32", shape=(None,), role="feature")
        inputs = {"price": flat, **changes.pop("inputs", {})}
        signature = Signature(
            inputs=inputs, outputs={"score": flat.model_copy(update={"role": "output"})}, kind="score",
            batchable=changes.pop("batchable", True),
        )
        known: Dict[str, Any] = {
            "model": name, "version": version, "created": "2024-01-01T00:00:00+00:00", "schema_hash": "",
            "features": (), "training_only": (), "signatures": {"serving_default": signature}, "server_image": IMAGE,
            "metrics": {}, "data": Data(name="", fingerprint="", synthetic=True), "code_commit": "",
        }
        manifest.write(Manifest(**{**known, **changes}), folder)
    return folder


def of(exports: Path, *names: str) -> List[Served]:
    return describe({name: exports / name for name in names})


def config_of(text: str) -> Any:
    return text_format.Parse(text, ModelServerConfig())


def test_models_are_described_by_their_newest_version(tmp_path: Path) -> None:
    history = TensorInfo(dtype="int64", shape=(None, None), role="feature", length="history_length")
    export(tmp_path, "din", 2, batchable=False, inputs={"history": history}, server_image=SCANN_IMAGE)
    big = export(tmp_path, "din", 10, batchable=True, inputs={"history": history})
    (big / "variables").mkdir()
    (big / "variables" / "data").write_bytes(b"0" * 3 * 2**20)  # with the other files a little over 3 MiB
    assert of(tmp_path, "din") == [Served("din", IMAGE, 4, independent_rows=True, ragged=True, tuned=False, xla=False)]
    (big / "batching_params.pbtxt").write_text("", encoding="utf-8")
    assert of(tmp_path, "din")[0].tuned
    assert of(tmp_path, "din")[0].threads is None
    (big / "batching_params.pbtxt").write_text(Setting(8, threads=6).text(pads=True), encoding="utf-8")
    assert of(tmp_path, "din")[0].threads == 6


def test_threads_that_were_tuned_go_into_the_servers_own_file() -> None:
    """With parameters per model it takes the threads from there alone."""
    models = [Served("a", tuned=True, threads=6), Served("b", tuned=True, threads=2), Served("c", tuned=True)]
    assert "num_batch_threads { value: 6 }" in batching(models, CONTAINER).parameters
    assert "num_batch_threads { value: 4 }" in batching(models, CONTAINER, threads=4).parameters


def test_of_a_model_without_manifest_nothing_is_assumed(tmp_path: Path) -> None:
    export(tmp_path, "strange", example=COMPILED)
    assert of(tmp_path, "strange") == [Served("strange", IMAGE, 1, independent_rows=False, ragged=False, xla=True)]
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="has no version"):
        of(tmp_path, "none")


@pytest.mark.parametrize(
    ("models", "expected", "notice"),
    [
        ([Served("a"), Served("b")], ["enable_batching", "batching_parameters_file"], ""),
        # One model whose rows depend on each other: the file would batch all models of the server.
        ([Served("a"), Served("b", independent_rows=False)], [], "batching stays off: nothing declares that"),
        # With parameters per model, the server batches those that ship some, and no other.
        ([Served("a", tuned=True), Served("b", independent_rows=False)],
         ["enable_batching", "batching_parameters_file", "enable_per_model_batching_parameters"], "b ships no"),
        ([Served("a", tuned=True)],
         ["enable_batching", "batching_parameters_file", "enable_per_model_batching_parameters"], ""),
    ],
)
def test_batching_merges_only_rows_that_are_declared_independent(
    models: List[Served], expected: List[str], notice: str
) -> None:
    found = batching(models, CONTAINER)
    assert [flag[2:].partition("=")[0] for flag in found.flags] == expected
    assert "\n".join(found.notices).startswith(notice) and bool(found.notices) == bool(notice)


def test_batching_parameters_are_the_servers_own_proto() -> None:
    parameters = text_format.Parse(batching([Served("a")], CONTAINER, threads=3).parameters,
                                   config_protos.BatchingParameters())
    assert (parameters.max_batch_size.value, parameters.num_batch_threads.value) == (64, 3)
    assert parameters.pad_variable_length_inputs and parameters.batch_timeout_micros.value == 0
    flat = text_format.Parse(batching([Served("a", ragged=False)], CONTAINER).parameters,
                             config_protos.BatchingParameters())
    assert not flat.pad_variable_length_inputs and not flat.HasField("num_batch_threads")


def test_config_files_are_the_servers_own_protos() -> None:
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

    found = files([Served("din"), Served("two_tower")], CONTAINER)
    bases = {each.name: each.base_path for each in config_of(found["server/models.config"]).model_config_list.config}
    assert bases == {"din": "/models/din", "two_tower": "/models/two_tower"}
    monitoring = text_format.Parse(found["server/monitoring.config"], config_protos.MonitoringConfig())
    assert monitoring.prometheus_config.enable and monitoring.prometheus_config.path == METRICS_PATH
    text_format.Parse(found["server/batching.config"], config_protos.BatchingParameters())
    exact, mixed = (text_format.Parse(session_config(each), ConfigProto()) for each in (False, True))
    assert exact == ConfigProto()
    assert mixed.graph_options.rewrite_options.auto_mixed_precision == RewriterConfig.ON


@pytest.mark.parametrize("threads", [None, 4])
def test_every_flag_is_known_to_the_server(threads: Any) -> None:
    models = [Served("a", tuned=True, xla=True), Served("b")]
    command = [*flags(models, CONTAINER, threads), *gpu_flags(CONTAINER)]
    parse(command)  # refuses an unknown name, and a value of the wrong type
    names = [flag[2:].partition("=")[0] for flag in command]
    assert len(names) == len(set(names)) and not set(names) & {"host", "body_limit_bytes", "allow_unsafe_models"}
    assert ("--xla_cpu_compilation_enabled=true" in command) and "--grpc_max_threads=128" in command
    # Unless told, the server takes the node's cores for its own, whatever the container may use.
    limited = {name for name in names if name.endswith("op_parallelism")}
    assert limited == ({"tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism"} if threads else set())


def test_image_is_the_one_that_all_models_ask_for() -> None:
    stock, scann = Served("din"), Served("two_tower", image=SCANN_IMAGE)
    assert (image([stock]), gpu_image([stock])) == (IMAGE, GPU_IMAGE)
    assert (image([scann]), gpu_image([scann])) == (SCANN_IMAGE, None)
    with pytest.raises(UsageError, match="'din' needs the server tensorflow/.*'two_tower' needs google/.*--model"):
        image([stock, scann])
    assert not [path for path in files([scann], CONTAINER) if path.startswith("kubernetes/gpu")]


def test_memory_holds_two_versions() -> None:
    # 1,024 for the server itself + 2 versions x 1.2 x 1,000 = 3,424, in steps of 256: 3,584.
    assert memory_mebibytes([Served("a", mebibytes=400), Served("b", mebibytes=600)]) == 3584
    # On a GPU 3,072 more for CUDA's libraries: 6,496, so 6,656.
    assert memory_mebibytes([Served("a", mebibytes=1000)], gpu=True) == 6656


def test_environment_is_what_compose_reads() -> None:
    here = Here(Path("/srv/ex$ports"), Path("/srv/config"), "1000:100")
    lines = environment([Served("a")], here).splitlines()
    assert lines[1:4] == ["SIGNET_EXPORTS='/srv/ex$ports'", "SIGNET_CONFIG='/srv/config'", "SIGNET_USER='1000:100'"]
    assert lines[4:] == [
        f"SIGNET_IMAGE='{IMAGE}'", "SIGNET_MEMORY='1280m'", f"SIGNET_GPU_IMAGE='{GPU_IMAGE}'",
        "SIGNET_GPU_HOST_MEMORY='4352m'",
    ]
    assert "GPU" not in environment([Served("a", image=SCANN_IMAGE)], here)
    with pytest.raises(UsageError, match="rename the folder"):
        environment([Served("a")], Here(Path("/it's"), Path("/c"), "1:1"))


def test_names_become_those_of_kubernetes() -> None:
    assert [object_name(name) for name in ("din", "two_tower", "DCN.v2")] == ["din", "two-tower", "dcn-v2"]
    for name in ("_x", "x_", "größe", "a" * 57, "a b"):
        with pytest.raises(UsageError, match="rename the model"):
            object_name(name)
    with pytest.raises(UsageError, match="two models would both be named 'a-b'"):
        files([Served("a_b"), Served("a.b")], CONTAINER)


def test_writing_again_keeps_what_a_release_decided(tmp_path: Path) -> None:
    exports, folder = tmp_path / "exports", tmp_path / "config"
    for name in ("din", "gone"):
        export(exports, name, batchable=True)
    write(exports, {name: exports / name for name in ("din", "gone")}, folder)
    config = config_of((folder / "server/models.config").read_text("utf-8"))
    released = config.model_config_list.config[0]
    released.version_labels["stable"] = 1
    released.model_version_policy.specific.versions.extend([1, 2])
    (folder / "server/models.config").write_text(text_format.MessageToString(config), "utf-8")

    export(exports, "new", batchable=True)
    write(exports, {name: exports / name for name in ("din", "new")}, folder)
    din, new = config_of((folder / "server/models.config").read_text("utf-8")).model_config_list.config
    assert (din.name, dict(din.version_labels), list(din.model_version_policy.specific.versions)) == (
        "din", {"stable": 1}, [1, 2]
    )
    assert (new.name, dict(new.version_labels), new.HasField("model_version_policy")) == ("new", {}, False)
    # The manifest of the model that is no longer served would bring it back.
    assert sorted(path.name for path in (folder / "kubernetes/cpu").iterdir()) == ["din.yaml", "new.yaml"]
    assert "specific" in (folder / "kubernetes/cpu/din.yaml").read_text("utf-8")

    (folder / "server/models.config").write_text("nonsense {", "utf-8")
    with pytest.raises(UsageError, match="no ModelServerConfig in text form .* correct or remove it"):
        write(exports, {"din": exports / "din"}, folder)


def test_files_are_replaced_whole_and_readable_by_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports, folder = tmp_path / "exports", tmp_path / "config"
    export(exports, "din", batchable=True)
    own = folder / "kubernetes" / "cpu" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("kind: Secret\n", "utf-8")
    assert write(exports, {"din": exports / "din"}, folder) == []
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert own in before
    assert {path.stat().st_mode & 0o777 for path in before if path != own} == {0o644}

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    export(exports, "other", batchable=True)
    with pytest.raises(UsageError, match="cannot be written .*no space left"):
        write(exports, {"other": exports / "other"}, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_model_outside_the_exports_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "elsewhere", "din")
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "din").symlink_to(tmp_path / "elsewhere" / "din")
    with pytest.raises(UsageError, match="a link out of"):
        write(tmp_path / "exports", {"din": (tmp_path / "exports" / "din").resolve()}, tmp_path / "config")


def test_scripts_quote_names(tmp_path: Path) -> None:
    found = files([Served("din"), Served("two_tower")], CONTAINER)
    start = found["server/start.sh"].splitlines()
    assert start[0] == "#!/bin/bash" and start[2].startswith("exec tensorflow_model_server ") and start[-1] == '  "$@"'
    written = shlex.split(" ".join(line.rstrip("\\") for line in start[2:]))
    assert tuple(written[2:-1]) == flags([Served("din"), Served("two_tower")], CONTAINER)
    assert "for model in din two_tower; do" in found["server/ready.sh"]


def test_command_writes_and_starts_nothing(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(commands.serve)
    app.command()(commands.status)
    export(tmp_path / "exports", "din", batchable=False)
    command = ["serve", "--exports", str(tmp_path / "exports")]
    result = CliRunner().invoke(app, [*command, "--write-config", str(tmp_path / "config"), "--mixed-precision"])
    assert result.exit_code == 0, result.output
    assert "batching stays off" in result.output and "wrote" in result.output and "din" in result.output
    assert "auto_mixed_precision" in (tmp_path / "config/server/session.config").read_text("utf-8")
    assert "auto_mixed_precision" in (tmp_path / "config/kubernetes/gpu/din.yaml").read_text("utf-8")
    refused = CliRunner().invoke(app, [*command, "--mixed-precision"])
    assert isinstance(refused.exception, UsageError) and "--write-config" in str(refused.exception)
    (tmp_path / "file").write_text("", "utf-8")
    refused = CliRunner().invoke(app, [*command, "--write-config", str(tmp_path / "file")])
    assert isinstance(refused.exception, UsageError) and "name another folder" in str(refused.exception)


def test_files_are_written_without_tensorflow() -> None:
    heavy = "{'tensorflow', 'serving.embedded'}"
    script = f"import sys, serving.deployment.write; sys.exit(bool({heavy} & set(sys.modules)))"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=60).returncode == 0
