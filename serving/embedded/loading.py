"""A version folder becomes a servable: linted, restored, put behind its batches, warmed up; all of it counted."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2

from serving.embedded import admission, config_protos, warmup
from serving.embedded.batching import parameters
from serving.embedded.batching.batcher import Batcher
from serving.embedded.batching.parameters import Parameters
from serving.embedded.batching.scheduler import Scheduler
from serving.embedded.errors import StatusError
from serving.embedded.flags import Flags
from serving.embedded.metrics.meters import Meters
from serving.embedded.servable import Servable
from signatures.errors import UsageError

log = logging.getLogger(__name__)

_DEFAULT_POOL = "model_server_batch_threads"


@dataclass(frozen=True)
class Batching:
    """The server's own parameters, and the threads that all models share."""

    parameters: Parameters
    scheduler: Scheduler


def batching(flags: Flags) -> Optional[Batching]:
    """None without --enable_batching. Raises UsageError for parameters that cannot be read or obeyed."""
    if not flags.enable_batching:
        return None
    file = flags.batching_parameters_file
    found = parameters.from_file(Path(file)) if file else Parameters(thread_pool_name=_DEFAULT_POOL)
    return Batching(found, Scheduler(found.threads, found.thread_pool_name))


def loader(flags: Flags, meters: Meters, batches: Optional[Batching]) -> Callable[[str, Path], Servable]:
    """The function that loads a model's version folder; it raises StatusError. Raises UsageError for a bad flag."""
    config = session_config(flags)

    def load(name: str, path: Path) -> Servable:
        if not flags.allow_unsafe_models:
            admission.refuse_unsafe(path)
        servable = _restored(path, flags, config, meters)
        try:
            servable.observe = _observer(name, meters)
            _batch(servable, path, flags, meters, batches)
            if flags.enable_model_warmup:
                _warm_up(servable, path, flags, meters)
        except BaseException:
            servable.close()
            raise
        return servable

    return load


def session_config(flags: Flags) -> config_pb2.ConfigProto:
    """The session's options: those of --tensorflow_session_config_file, then those with a flag of their own."""
    config = config_pb2.ConfigProto()
    file = flags.tensorflow_session_config_file
    if file:
        try:
            config_protos.read(Path(file), config)
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise UsageError(f"--tensorflow_session_config_file {file} cannot be read ({error}); give a ConfigProto in "
                             "text form") from error
    both = flags.tensorflow_session_parallelism
    config.intra_op_parallelism_threads = (
        flags.tensorflow_intra_op_parallelism or both or config.intra_op_parallelism_threads
    )
    config.inter_op_parallelism_threads = (
        flags.tensorflow_inter_op_parallelism or both or config.inter_op_parallelism_threads
    )
    if flags.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    return config


def _restored(path: Path, flags: Flags, config: config_pb2.ConfigProto, meters: Meters) -> Servable:
    started = time.perf_counter()
    try:
        servable = Servable(path, config, flags.saved_model_tags.split(","))
    except StatusError:
        meters.load_attempts.add((str(path), "fail"))
        raise
    servable.checks_method_names = flags.enable_signature_method_name_check
    servable.compiles_xla = flags.xla_cpu_compilation_enabled
    servable.row_limit = flags.row_limit
    meters.load_attempts.add((str(path), "success"))
    meters.load_latency.add((str(path),), int((time.perf_counter() - started) * 1e6))
    return servable


def _batch(servable: Servable, path: Path, flags: Flags, meters: Meters, batches: Optional[Batching]) -> None:
    """Puts the servable behind a batcher, where the server, and with per-model parameters the export, asks for it."""
    if batches is None:
        return
    found: Optional[Parameters] = batches.parameters
    if flags.enable_per_model_batching_parameters:
        found = parameters.in_export(path)
    if found is None:
        log.info("%s ships no %s and is not batched", path, parameters.NAME_IN_EXPORT)
        return
    parameters.check(found)
    batcher = Batcher(servable.run_now, found, batches.scheduler, meters)
    servable.batch(batcher.run, batcher.close)


def _warm_up(servable: Servable, path: Path, flags: Flags, meters: Meters) -> None:
    if not (path / warmup.PATH_IN_EXPORT).is_file():
        return
    started = time.perf_counter()
    replayed = warmup.replay(servable, path, flags.num_request_iterations_for_warmup)
    meters.warmup_latency.add((str(path), "OK"), (time.perf_counter() - started) * 1e6)
    log.info("%s: %d warm-up records replayed", path, replayed)


def _observer(name: str, meters: Meters) -> Callable[[str, int, float], None]:
    """What a run of this model is counted under."""

    def observe(api: str, rows: int, seconds: float) -> None:
        meters.runtime_latency.add((name, api, "TF1"), seconds * 1e6)
        if api != "Predict":  # there, rows are tf.Examples
            meters.example_counts.add((name,), rows)
            meters.example_count_total.add((name,), rows)

    return observe
