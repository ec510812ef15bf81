"""Recommends in two steps: a retrieval model finds candidates among all items, a ranking model puts them in order.

Which features each model wants, and of which side, stands in their manifests; the caller has one row for the user and a
table of the items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from serving.client.client import Client
from serving.client.errors import RequestError
from signatures.manifest import Manifest, Signature

Row = Mapping[str, Any]
"""Raw feature -> cell, or list of cells."""

_LOWEST = np.finfo(np.float32).min
"""The score of a place that holds no item."""


@dataclass(frozen=True)
class Funnel:
    """The two models and how much flows between them."""

    retrieval: str = "two_tower"
    ranking: str = "din"
    candidates: int = 100
    output: Optional[str] = None
    """The ranking model's output to sort by, where it has several tasks."""


@dataclass(frozen=True)
class Recommendation:
    """One item: its raw id and both models' scores."""

    item: Any
    retrieval_score: float
    score: float


def recommend(
    client: Client, user: Row, items: Any, exclude: Sequence[Any] = (), funnel: Funnel = Funnel()  # noqa: B008 (frozen)
) -> List[Recommendation]:
    """The candidates, best first; a tie keeps the order of the retrieval.

    user: the user's and the context's features for both models; others are ignored. items: a mapping from item id to a
    row of item features, or a pyarrow Table with the id among its columns; not read where the ranking model holds its
    items itself (`rank_items`). exclude: ids not to recommend. Raises a ClientError.
    """
    found = retrieve(client, user, exclude, funnel)
    if not found:
        return []
    manifest = _manifest(client, funnel.ranking)
    ids, id_name = [item for item, _ in found], _id_name(client, funnel)
    holds_items = "rank_items" in manifest.signatures
    name = "rank_items" if holds_items else "rank"
    signature = _signature(manifest, name)
    rows = [{id_name: item} for item in ids] if holds_items else _item_rows(items, id_name, ids)
    scores = client.predict(funnel.ranking, _rank_inputs(manifest, signature, user, rows), name).outputs
    chosen = scores[_output(signature, funnel)][0]
    recommendations = [
        Recommendation(item, retrieval_score, float(score)) for (item, retrieval_score), score in zip(found, chosen)
    ]
    return sorted(recommendations, key=lambda each: -each.score)


def retrieve(
    client: Client, user: Row, exclude: Sequence[Any] = (), funnel: Funnel = Funnel()  # noqa: B008 (frozen)
) -> List[Tuple[Any, float]]:
    """The candidates' ids and retrieval scores, best first. Raises a ClientError."""
    manifest = _manifest(client, funnel.retrieval)
    name = _retrieval_signature(manifest)
    signature = manifest.signatures[name]
    inputs: Dict[str, Any] = {
        each: [_cell(user, each, funnel.retrieval)] for each, info in signature.inputs.items() if info.role == "feature"
    }
    inputs["k"] = [funnel.candidates]
    inputs["exclude"] = [list(exclude)]
    if "exclude_seen" in signature.inputs:
        inputs["exclude_seen"] = [True]
    outputs = client.predict(funnel.retrieval, inputs, name).outputs
    id_name, score_name = _retrieval_outputs(signature)
    pairs = zip(outputs[id_name][0], outputs[score_name][0])
    return [(_plain(item), float(score)) for item, score in pairs if score > _LOWEST]


def _rank_inputs(manifest: Manifest, signature: Signature, user: Row, rows: Sequence[Row]) -> Dict[str, Any]:
    """One row of the user, N candidates: user features [1, …], item and cross features [1, N, …]."""
    per_item = {name for feature in manifest.features if feature.side in ("item", "cross") for name in feature.inputs}
    inputs: Dict[str, Any] = {}
    for name, info in signature.inputs.items():
        if info.role != "feature":
            continue
        if name in per_item:
            inputs[name] = [[_cell(row, name, manifest.model, "item") for row in rows]]
        else:
            inputs[name] = [_cell(user, name, manifest.model)]
    return inputs


def _item_rows(items: Any, id_name: str, ids: Sequence[Any]) -> List[Row]:
    """The rows of the items in the order of `ids`, each with its id."""
    if not isinstance(items, Mapping):
        items = _table_rows(items, id_name, ids)
    missing = [item for item in ids if item not in items]
    if missing:
        raise RequestError(f"the item table lacks {id_name} {missing[0]!r}, which the retrieval model returned; "
                           "give the table that the models were exported with")
    return [{id_name: item, **items[item]} for item in ids]


def _table_rows(table: Any, id_name: str, ids: Sequence[Any]) -> Dict[Any, Row]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(table, pa.Table):
        raise RequestError(f"items should be a mapping from id to row or a pyarrow Table; "
                           f"received {type(table).__name__}")
    if id_name not in table.column_names:
        raise RequestError(f"the item table has no column {id_name!r}; it has {', '.join(table.column_names)}")
    wanted = pa.array(list(ids)).cast(table.schema.field(id_name).type)
    chosen = table.filter(pc.is_in(table[id_name], value_set=wanted))
    return {row[id_name]: row for row in chosen.to_pylist()}


def _id_name(client: Client, funnel: Funnel) -> str:
    manifest = _manifest(client, funnel.retrieval)
    return _retrieval_outputs(manifest.signatures[_retrieval_signature(manifest)])[0]


def _retrieval_signature(manifest: Manifest) -> str:
    """`retrieve` where the model has it, else the one signature that returns items."""
    found = [name for name, signature in manifest.signatures.items() if signature.kind == "retrieve"]
    if not found:
        raise RequestError(f"model {manifest.model!r} has no signature that retrieves items; "
                           f"it has {', '.join(sorted(manifest.signatures))}")
    return "retrieve" if "retrieve" in found else found[0]


def _retrieval_outputs(signature: Signature) -> Tuple[str, str]:
    """The names of the ids and of the scores."""
    scores = [name for name, info in signature.outputs.items() if info.dtype == "float32"]
    ids = [name for name in signature.outputs if name not in scores]
    if len(scores) != 1 or len(ids) != 1:
        raise RequestError("a retrieval signature should have one output of ids and one of float32 scores; "
                           f"received {', '.join(sorted(signature.outputs))}")
    return ids[0], scores[0]


def _output(signature: Signature, funnel: Funnel) -> str:
    if funnel.output is None and len(signature.outputs) == 1:
        return next(iter(signature.outputs))
    if funnel.output not in signature.outputs:
        raise RequestError(f"model {funnel.ranking!r} ranks by {', '.join(sorted(signature.outputs))}; "
                           f"received output {funnel.output!r}")
    return funnel.output


def _manifest(client: Client, model: str) -> Manifest:
    if model not in client.manifests:
        raise RequestError(f"the funnel needs the manifest of {model!r}; give it to the client in `manifests`")
    return client.manifests[model]


def _signature(manifest: Manifest, name: str) -> Signature:
    if name not in manifest.signatures:
        raise RequestError(f"model {manifest.model!r} has no signature {name!r}; "
                           f"it has {', '.join(sorted(manifest.signatures))}")
    return manifest.signatures[name]


def _cell(row: Row, name: str, model: str, what: str = "user") -> Any:
    if name not in row:
        raise RequestError(f"the {what} row lacks {name!r}, which model {model!r} needs; give it, or None where it is "
                           "not known")
    return row[name]


def _plain(item: Any) -> Any:
    """A raw id as callers have it: int or str."""
    return item.decode("utf-8") if isinstance(item, bytes) else item.item()
