"""The new version declares another server image than the old one.

Why: an export says which server it was made for and tested with.

Client: nothing changes, as long as somebody serves it.

Server: the one that runs may lack an op or a kernel, or be older than the graph.

Bad: `tensorflow/serving:2.16.1` in version 1, an image with ScaNN in version 2, and a server that was never changed.

Good: the new image first, and then the new version.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG514",
    name="changed_server_image",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        server_image tensorflow/serving:2.14.0
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        server_image tensorflow/serving:2.16.1
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        ---
        input price float32[?]
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Compares what two manifests say of the server; a model without one says nothing."""
    old, new = versions.old.manifest, versions.new.manifest
    if old is not None and new is not None and old.server_image != new.server_image:
        yield RULE.finding(
            f"the server image was {old.server_image} and is {new.server_image}; change the server before the model",
            None,
            None,
        )
