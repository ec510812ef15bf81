"""What an export's signatures search, made by the users of one part and measured by those of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, Mapping, Optional, Tuple

import numpy as np

from pipeline import inference, requests, wire
from pipeline.builder import Built
from pipeline.items import ItemTable
from pipeline.prepared import Prepared
from pipeline.retrieval import recall
from pipeline.retrieval.catalogue import Catalogue
from pipeline.retrieval.choice import searches_all
from signatures.manifest import Manifest, Retrieval

_BATCH = 32


@dataclass(frozen=True)
class Searched:
    """The catalogue of a model that retrieves."""

    items: ItemTable
    vectors: np.ndarray
    """Of the items, float32 [M, d]."""
    catalogues: Mapping[str, Catalogue]
    """By the name of the signature."""


def searched(built: Built, prepared: Prepared, items: Optional[ItemTable]) -> Optional[Searched]:
    """None for a model that does not retrieve. Raises UsageError for an index that cannot be made."""
    if items is None or not inference.retrieving(built):
        return None
    vectors = inference.item_vectors(built, items)
    wanted, users = built.experiment.retrieval, None
    if wanted.probes is None and not searches_all(wanted, len(vectors)):
        # Not of the test part: recall is measured on that one.
        users = inference.user_vectors(built, requests.sample(built, prepared, recall.USERS, "validation"))
    return Searched(items, vectors, inference.catalogues_of(built, items, vectors, users))


def measured(
    built: Built, prepared: Prepared, signatures: Tuple[inference.InferenceSignature, ...], found: Searched
) -> Dict[str, Retrieval]:
    """By signature, how much it finds of the truly best items of users of the test part, asked by raw values."""
    rows = requests.sample(built, prepared, recall.USERS)
    users = inference.user_vectors(built, rows)
    truth = recall.best(users, found.vectors)
    item = str(built.schema.roles.item)
    results = {}
    for signature in signatures:
        if signature.name not in found.catalogues:
            continue
        function, asked = signature.trace(), requests.best(signature, rows, max(truth))
        batches = [slice(start, start + _BATCH) for start in range(0, len(users), _BATCH)]
        parts = [{name: cells[batch] for name, cells in asked.items()} for batch in batches]
        ids = np.concatenate([wire.call(function, signature.inputs, part)[item] for part in parts])
        results[signature.name] = Retrieval(
            items=len(found.vectors),
            users=len(users),
            recall=recall.recall(users, found.vectors, found.items.index(ids), truth),
            **found.catalogues[signature.name].index.described(),
        )
    return results


def as_exported(built: Built, manifest: Manifest) -> Built:
    """The model with the index and the probes that an export of it was given, whatever its experiment leaves open."""
    found = {name: how for name, how in manifest.retrieval.items() if how.index != "scann"}
    if not found:
        return built
    how = next(iter(found.values()))
    settings = {"index": how.index, "probes": how.probes, "scann": len(found) < len(manifest.retrieval)}
    if how.lists is not None:
        settings["lists"] = how.lists
    retrieval = built.experiment.retrieval.model_copy(update=settings)
    return replace(built, experiment=built.experiment.model_copy(update={"retrieval": retrieval}))
