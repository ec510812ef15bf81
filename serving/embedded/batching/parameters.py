"""BatchingParameters: from the file that --batching_parameters_file names, or from the export itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Tuple

from google.protobuf import text_format

from serving.embedded import config_protos
from serving.embedded.errors import StatusError, invalid_argument
from signatures.errors import UsageError

NAME_IN_EXPORT = "batching_params.pbtxt"


@dataclass(frozen=True)
class Parameters:
    """The real server's fields and defaults; sizes are in rows."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 0
    """0: one for each core."""
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: Tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    """Of a batch, where requests are split; 0: max_batch_size."""

    @property
    def threads(self) -> int:
        return self.num_batch_threads or os.cpu_count() or 1

    @property
    def rows_at_once(self) -> int:
        """The most rows that the graph is run with, padding aside."""
        return self.max_execution_batch_size or self.max_batch_size


def from_file(path: Path) -> Parameters:
    """What --batching_parameters_file says. Raises UsageError when it cannot be read, understood or obeyed."""
    try:
        found = _from_proto(config_protos.read(path, config_protos.BatchingParameters()))
        check(found)
        return found
    except (OSError, UnicodeDecodeError) as error:
        text = f"--batching_parameters_file {path} cannot be read ({error}); give a readable text file"
        raise UsageError(text) from error
    except text_format.ParseError as error:
        raise UsageError(f"--batching_parameters_file {path} holds no BatchingParameters in text form ({error}); write "
                         "for example max_batch_size { value: 32 }") from error
    except StatusError as error:
        raise UsageError(f"--batching_parameters_file {path}: {error.message}") from error


def in_export(path: Path) -> Optional[Parameters]:
    """What the export in this version folder ships; None when it ships none. Raises StatusError for a bad file."""
    file = path / NAME_IN_EXPORT
    if not file.is_file():
        return None
    try:
        return _from_proto(config_protos.read(file, config_protos.BatchingParameters()))
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{file}' ({error})") from error


def check(parameters: Parameters) -> None:
    """Raises StatusError with the real server's texts, for a model and for the server alike."""
    sizes, limit = parameters.allowed_batch_sizes, parameters.max_batch_size
    if sizes and sizes[-1] != limit:
        raise invalid_argument("Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                               f"{sizes[-1]}; expected {limit}")
    if parameters.threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {parameters.threads}")
    if limit < 1:
        raise invalid_argument(f"input_batch_size_limit must be positive; was {limit}")
    if parameters.batch_timeout_micros < 0:
        raise invalid_argument(f"batch_timeout_micros must be non-negative; was {parameters.batch_timeout_micros}")
    if parameters.max_enqueued_batches < 1:
        raise invalid_argument(f"max_enqueued_batches must be positive; was {parameters.max_enqueued_batches}")
    if not 0 < parameters.rows_at_once <= limit:
        raise invalid_argument("When enable_large_batch_splitting is true, input_batch_size_limit must be greater than "
                               f"or equal to max_execution_batch_size.{parameters.rows_at_once}")


def _from_proto(proto: Any) -> Parameters:
    """A field that is absent keeps its default."""
    default = Parameters()

    def wrapped(field: str) -> Any:
        return getattr(proto, field).value if proto.HasField(field) else getattr(default, field)

    splits = wrapped("enable_large_batch_splitting")
    enqueued = wrapped("max_enqueued_batches")
    threads = wrapped("num_batch_threads")
    return Parameters(
        max_batch_size=wrapped("max_batch_size"),
        batch_timeout_micros=wrapped("batch_timeout_micros"),
        # The real server reads 0 as 1, for models of old.
        max_enqueued_batches=1 if enqueued == 0 and not splits else enqueued,
        # 0 is refused there; here the field's own 0 means that it is absent.
        num_batch_threads=-1 if proto.HasField("num_batch_threads") and threads == 0 else threads,
        thread_pool_name=wrapped("thread_pool_name"),
        allowed_batch_sizes=tuple(proto.allowed_batch_sizes),
        pad_variable_length_inputs=proto.pad_variable_length_inputs,
        enable_large_batch_splitting=splits,
        max_execution_batch_size=wrapped("max_execution_batch_size") if splits else 0,
    )
