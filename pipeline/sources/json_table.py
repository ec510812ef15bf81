"""JSON lines, one object a row, as record batches; what is no such row is an error naming it."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Sequence, Tuple

import pyarrow as pa
import pyarrow.json

from pipeline.sources.table_format import first_line
from signatures.errors import UsageError

_BLOCK_BYTES = 1 << 23
_FIRST_ROWS = 1_000


def columns(path: Path) -> Tuple[str, ...]:
    """Names of the fields of the first rows: later rows may lack some, and new ones are not looked at."""
    return tuple(_first_values(path))


def batches(path: Path, names: Sequence[str], types: Dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """These fields, batch by batch; absent ones are null. types: what the schema says of them."""
    seen = _first_values(path)
    fields = [pa.field(name, _read_as(types.get(name), seen.get(name))) for name in names]
    rows = 0
    with path.open("rb") as file:
        for block in iter(lambda: file.readlines(_BLOCK_BYTES), []):
            lines = [line for line in block if line.strip()]
            if lines:
                yield from _table(path, lines, rows, fields).select(list(names)).combine_chunks().to_batches()
            rows += len(lines)


def _first_values(path: Path) -> Dict[str, Any]:
    """By field, its first value in the first rows that is not null; None without one."""
    found: Dict[str, Any] = {}
    with path.open("rb") as file:
        lines = (line for line in file if line.strip())
        for row, line in enumerate(itertools.islice(lines, _FIRST_ROWS), 1):
            for name, value in _object(path, line, row).items():
                if found.get(name) is None:
                    found[name] = value
    return found


def _read_as(declared: Optional[pa.DataType], seen: Any) -> pa.DataType:
    """A type that reads whatever can be converted: flags are not numbers here, and times may be text."""
    if declared is None:
        return pa.string() if isinstance(seen, str) else pa.int64()
    if declared == pa.float32():
        return pa.bool_() if isinstance(seen, bool) else pa.float64()
    if pa.types.is_list(declared) and declared.value_type == pa.float32():
        return pa.list_(pa.float64())
    return declared


def _table(path: Path, lines: List[bytes], rows: int, fields: List[pa.Field]) -> pa.Table:
    content = b"".join(lines)
    options = pa.json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore")
    reading = pa.json.ReadOptions(use_threads=False, block_size=len(content) + 1)
    try:
        table = pa.json.read_json(io.BytesIO(content), read_options=reading, parse_options=options)
    except pa.ArrowInvalid as error:
        raise _bad(path, lines, rows, fields, first_line(error)) from error
    if table.num_rows != len(lines):  # two objects in a line, or one over several
        raise _bad(path, lines, rows, fields, "lines are not objects")
    return table


def _bad(path: Path, lines: List[bytes], rows: int, fields: List[pa.Field], reason: str) -> UsageError:
    """The error of the first row that is wrong: found one by one, once it is known that there is one."""
    for row, line in enumerate(lines, rows + 1):
        try:
            found = _object(path, line, row)
        except UsageError as error:
            return error
        for field in fields:
            if not _fits(found.get(field.name), field.type):
                value = json.dumps(found[field.name])[:60]
                return UsageError(f"{path} row {row}: column {field.name!r} is {value}; the schema says {field.type}")
    return UsageError(f"{path} cannot be read after row {rows} ({reason}); write one object a line")


def _fits(value: Any, kind: pa.DataType) -> bool:
    if value is None:
        return True
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(_fits(cell, kind.value_type) for cell in value)
    if pa.types.is_boolean(kind) or isinstance(value, bool):
        return pa.types.is_boolean(kind) and isinstance(value, bool)
    if pa.types.is_integer(kind):
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, (int, float)) if pa.types.is_floating(kind) else isinstance(value, str)


def _object(path: Path, line: bytes, row: int) -> Dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} row {row} is not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UsageError(f"{path} row {row} is no JSON ({reason}); write one object a line") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} row {row} is a {type(found).__name__}, not an object; write one object a line")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON, write null")
