"""What the server reads at its start: its flags, its config files, and the scripts that start and probe it."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import Dict, Optional, Sequence, Tuple
from urllib.parse import quote

from serving.deployment.batching import FILE as BATCHING
from serving.deployment.batching import MAXIMUM_ROWS, batching
from serving.deployment.inside import METRICS_PATH, Inside
from serving.deployment.served import Served
from serving.launch import CONFIG_NAME, LABELS_AT_START, model_config

MONITORING, SESSION, START, READY = "monitoring.config", "session.config", "start.sh", "ready.sh"

WRITTEN = "# Written by signet serve --write-config; do not edit.\n"

_POLL_SECONDS = 30
# Each request in a batch holds a thread; with the server's default of 4 for each core, batches would never fill.
_REQUEST_THREADS = 2 * MAXIMUM_ROWS


def flags(models: Sequence[Served], inside: Inside, threads: Optional[int] = None) -> Tuple[str, ...]:
    """The server's command line. threads: the cores it may use; None: all that it sees."""
    found = [
        f"--port={inside.port}",
        f"--rest_api_port={inside.rest_port}",
        f"--model_config_file={inside.config}/{CONFIG_NAME}",
        f"--model_config_file_poll_wait_seconds={_POLL_SECONDS}",
        LABELS_AT_START,
        f"--monitoring_config_file={inside.config}/{MONITORING}",
        f"--grpc_max_threads={_REQUEST_THREADS}",
        f"--rest_api_num_threads={_REQUEST_THREADS}",
        *batching(models, inside, threads).flags,
    ]
    if threads is not None:
        found += [f"--tensorflow_intra_op_parallelism={threads}", f"--tensorflow_inter_op_parallelism={threads}"]
    if any(each.xla for each in models):
        found.append("--xla_cpu_compilation_enabled=true")
    return tuple(found)


def gpu_flags(inside: Inside, memory_fraction: str = "0.8") -> Tuple[str, ...]:
    """What a GPU's command line has on top. The rest of the GPU's memory is left for CUDA's own libraries."""
    return (
        f"--per_process_gpu_memory_fraction={memory_fraction}",
        f"--tensorflow_session_config_file={inside.config}/{SESSION}",
    )


def configs(models: Sequence[Served], inside: Inside, threads: Optional[int] = None) -> Dict[str, str]:
    """The text protos by file name: a ModelServerConfig, a MonitoringConfig and BatchingParameters."""
    found = {each.name: PurePosixPath(inside.models) / each.name for each in models}
    return {
        CONFIG_NAME: WRITTEN + model_config(found),
        MONITORING: f'{WRITTEN}prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n',
        BATCHING: WRITTEN + batching(models, inside, threads).parameters,
    }


def session_config(mixed_precision: bool) -> str:
    """A ConfigProto for the GPU. `--mixed_precision` of the server is bfloat16 on CPUs; on GPUs it is this option."""
    if not mixed_precision:
        return f"{WRITTEN}# float32 throughout; on tensor cores TF32, unless NVIDIA_TF32_OVERRIDE=0.\n"
    return f"{WRITTEN}graph_options {{\n  rewrite_options {{\n    auto_mixed_precision: ON\n  }}\n}}\n"


def start_script(models: Sequence[Served], inside: Inside) -> str:
    """Starts the server in place of the shell, so that signals reach it; what is said after the name is added."""
    lines = ["exec tensorflow_model_server", *map(shlex.quote, flags(models, inside)), '"$@"']
    return f"#!/bin/bash\n{WRITTEN}" + " \\\n  ".join(lines) + "\n"


def ready_script(models: Sequence[Served], inside: Inside) -> str:
    """Exits 0 when every model has a version that answers. The images have bash, and no curl."""
    names = " ".join(shlex.quote(quote(each.name, safe="")) for each in models)
    return f"""#!/bin/bash
{WRITTEN}# A model's metadata come from a loaded version. Its status would be 200 after it was unloaded, too.
for model in {names}; do
  exec 3<>/dev/tcp/127.0.0.1/{inside.rest_port} || exit 1
  printf 'GET /v1/models/%s/metadata HTTP/1.0\\r\\n\\r\\n' "$model" >&3
  IFS= read -r -t 5 status <&3
  exec 3>&-
  [[ $status == HTTP/1.?\\ 200* ]] || {{ echo "$model is not ready: ${{status:-no answer}}"; exit 1; }}
done
"""
