"""tensorflow_model_server's command line: `--name=value`, and bare `--name` for true.

Three kinds of flags: those that mean something here (the fields of `Flags`), those that the real server knows and that
have no meaning here (`WITHOUT_MEANING`: accepted with a notice), and everything else (refused).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from signatures.errors import UsageError

WITHOUT_MEANING: Tuple[str, ...] = (
    "grpc_socket_path",
    "rest_api_enable_cors_support",
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "monitoring_config_file",
    "num_load_threads",
    "num_unload_threads",
    "flush_filesystem_caches",
    "tensorflow_session_config_file",
    "use_alts_credentials",
    "ssl_config_file",
    "platform_config_file",
    "saved_model_tags",
    "grpc_channel_arguments",
    "remove_unused_fields_from_bundle_metagraph",
    "prefer_tflite_model",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
    "enable_signature_method_name_check",
    "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
    "enable_profiler",
    "thread_pool_factory_config_file",
    "mixed_precision",
    "skip_initialize_tpu",
    "enable_grpc_healthcheck_service",
    "enable_serialization_as_tensor_content",
)


@dataclass(frozen=True)
class Flags:
    """The flags that mean something here, with the real server's defaults; the last three are ours alone."""

    port: int = 8500
    """gRPC; 0 for none."""
    rest_api_port: int = 0
    """REST; 0 for none."""
    rest_api_num_threads: int = 0
    """0: four for each core."""
    rest_api_timeout_in_ms: int = 30000
    grpc_max_threads: int = 0
    """More requests than this at once are answered RESOURCE_EXHAUSTED; 0: four threads for each core, the rest wait."""
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: float = 0
    """0: the file is read once."""
    file_system_poll_wait_seconds: float = 1
    """0: the folders are read once."""
    allow_version_labels_for_unavailable_models: bool = False
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    per_process_gpu_memory_fraction: float = 0
    version: bool = False
    host: str = "127.0.0.1"
    body_limit_bytes: int = 128 * 1024 * 1024
    allow_unsafe_models: bool = False


_DEFAULTS: Dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Flags)}


def parse(arguments: Sequence[str]) -> Tuple[Flags, List[str]]:
    """The flags, and the notices to print. Raises UsageError for an unknown flag or a value of the wrong type."""
    values: Dict[str, Any] = {}
    notices: List[str] = []
    for argument in arguments:
        name, has_value, text = argument[2:].partition("=")
        if not argument.startswith("--") or not name:
            raise UsageError(f"argument {argument!r} should have the form --name=value; write --help for the flags")
        if name in _DEFAULTS:
            values[name] = _value(name, text if has_value else None)
        elif name in WITHOUT_MEANING:
            notices.append(f"--{name} has no meaning for the embedded server and is ignored")
        else:
            raise UsageError(f"flag --{name} is unknown to tensorflow_model_server; write --help for the known ones")
    flags = Flags(**values)
    _check(flags)
    return flags, notices


def usage() -> str:
    """One line for each flag that means something here, then the names of the others."""
    lines = [f"  --{name}={_text(default)}" for name, default in _DEFAULTS.items()]
    ignored = ", ".join(WITHOUT_MEANING)
    return "\n".join(["usage: python -m serving.embedded FLAGS", *lines, f"accepted and ignored: {ignored}"])


def _value(name: str, text: Any) -> Any:
    """The typed value of one flag; `text` is None for the bare form, which is true and for booleans only."""
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        truths = {None: True, "true": True, "True": True, "1": True, "false": False, "False": False, "0": False}
        if text not in truths:
            raise UsageError(f"flag --{name} is {text!r}; write --{name}=true or --{name}=false")
        return truths[text]
    if text is None:
        raise UsageError(f"flag --{name} needs a value; write --{name}=VALUE")
    if isinstance(default, str):
        return text
    try:
        # The watcher's intervals are whole seconds on the command line, as in the real server; tests use fractions.
        return float(text) if name == "per_process_gpu_memory_fraction" else int(text)
    except ValueError:
        raise UsageError(f"flag --{name} is {text!r}, which is no number; write for example "
                         f"--{name}={_text(default)}") from None


def _check(flags: Flags) -> None:
    """Raises UsageError for flags that cannot work together."""
    if flags.version:
        return
    if not flags.model_base_path and not flags.model_config_file:
        raise UsageError("no model to serve; give --model_name and --model_base_path, or --model_config_file")
    for name in ("port", "rest_api_port"):
        port = getattr(flags, name)
        if not 0 <= port <= 65535:
            raise UsageError(f"flag --{name} is {port}; a port lies between 1 and 65535, and 0 switches it off")
    if flags.port == flags.rest_api_port:
        raise UsageError(f"--port and --rest_api_port are both {flags.port}; give REST a port of its own"
                         if flags.port else "both --port and --rest_api_port are 0; give at least one a port")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
