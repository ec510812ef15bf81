"""The manifest and the graph do not have the same signatures, inputs and outputs.

Why: clients, the funnel and the next export believe the manifest. A signature or an input that only it knows is asked
for in vain, and one that it leaves out is never sent, so that every request is refused.

Bad: `signet.json` copied from another version, or a graph replaced under its manifest.

Good: both written by one export.
"""

from __future__ import annotations

from typing import Iterable, Iterator, Mapping

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.manifest import Signature as Declared
from signatures.saved_model import Signature

RULE = Rule(
    code="SIG601",
    name="unmatched_manifest",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest input colour int64[?]
        manifest output score float32[?]
        """,
        """
        input price float32[?]
        output score float32[?] = price
        signature rank
        manifest input price float32[?]
        manifest output score float32[?]
        """,
        """
        input history int64[?,?]
        output score int64[?,?] = history
        manifest input history int64[?,?]
        manifest length history history_length
        manifest output score int64[?,?]
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest output score float32[?]
        """,
        """
        input price float32[?]
        output score float32[?] = price
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Compares the names on both sides."""
    if export.manifest is None:
        return
    served = {signature.name: signature for signature in export.inference()}
    declared = export.manifest.signatures
    yield from _differences("signature", "the model", None, declared, served)
    for name in sorted(served.keys() & declared.keys()):
        yield from _signature(served[name], declared[name])


def _signature(served: Signature, declared: Declared) -> Iterator[Finding]:
    where = f"signature {served.name!r}"
    yield from _differences("input", where, served.name, declared.inputs, served.inputs)
    yield from _differences("output", where, served.name, declared.outputs, served.outputs)
    for name, info in declared.inputs.items():
        if info.length is not None and info.length not in declared.inputs:
            yield RULE.finding(
                f"the manifest says that {info.length!r} is the length of input {name!r}, and {where} has none such; "
                "export the model again",
                served.name,
                name,
            )


def _differences(
    kind: str, where: str, signature: object, declared: Mapping[str, object], served: Mapping[str, object]
) -> Iterator[Finding]:
    in_signature = signature if isinstance(signature, str) else None
    for name in _only(declared, served):
        yield RULE.finding(
            f"the manifest has the {kind} {name!r}, and {where} has not; export the model again", in_signature, name
        )
    for name in _only(served, declared):
        yield RULE.finding(
            f"{where} has the {kind} {name!r}, and the manifest has not; export the model again", in_signature, name
        )


def _only(these: Iterable[str], those: Mapping[str, object]) -> Iterable[str]:
    return (each for each in these if each not in those)
