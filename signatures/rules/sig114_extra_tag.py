"""The meta graph for serving has tags besides `serve`.

Why: a server looks for a meta graph with the very tags it was started with, which are `serve` unless it is told. With
one tag more the model does not load: "Could not find meta graph def matching supplied tags".

Bad: `builder.add_meta_graph_and_variables(session, ["serve", "gpu"])` and nothing else.

Good: `["serve"]`; beside it there may be others.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG114",
    name="extra_tag",
    severity="error",
    bad=("tags serve gpu", "tags serve tpu train"),
    good=("tags serve",),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds a model without a meta graph that is tagged `serve` alone."""
    extra = sorted(export.model.tags - {"serve"})
    if extra:
        yield RULE.finding(
            f"no meta graph is tagged serve alone, only one that is tagged {', '.join(map(repr, extra))} too, "
            "so a server does not find it; save it with the tag serve, or start servers with --saved_model_tags",
            None,
            None,
        )
