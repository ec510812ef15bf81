"""A look-up table is read and nothing fills it.

Why: the model loads and is AVAILABLE, and every request fails with "Table not initialized". The init op was lost, or
fills another table.

Bad: a TF1 export without `main_op=tf.compat.v1.tables_initializer()`; a tool that rewrote the graph and dropped the
init op.

Good: `tf.lookup.StaticHashTable` on a tracked attribute, which TensorFlow 2 fills at load. Mutable tables may be
empty.
"""

from __future__ import annotations

from typing import Iterator, Set

from signatures.export import INIT, Export
from signatures.findings import Finding, Rule
from signatures.sources import Origin
from signatures.transfer import resource

RULE = Rule(
    code="SIG302",
    name="uninitialised_table",
    severity="error",
    bad=(
        """
        input city string[?]
        output score int64[?]
        table = HashTableV2
        missing = Const
        score = LookupTableFindV2 table city missing
        """,
        """
        input city string[?]
        output score int64[?] = call
        table = HashTableV2
        other = HashTableV2
        keys = Const
        load = InitializeTableV2 other keys keys
        init load
        call = PartitionedCall city table f=@look_up
        function look_up(x, handle) -> found:values:0
          missing = Const
          found = LookupTableFindV2 handle x missing:output:0
        """,
    ),
    good=(
        """
        input city string[?]
        output score int64[?]
        table = HashTableV2 shared_name='cities'
        again = HashTableV2 shared_name='cities'
        keys = Const
        load = StatefulPartitionedCall again keys f=@fill
        init load
        missing = Const
        score = LookupTableFindV2 table city missing
        unused = HashTableV2
        other = LookupTableFindV2 unused city missing
        function fill(handle, values) -> values ^load
          load = InitializeTableV2 handle values values
        """,
        """
        input city string[?]
        output score string[?] = call
        table = HashTableV2
        call = PartitionedCall city table f=@pass_by
        function pass_by(x, handle) -> x
        """,
        """
        input city string[?]
        output score int64[?]
        table = MutableHashTableV2
        missing = Const
        score = LookupTableFindV2 table city missing
        """,
    ),
)

_STATIC = ("HashTable", "HashTableV2", "AnonymousHashTable")


def check(export: Export) -> Iterator[Finding]:
    """Finds static tables whose content reaches an output and that neither the init op nor the request fills."""
    for signature in export.inference():
        trace = export.trace(signature.name)
        read: Set[Origin] = set().union(*trace.influences.values())
        filled = export.written(INIT) | export.written(signature.name)
        for place in trace.running:
            if place.node.op not in _STATIC:
                continue
            table = resource(place.graph, place.node)
            if table in read and table not in filled:
                yield RULE.finding(
                    f"{place} is looked up and nothing fills it, so every request fails; "
                    "export the model with the table's initializer (TF1: main_op=tables_initializer())",
                    signature.name,
                    place.node.name,
                )
