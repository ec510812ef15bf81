"""An op is pinned to a device that a server may not have.

Why: the graph was traced below `tf.device("/GPU:0")` or on a worker of a cluster, and the export remembers it. A
server without that device moves the op in silence, to where it may be slower, or refuses the request ("Cannot assign
a device").

Bad: `with tf.device("/GPU:0"):` around the exported function; `/job:worker/task:3`.

Good: no device, or the CPU, which every server has.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Place

RULE = Rule(
    code="SIG208",
    name="fixed_device",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        score = Neg price device=/device:GPU:0
        """,
        """
        input price float32[?]
        output score float32[?] = call
        call = PartitionedCall price f=@pinned
        function pinned(x) -> score:y:0
          score = Neg x device=/job:worker/replica:0/task:3/device:CPU:0
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        score = Neg price device=/job:localhost/replica:0/task:0/device:CPU:0
        unused = Neg price device=/device:GPU:0
        """,
    ),
)

_EVERYWHERE = re.compile(
    r"(/job:localhost)?(/replica:0)?(/task:0)?(/(device:)?CPU:(0|\*))?|/(job|replica|task|device|cpu):\*", re.IGNORECASE
)


def check(export: Export) -> Iterator[Finding]:
    """Finds devices that ops which run insist on; one finding for each device."""
    for name, trace in export.traces():
        pinned: Dict[str, List[Place]] = {}
        for place in trace.running:
            if place.node.device and not _EVERYWHERE.fullmatch(place.node.device):
                pinned.setdefault(place.node.device, []).append(place)
        for device, places in pinned.items():
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            yield RULE.finding(
                f"{places[0]}{more} must run on {device!r}, which a server may not have; "
                "trace the exported function outside of tf.device",
                name,
                places[0].node.name,
            )
