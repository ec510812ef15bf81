"""Raw rows to a prepared folder: shards, histories, parts, vocabularies, statistics, checks, then one rename."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Dict, Optional

import pyarrow as pa
from rich.console import Console

from pipeline import prepared, publishing
from pipeline import schema as schemas
from pipeline.preparation import assembly, checks, entities, parts, progress, splits, spool, vocabularies
from pipeline.preparation.learning import learn, require_two_classes
from pipeline.preparation.options import Options, Plan, plan
from pipeline.preparation.spool import Spool
from pipeline.prepared import Facts, Prepared
from pipeline.sources import locate, tables
from pipeline.sources.source import Source
from signatures.errors import UsageError


def prepare(dataset: Optional[str], output: Path, options: Options, console: Optional[Console] = None) -> Prepared:
    """Prepares a named data set, or the table of the options, into the folder `output`; see `prepare_source`."""
    console = console or Console(stderr=True)
    return prepare_source(find(dataset, options, console), output, options, console)


def find(dataset: Optional[str], options: Options, console: Console) -> Source:
    """The source that a name or the options mean. Raises UsageError when it cannot be had."""
    if options.table is None and options.schema_path is None:
        return locate.find(dataset, options.size, options.seed, console)
    if options.table is None or options.schema_path is None:
        raise UsageError("a table and its schema belong together; give both, or neither")
    if dataset is not None:
        raise UsageError(f"data set {dataset!r} and table {options.table} exclude each other; drop one of them")
    return tables.read(options.table, schemas.load(options.schema_path), options.form)


def prepare_source(source: Source, output: Path, options: Options, console: Console) -> Prepared:
    """Prepares the rows of a source into the folder `output`.

    Does nothing when the folder holds the same already. However it ends, the folder is whole: as before, or new.
    Raises UsageError for what a person can mend, naming file, row and column where there is one.
    """
    planned = plan(source, options)
    if _is_prepared(output, planned.fingerprint):
        console.print(f"{output} is up to date ({source.dataset}, {planned.fingerprint}); nothing to do", markup=False)
        return prepared.load(output)
    for label in planned.layout.supposed_labels:
        console.print(
            f"{source.dataset} has no column {label!r}: each row counts as an event that happened", markup=False
        )
    with publishing.replacing(output) as work:
        _write(planned, work, console)
    found = prepared.load(output)
    counts = ", ".join(f"{found.facts.rows[part]:,} {part}" for part in splits.PARTS)
    console.print(f"{output}: {source.dataset}, rows: {counts}", markup=False)
    return found


def _is_prepared(output: Path, fingerprint: str) -> bool:
    if not output.exists():
        return False
    if not output.is_dir() or (any(output.iterdir()) and not (output / "facts.json").is_file()):
        raise UsageError(f"output {output} exists and is no prepared data set; choose another folder or remove it")
    try:
        return prepared.load(output).facts.fingerprint == fingerprint
    except UsageError:  # of an older form, or damaged: made anew
        return False


def _write(planned: Plan, work: Path, console: Console) -> None:
    source, by = planned.source, planned.layout.schema.roles.user if planned.by_user else None
    with progress.stage(console, "Reading rows", source.rows) as advance:
        spooled = spool.write(source, work / "spool", by, advance)
    pa.default_memory_pool().release_unused()
    with progress.stage(console, "Writing rows", spooled.rows) as advance:
        rows = _write_rows(planned, spooled, work, advance)
    shutil.rmtree(work / "spool")
    with progress.stage(console, "Learning", 1):
        facts = _learn(planned, rows, work)
    schemas.save(planned.layout.schema, work / "schema.yaml")
    (work / "facts.json").write_text(facts.model_dump_json(indent=1), encoding="utf-8")
    with progress.stage(console, "Checking", 1):
        checks.verify(work, planned)


def _assigner(planned: Plan, spooled: Spool) -> assembly.Assign:
    fractions, seed = planned.options.fractions, planned.options.seed
    if planned.split == "leave_one_out":
        return lambda shard: splits.leave_one_out(shard.users)
    if planned.split == "time":
        time = str(planned.layout.schema.roles.time)
        found = splits.thresholds(lambda: spooled.batches(time), fractions)
        return lambda shard: splits.by_time(shard.times, found)
    if planned.split == "order":
        return lambda shard: splits.by_order(shard.positions, spooled.rows, fractions)
    if planned.split == "published":
        held_out = planned.source.held_out
        return lambda shard: splits.published(shard.positions, spooled.rows, held_out, seed, fractions[0])
    return lambda shard: splits.at_random(shard.positions, seed, fractions)


def _write_rows(planned: Plan, spooled: Spool, work: Path, advance: Callable[[int], None]) -> Dict[str, int]:
    """Writes the three parts, and users.parquet where a user's rows are together. Returns the rows by part."""
    layout, raw, assign = planned.layout, spooled.schema, _assigner(planned, spooled)
    times = [history.times for history in layout.histories]
    with ExitStack() as stack:
        schema = assembly.arrow_schema(layout, raw)
        opening = [parts.writing(work / part, schema, times, many=part == "train") for part in splits.PARTS]
        writers = [stack.enter_context(opened) for opened in opening]
        users = None
        if planned.by_user:
            users = stack.enter_context(parts.writing_file(work / "users.parquet", assembly.users_schema(layout, raw)))
        for path in spooled.shards:
            shard = assembly.shard(spooled.read(path), layout, planned.source, planned.by_user)
            for part, table in assembly.rows(shard, layout, assign(shard)):
                writers[part].write(table)
                advance(table.num_rows)
            if users is not None:
                users.write_table(assembly.users(shard, layout))
            path.unlink()
            pa.default_memory_pool().release_unused()
    return {part: writer.rows for part, writer in zip(splits.PARTS, writers)}


def _learn(planned: Plan, rows: Dict[str, int], work: Path) -> Facts:
    layout, source, train = planned.layout, planned.source, work / "train"
    if not rows["train"]:
        raise UsageError(f"data set {source.dataset!r}: no row is left for training; give more rows or another split")
    require_two_classes(train, layout)
    learned = learn(train, layout, planned.options.seed)
    (work / "vocabularies").mkdir()
    for table, entries in learned.vocabularies.items():
        vocabularies.write(entries, work / "vocabularies" / f"{table}.txt")
    if layout.schema.roles.item is not None:
        parts.write_table(entities.items(work, layout, source), work / "items.parquet")
    if layout.schema.roles.user is not None and not planned.by_user:
        parts.write_table(entities.users(work, layout), work / "users.parquet")
    return Facts(
        dataset=source.dataset,
        synthetic=source.synthetic,
        fingerprint=planned.fingerprint,
        rows=rows,
        vocabulary_sizes={table: len(entries) for table, entries in learned.vocabularies.items()},
        statistics=learned.statistics,
        positives_only=layout.positives_only,
    )
