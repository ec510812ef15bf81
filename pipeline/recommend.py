"""Recommendations for a known user from running servers: the prepared data knows users and items, the servers score.

Imports no TensorFlow, so that `signet recommend` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipeline import items as item_files
from pipeline.places import Places
from pipeline.prepared import TITLE, Part, Prepared
from serving.client.client import Client
from serving.client.errors import ClientError
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.transport import Transport
from serving.exports import manifests
from serving.funnel import Funnel
from serving.funnel import recommend as ask
from serving.requests import from_flags
from signatures.errors import UsageError


@dataclass(frozen=True)
class Where:
    """A server, and how to talk to it."""

    transport: str
    host: str
    port: int

    def open(self) -> Transport:
        """Raises UsageError for a transport there is not."""
        if self.transport not in ("grpc", "rest"):
            raise UsageError(f"transport is {self.transport!r}; choose grpc or rest")
        return GrpcTransport(self.host, self.port) if self.transport == "grpc" else RestTransport(self.host, self.port)


@dataclass(frozen=True)
class Recommended:
    """One place of the list."""

    item: Any
    title: str
    retrieval_score: float
    score: float


def recommend(
    transport: Transport,
    prepared: Prepared,
    exports: Path,
    user: str,
    count: int,
    funnel: Optional[Funnel] = None,
    context: Optional[Mapping[str, Any]] = None,
) -> List[Recommended]:
    """The best `count` items that the user has not met, retrieved by one model and ranked by another.

    context: raw context features; what is not given is missing. Raises UsageError for an unknown user, ClientError when
    the server does not answer.
    """
    funnel = Funnel() if funnel is None else funnel
    row = {**unknown_context(prepared), **user_row(prepared, user), **(context or {})}
    table = pq.read_table(prepared.items)
    titles = (
        dict(zip(table[prepared.schema.roles.item].to_pylist(), table[TITLE].to_pylist()))
        if TITLE in table.column_names
        else {}
    )
    with Client(transport, manifests(exports, [funnel.retrieval, funnel.ranking])) as client:
        found = ask(client, row, table, met_items(prepared, row), funnel)
    return [Recommended(r.item, titles.get(r.item) or "", r.retrieval_score, r.score) for r in found[:count]]


def show(
    where: Where, places: Places, dataset: Optional[str], user: str, count: int, funnel: Funnel, context: Sequence[str]
) -> None:
    """Prints the list as a table. Raises UsageError for what the user can mend, a silent server included."""
    prepared = places.prepared(dataset, Console(stderr=True))
    given = context_row(context)
    try:
        found = recommend(where.open(), prepared, places.exports, user, count, funnel, given)
    except ClientError as error:
        raise UsageError(f"{error}; start a server with: signet serve") from error
    table = Table("", "item", "title", f"retrieval ({funnel.retrieval})", f"ranking ({funnel.ranking})")
    for place, each in enumerate(found, start=1):
        table.add_row(str(place), str(each.item), each.title, f"{each.retrieval_score:.4f}", f"{each.score:.4f}")
    Console().print(table)


def context_row(flags: Sequence[str]) -> Dict[str, Any]:
    """NAME=JSON texts as one row. Raises UsageError for one that is not of this form."""
    rows: Any = from_flags(flags).inputs if flags else [{}]
    return dict(rows[0])


def user_row(prepared: Prepared, user: str) -> Dict[str, Any]:
    """The user's columns as of after the last event. Raises UsageError for a user the data does not have."""
    role = str(prepared.schema.roles.user)
    table = pq.read_table(prepared.users)
    dtype = prepared.schema.feature(role).dtype if role in prepared.schema.feature_names else "string"
    try:
        wanted: Any = int(user) if dtype == "int64" else user
    except ValueError as error:
        raise UsageError(
            f"user {user!r} is no whole number, as {role} is; give one such as {table[role][0]}"
        ) from error
    places = np.flatnonzero(table[role].to_numpy(zero_copy_only=False) == wanted)
    if not len(places):
        raise UsageError(f"user {user!r} is not in {prepared.users}; give one such as {table[role][0]}")
    row: Dict[str, Any] = table.slice(int(places[0]), 1).to_pylist()[0]
    return row


def unknown_context(prepared: Prepared) -> Dict[str, Any]:
    """Every context column, missing."""
    return {column.name: None for column in prepared.schema.columns("context")}


def met_items(prepared: Prepared, row: Mapping[str, Any]) -> List[Any]:
    """Raw ids of all items that the user of this row has an event with, in any part."""
    table = item_files.load(prepared)
    parts: List[Part] = [part for part, rows in prepared.facts.rows.items() if rows]  # type: ignore[misc]
    seen = item_files.seen(prepared, parts)
    everything = np.arange(len(table.ids))
    user = np.full(len(everything), row[str(prepared.schema.roles.user)])
    ids: List[Any] = table.ids[seen.contains(user, everything)].tolist()
    return ids
