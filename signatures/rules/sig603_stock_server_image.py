"""The manifest declares ops beyond the stock server's, and the stock server's image to run them.

Why: `extra_ops` asks for a server that has them, and `server_image` names one that has not. Whoever starts what the
manifest says gets "Op type not registered" at the first request.

Bad: `extra_ops` with a ScaNN op, and `server_image` tensorflow/serving.

Good: the image that was built with the op; or stock ops and the stock image.
"""

from __future__ import annotations

import re
from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG603",
    name="stock_server_image",
    severity="error",
    bad=(
        "extra_ops Scann>ScannSearchBatched\nserver_image tensorflow/serving:2.16.1",
        "extra_ops IO>KafkaReadableInit TFRA>CuckooHashTableFind\nserver_image docker.io/tensorflow/serving",
    ),
    good=(
        "extra_ops Scann>ScannSearchBatched\nserver_image example/serving-with-scann:1",
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest output score float32[?]
        server_image tensorflow/serving:2.16.1
        """,
    ),
)

_STOCK = re.compile(r"((index\.)?docker\.io/)?tensorflow/serving(-devel)?(:[\w.-]+)?(@sha256:\w+)?")


def check(export: Export) -> Iterator[Finding]:
    """Finds extra ops that the declared image cannot have."""
    manifest = export.manifest
    if manifest is not None and manifest.extra_ops and _STOCK.fullmatch(manifest.server_image):
        yield RULE.finding(
            f"the manifest declares the op {', '.join(map(repr, manifest.extra_ops))} beyond the stock server's, and "
            f"the stock image {manifest.server_image!r}; name an image that has it in server_image",
            None,
            manifest.extra_ops[0],
        )
