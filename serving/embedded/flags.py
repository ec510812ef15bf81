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
    "flush_filesystem_caches",
    "use_alts_credentials",
    "platform_config_file",
    "remove_unused_fields_from_bundle_metagraph",
    "prefer_tflite_model",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
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
    """The flags that mean something here, with the real server's defaults; the last four are ours alone."""

    port: int = 8500
    """gRPC; 0 for none."""
    grpc_socket_path: str = ""
    """A UNIX socket where gRPC is answered as well."""
    grpc_channel_arguments: str = ""
    """`name=value,name=value` for gRPC itself."""
    ssl_config_file: str = ""
    """An SSLConfig in text form: gRPC's key and certificate."""
    rest_api_port: int = 0
    """REST; 0 for none."""
    rest_api_enable_cors_support: bool = False
    rest_api_num_threads: int = 0
    """0: four for each core."""
    rest_api_timeout_in_ms: int = 30000
    grpc_max_threads: int = 0
    """More requests than this at once are answered RESOURCE_EXHAUSTED; 0: four threads for each core, the rest wait."""
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    saved_model_tags: str = "serve"
    """Of the meta graph to load, with commas between."""
    model_config_file_poll_wait_seconds: float = 0
    """0: the file is read once."""
    file_system_poll_wait_seconds: float = 1
    """0: the folders are read once."""
    allow_version_labels_for_unavailable_models: bool = False
    num_load_threads: int = 0
    """Versions that load at the same time once the server runs; 0: one after the other."""
    num_unload_threads: int = 0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0
    xla_cpu_compilation_enabled: bool = False
    enable_signature_method_name_check: bool = False
    """TensorFlow 2 declares every signature for predict: with the check, none of them classifies or regresses."""
    enable_batching: bool = False
    batching_parameters_file: str = ""
    """BatchingParameters in text form; without it every parameter has its default."""
    enable_per_model_batching_parameters: bool = False
    """Batches the models whose exports hold a batching_params.pbtxt, and no others."""
    monitoring_config_file: str = ""
    """A MonitoringConfig in text form: where REST answers with metrics."""
    tensorflow_session_config_file: str = ""
    """A ConfigProto in text form."""
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    per_process_gpu_memory_fraction: float = 0
    version: bool = False
    host: str = "127.0.0.1"
    body_limit_bytes: int = 64 * 1024 * 1024
    """Larger requests are refused, 413 over REST and RESOURCE_EXHAUSTED over gRPC."""
    row_limit: int = 100_000
    """Rows of one request; 0 for any number."""
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
    return flags, notices + _idle(flags)


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
    if flags.batching_parameters_file and not flags.enable_batching:
        raise UsageError("--batching_parameters_file is given without --enable_batching; add --enable_batching, or "
                         "leave the file out")
    for argument in filter(None, flags.grpc_channel_arguments.split(",")):
        if "=" not in argument:
            raise UsageError(f"--grpc_channel_arguments holds {argument!r}; write name=value,name=value")


def _idle(flags: Flags) -> List[str]:
    """Notices for flags that do nothing for want of another one."""
    notices = []
    if flags.enable_per_model_batching_parameters and not flags.enable_batching:
        notices.append("--enable_per_model_batching_parameters does nothing without --enable_batching")
    if flags.monitoring_config_file and not flags.rest_api_port:
        notices.append("--monitoring_config_file does nothing without --rest_api_port, where the metrics are answered")
    return notices


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
