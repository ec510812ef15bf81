"""A signature calls back into Python.

Why: the function lives in the process that exported the model. A server has no Python, and fails at the first request.

Bad: `tf.py_function`, `tf.numpy_function` in the exported function.

Good: TensorFlow ops.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG201",
    name="host_callback",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        score = PyFunc price
        """,
        """
        input price float32[?]
        output score float32[?] = call
        call = StatefulPartitionedCall price f=@logged
        function logged(x) -> x ^log
          log = EagerPyFunc x
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        summary = PyFunc price
        function unused(x) -> call:output:0
          call = EagerPyFunc x
        """,
    ),
)

OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "JaxHostCallback", "XlaHostCompute", "GeneratorDataset")


def check(export: Export) -> Iterator[Finding]:
    """Finds Python callbacks that run in a signature or at load."""
    for name, trace in export.traces():
        for place in trace.running:
            if place.node.op in OPS:
                yield RULE.finding(
                    f"{place} calls Python, which a server does not have; write it with TensorFlow ops",
                    name,
                    place.node.name,
                )
