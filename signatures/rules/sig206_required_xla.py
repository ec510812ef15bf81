"""A signature must be compiled by XLA.

Why: the model loads, and then every request fails with "XLA compilation disabled", unless the server was started with
`--xla_cpu_compilation_enabled`.

Bad: `@tf.function(jit_compile=True)` on a function that is exported.

Good: no `jit_compile`; the server may still cluster ops by its own flags.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG206",
    name="required_xla",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output score float32[?] = call
        call = StatefulPartitionedCall price f=@inner _XlaMustCompile=true
        function inner(x) -> x
        """,
        """
        input price float32[?]
        output score float32[?] = launch
        launch = XlaLaunch price function=@inner
        function inner(x) -> x
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = call
        call = StatefulPartitionedCall price f=@inner _XlaMustCompile=false
        function inner(x) -> x
        function unused(x) -> call:output:0
          call = PartitionedCall x f=@inner _XlaMustCompile=true
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds calls, and functions they run, that insist on XLA."""
    for signature in export.inference():
        for place in export.trace(signature.name).running:
            node = place.node
            if node.op.startswith("XlaLaunch") or (node.functions and _insists(node.attributes)):
                yield RULE.finding(
                    f"{place} must be compiled by XLA, which the stock server refuses at every request; "
                    "export the function without jit_compile=True",
                    signature.name,
                    place.node.name,
                )


def _insists(attributes: Mapping[str, Any]) -> bool:
    return attributes.get("_XlaMustCompile") is True
