"""An input that is not among the declared features reaches a prediction.

Why: a mask under any other name is caught by the list of features and by nothing else.

Bad: features are `price` and `user_id`; the signature takes `gate` too and multiplies by it.

Good: every input of the signature is a declared feature, its length, or part of the request (`k`, ids to exclude).
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG102",
    name="undeclared_input",
    severity="error",
    bad=(
        """
        features price
        input price float32[?]
        input gate float32[?]
        output score float32[?]
        score = Mul price gate
        """,
        """
        features ids
        input ids int64[?]
        input row int64[?]
        output score float32[?] = call
        call = StatefulPartitionedCall row ids f=@pick
        function pick(index, table) -> gathered:output:0
          gathered = GatherV2 table index
        """,
    ),
    good=(
        """
        input examples string[?]
        output score float32[?]
        names = Const value=
        dense_keys = Const value='price','label'
        none = Const value=
        parse = ParseExampleV2 examples names none dense_keys none none none
        score = AddV2 parse:0 parse:0
        features price
        """,
        """
        features price gate
        input price float32[?]
        input gate float32[?]
        output score float32[?]
        score = Mul price gate
        """,
        """
        input price float32[?]
        input gate float32[?]
        output score float32[?]
        score = Mul price gate
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds inputs outside the declaration whose value reaches an output."""
    for signature in export.inference():
        for name, called, origin, _ in export.given(signature):
            reached = export.reached(signature, origin)
            if export.role(signature, name) != "undeclared" or not reached:
                continue
            where = export.where(signature, reached[0], name)
            yield RULE.finding(
                f"{called} changes output {', '.join(map(repr, reached))}{where} and is no declared feature; "
                f"take it out of the exported function, or declare it (--feature {name}) if clients have it",
                signature.name,
                name,
            )
