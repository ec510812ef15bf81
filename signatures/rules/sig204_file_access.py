"""A signature, or the loading of the model, reads or writes files of the host.

Why: the path exists on the machine that exported the model. Elsewhere loading fails, or a request writes to a disk.

Bad: `tf.io.read_file` in a signature, debugging ops, a table whose initializer reads `/tmp/vocabulary.txt`.

Good: vocabularies are assets (`tf.lookup.TextFileInitializer` with a tracked file): the export carries them.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import INIT, Export
from signatures.findings import Finding, Rule
from signatures.ops import touches_files

RULE = Rule(
    code="SIG204",
    name="file_access",
    severity="error",
    bad=(
        """
        input path string[?]
        output content string[?]
        content = ReadFile path
        """,
        """
        input price float32[?]
        output score float32[?] = price
        table = HashTableV2
        path = Const
        load = InitializeTableFromTextFileV2 table path
        init load
        """,
        """
        input price float32[?]
        output score float32[?]
        log = PrintV2 price output_stream='file:///tmp/log'
        score = Identity price ^log
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        table = HashTableV2
        asset path vocabulary.txt
        path = Placeholder
        load = StatefulPartitionedCall path table f=@load_table
        function load_table(file, handle) -> done:output:0 ^fill
          fill = InitializeTableFromTextFileV2 handle file
          done = Const
        init load
        missing = Const
        score = LookupTableFindV2 table price missing
        log = PrintV2 price output_stream='stderr'
        save = SaveV2 path
        """,
        """
        input price float32[?]
        output score float32[?] = price
        asset path vocabulary.txt
        path = Placeholder
        kept = VarHandleOp
        keep = AssignVariableOp kept path
        file = ReadVariableOp kept ^keep
        table = HashTableV2
        load = InitializeTableFromTextFileV2 table file
        init load
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds file ops that run; at load, those whose file is no asset of the export."""
    for signature in export.inference():
        for place in export.trace(signature.name).running:
            if touches_files(place.node):
                yield RULE.finding(
                    f"{place} reads or writes a file of the server's host at every request; "
                    "pass the content as an input, or make the file an asset read at load",
                    signature.name,
                    place.node.name,
                )
    for op, origins in export.trace(INIT).files.items():
        if not any(origin.kind == "asset" for origin in origins):
            yield RULE.finding(
                f"{op.name!r} opens a file at load that is no asset of the export, so another machine cannot load it; "
                "track the file as a tf.saved_model.Asset",
                INIT,
                op.name,
            )
