"""The new version needs an op that the old one did not.

Why: the server that runs the old version need not have it.

Client: at the first request it may read "Op type not registered".

Server: it does not load the version, or loads it and fails, until its image is another one.

Bad: version 2 with a ScaNN index, on the image of version 1.

Good: the image first, declared in the manifest's server_image and extra_ops, then the model.
"""

from __future__ import annotations

from typing import Dict, Iterator

from signatures.changes.versions import Versions
from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Place
from signatures.stock_ops import in_stock_server

RULE = Rule(
    code="SIG513",
    name="added_custom_op",
    severity="error",
    bad=(
        """
        input query float32[?,8]
        output id int64[?] = search
        search = TopKV2 query
        ---
        input query float32[?,8]
        output id int64[?] = search
        search = Scann>ScannSearchBatched query
        """,
        """
        input query float32[?,8]
        output id int64[?] = query
        ---
        input query float32[?,8]
        output id int64[?] = search
        search = Scann>ScannSearchBatched query
        extra_ops Scann>ScannSearchBatched
        """,
    ),
    good=(
        """
        input query float32[?,8]
        output id int64[?] = search
        search = Scann>ScannSearchBatched query
        ---
        input query float32[?,8]
        output id int64[?] = found
        found = Scann>ScannSearchBatched query
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds ops beyond the stock server's that only the new version runs."""
    before = needed(versions.old)
    for op, place in needed(versions.new).items():
        if op in before:
            continue
        manifest = versions.new.manifest
        if manifest is not None and op in manifest.extra_ops:
            yield RULE.finding(
                f"{place} is needed now, as the manifest declares; run the server image {manifest.server_image} first",
                None,
                op,
                "warning",
            )
            continue
        yield RULE.finding(
            f"{place} is needed now, and a server that runs the old version need not have it; use stock ops, "
            "or declare it in the manifest with the image that has it",
            None,
            op,
        )


def needed(export: Export) -> Dict[str, Place]:
    """Ops beyond the stock server's that run, each with one place of it."""
    found: Dict[str, Place] = {}
    for _, trace in export.traces():
        for place in trace.running:
            op = place.node.op
            if not in_stock_server(op) and op not in export.model.functions:  # old graphs call a function by its name
                found.setdefault(op, place)
    return found
