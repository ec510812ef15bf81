"""A mask, label, weight or training flag reaches a prediction.

Why: at serving time nobody has it, so the request fails, or a client sends ones and gets other scores than
training saw. It may arrive by a product, a branch, the number of turns of a loop, an index, or through a variable.

Bad: `score = reduce_sum(logits * mask)` in the function that is exported.

Good: the mask enters the loss, outside the model. A padding mask is computed in the graph from the length input.
"""

from __future__ import annotations

from typing import Iterator

from signatures.declaration import Role
from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.given import Given
from signatures.saved_model import Signature

RULE = Rule(
    code="SIG101",
    name="training_only_input",
    severity="error",
    bad=(
        """
        training_only gate
        input price float32[?]
        input gate float32[?]
        output score float32[?]
        score = Mul price gate
        """,
        """
        input price float32[?]
        input sample_weight float32[?]
        output score float32[?] = branch
        branch = StatelessIf sample_weight price then_branch=@raise else_branch=@keep
        function raise(x) -> y:z:0
          y = AddV2 x x
        function keep(x) -> x
        """,
        """
        input price float32[?]
        input context float32[?] = sample_weights
        sample_weights = Placeholder
        output score float32[?]
        score = Mul price sample_weights
        """,
        """
        input examples string[?]
        output score float32[?]
        names = Const value=
        dense_keys = Const value='price','mask'
        none = Const value=
        parse = ParseExampleV2 examples names none dense_keys none none none
        score = Mul parse:0 parse:1
        """,
    ),
    good=(
        """
        input examples string[?]
        output score float32[?]
        names = Const value=
        dense_keys = Const value='price','mask'
        none = Const value=
        parse = ParseExampleV2 examples names none dense_keys none none none
        score = AddV2 parse:0 parse:0
        """,
        """
        input face_mask_type int64[?]
        input label_count int64[?]
        input record_label_id int64[?]
        input item_weight_grams int64[?]
        input attention_mask int64[?]
        output score float32[?]
        score = AddN face_mask_type label_count record_label_id item_weight_grams attention_mask
        """,
        """
        training_only boost
        features mask price
        input mask float32[?]
        input price float32[?]
        output score float32[?]
        score = Mul price mask
        """,
        """
        input price float32[?]
        input mask float32[?]
        output score float32[?]
        shape = Shape mask
        score = BroadcastTo price shape
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds inputs that are declared or named as training's and whose value reaches an output."""
    for signature in export.inference():
        for given in export.given(signature):
            role = export.role(signature, given.name)
            if role in ("training_only", "named_for_training", "perhaps_for_training"):
                yield from _reached(export, signature, given, role)


def _reached(export: Export, signature: Signature, given: Given, role: Role) -> Iterator[Finding]:
    name, reached = given.name, export.reached(signature, given.origin)
    if not reached:
        return
    where = export.where(signature, reached[0], name)
    message = f"{given.called} changes output {', '.join(map(repr, reached))}{where}"
    if role == "training_only":
        yield RULE.finding(
            f"{message}, but it exists in training only; use it in the loss, outside the exported function",
            signature.name,
            name,
        )
        return
    certainty, severity = ("is", RULE.severity) if role == "named_for_training" else ("may be", "warning")
    yield RULE.finding(
        f"{message}, and its name says that it {certainty} training's; take it out of the exported function, "
        f"or list every feature (--feature {name} …) if it is one",
        signature.name,
        name,
        severity,
    )
