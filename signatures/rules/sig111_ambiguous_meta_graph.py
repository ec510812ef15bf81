"""The file holds several meta graphs tagged `serve`.

Why: a server takes the first whose tags are those it was started with, and says nothing of the others: what was tested
may not be what is served.

Bad: two meta graphs with the tags `serve`, as a builder makes them that is called twice.

Good: one. A second one with more tags (`serve`, `tpu`) is for servers that ask for it, and only mentioned.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG111",
    name="ambiguous_meta_graph",
    severity="warning",
    bad=("serve_meta_graphs 2\nsame_tags 2", "serve_meta_graphs 2"),
    good=("serve_meta_graphs 1",),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds more than one meta graph for serving; for information where their tags tell them apart."""
    model = export.model
    tags = ", ".join(sorted(model.tags))
    if model.same_tags > 1:
        yield RULE.finding(
            f"saved_model.pb holds {model.same_tags} meta graphs with the tags {tags}, and a server takes the first; "
            "save one meta graph for serving",
            None,
            None,
        )
    elif model.serve_meta_graphs > 1:
        yield RULE.finding(
            f"of {model.serve_meta_graphs} meta graphs tagged serve only the one tagged {tags} was examined; "
            "start servers that want another with --saved_model_tags",
            None,
            None,
            "info",
        )
