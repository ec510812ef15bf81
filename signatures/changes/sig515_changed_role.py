"""An input has another role: a feature, the length of a list, a wish of the request, or something of training.

Why: the manifest is what clients encode by and what the linter proves. A label that becomes a feature is a leak with a
declaration; a list that loses its length is read to its padding.

Client: it fills the input from another source, or not at all.

Server: it does not know roles; nothing keeps a wrong one from being served.

Bad: `label` under training_only in version 1, and a feature in version 2.

Good: another meaning gets another name.
"""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule, Severity
from signatures.manifest import Manifest
from signatures.manifest import Signature as Declared

RULE = Rule(
    code="SIG515",
    name="changed_role",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest training_only clicks
        ---
        input price float32[?]
        input clicks float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest input clicks float32[?]
        """,
        """
        input price float32[?]
        input clicks float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest input clicks float32[?]
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest training_only clicks
        """,
        """
        input k int32[?]
        output score float32[?] = k
        manifest input k int32[?]
        ---
        input k int32[?]
        output score float32[?] = k
        manifest input k int32[?]
        manifest role k request
        """,
        """
        input history int64[?,?]
        input count int64[?]
        output score float32[?] = history
        manifest input history int64[?,?]
        manifest input count int64[?]
        manifest length history count
        ---
        input history int64[?,?]
        input count int64[?]
        output score float32[?] = history
        manifest input history int64[?,?]
        manifest input count int64[?]
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest training_only clicks
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest training_only clicks likes
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Compares two manifests; a model without one says nothing."""
    old, new = versions.old.manifest, versions.new.manifest
    if old is None or new is None:
        return
    yield from _training(old, new)
    for name in sorted(old.signatures.keys() & new.signatures.keys()):
        yield from _inputs(name, old.signatures[name], new.signatures[name])


def _training(old: Manifest, new: Manifest) -> Iterator[Finding]:
    before, after = served(old), served(new)
    for name in sorted(set(old.training_only) & after - set(new.training_only)):
        yield RULE.finding(
            f"{name!r} belonged to training only and is a feature now, so that what was to be predicted may be looked "
            "at; give a feature a name of its own",
            None,
            name,
        )
    for name in sorted(set(new.training_only) & before - set(old.training_only)):
        yield RULE.finding(
            f"{name!r} was a feature and belongs to training only now; stop sending it",
            None,
            name,
            "warning",
        )


def served(manifest: Manifest) -> set[str]:
    """The names under which requests carry anything."""
    inputs = {name for each in manifest.signatures.values() for name in each.inputs}
    return inputs | {name for feature in manifest.features for name in (feature.name, *feature.inputs)}


def _inputs(signature: str, old: Declared, new: Declared) -> Iterator[Finding]:
    for name in sorted(old.inputs.keys() & new.inputs.keys()):
        before, after = old.inputs[name], new.inputs[name]
        if before.role != after.role:
            told: Tuple[str, Severity] = (f"was a {before.role} and is a {after.role}", "warning")
        elif before.length != after.length:
            told = (f"{_counted(before.length)} and now {_counted(after.length)}", "error")
        else:
            continue
        yield RULE.finding(
            f"input {name!r} {told[0]}, and clients fill it as before; give another meaning another name",
            signature,
            name,
            told[1],
        )


def _counted(length: Optional[str]) -> str:
    return "had no length" if length is None else f"had its length in {length!r}"
