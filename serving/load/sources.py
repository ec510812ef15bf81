"""The requests of a load test: from the golden files of an export, or from a file of the user's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

import numpy as np

from serving import requests
from serving.client.client import Client
from serving.client.contract import Contract
from serving.client.encode import encode
from serving.client.exchange import Exchange
from serving.client.transport import Answer, AsyncTransport, Target
from serving.requests import Request
from signatures.errors import UsageError

_MOST = 1000
"""Different requests made of one; more would only cost memory."""


@dataclass(frozen=True)
class Shot:
    """A request's bytes and how many rows are in them."""

    exchange: Exchange[Answer]
    rows: int


@dataclass(frozen=True)
class Sample:
    """A request as arrays, checked against its contract."""

    target: Target
    contract: Contract
    arrays: Mapping[str, np.ndarray]

    @property
    def rows(self) -> int:
        """Of the batch; 1 where the signature has none."""
        sizes = [array.shape[0] for name, array in self.arrays.items() if _batched(self.contract, name)]
        return sizes[0] if sizes else 1


def golden(export: Path, signature: str) -> List[Request]:
    """The request of the export's golden file for a signature. Raises UsageError where it has none."""
    file = export / "golden" / f"{signature}.json"
    if not file.is_file():
        found = sorted(other.stem for other in file.parent.glob("*.json")) if file.parent.is_dir() else []
        has = f"it has {', '.join(found)}" if found else "it has none"
        raise UsageError(f"{export} has no golden request for signature {signature!r}; {has}; give one with --file")
    return [requests.from_json(file.read_text(encoding="utf-8"), str(file))]


def from_file(file: Path) -> List[Request]:
    """The request in a JSON file, or those in the lines of a .jsonl file. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"request file {file} cannot be read ({error}); give a JSON or JSON lines file") from error
    if file.suffix != ".jsonl":
        return [requests.from_json(text, str(file))]
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise UsageError(f"request file {file} is empty; write one request in each line")
    return [requests.from_json(line, f"{file}:{number}") for number, line in lines]


def samples(client: Client, target: Target, given: Sequence[Request], rows: int = 0) -> List[Sample]:
    """The requests checked against the contract; `rows` gives each of them that many, taken in turn.

    A signature that a request names goes before the target's. Raises a ClientError, or UsageError for rows that cannot
    be had.
    """
    found = []
    for request in given:
        aim = target if request.signature is None else replace(target, signature=request.signature)
        contract = client.contract(aim)
        sample = Sample(aim, contract, encode(contract, request.inputs))
        found += _of_size(sample, rows) if rows else [sample]
    return found


def shots(transport: AsyncTransport, found: Sequence[Sample]) -> List[Shot]:
    """The samples as bytes for a transport. Raises RequestError for types that it cannot carry."""
    return [
        Shot(transport.prepare(each.target, each.arrays, each.contract.outputs, ()), each.rows) for each in found
    ]


def _of_size(sample: Sample, rows: int) -> List[Sample]:
    """Requests of so many rows each, the sample's rows in turn, and again from the first."""
    have = sample.rows
    if have == 0:
        raise UsageError(f"the request for signature {sample.target.signature!r} has no row to make {rows} of")
    if not any(_batched(sample.contract, name) for name in sample.arrays):
        raise UsageError(f"signature {sample.target.signature!r} has no batch axis; leave --rows away")
    starts = range(0, min(have // gcd(have, rows), _MOST) * rows, rows)
    return [replace(sample, arrays=_rows(sample, (start + np.arange(rows)) % have)) for start in starts]


def _rows(sample: Sample, index: np.ndarray) -> Dict[str, np.ndarray]:
    return {
        name: array[index] if _batched(sample.contract, name) else array for name, array in sample.arrays.items()
    }


def _batched(contract: Contract, name: str) -> bool:
    shape = contract.inputs[name].shape
    return shape is not None and shape[:1] == (None,)
