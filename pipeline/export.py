"""From a trained model to a version that a server may pick up: work folder, gates, one rename."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import tensorflow as tf

from pipeline import inference, requests, saved_models, warm_up, wire
from pipeline.builder import Built
from pipeline.gates import Candidate, check
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.retrieval import exported
from pipeline.rows import Rows
from signatures import manifest as manifests
from signatures.errors import UsageError
from signatures.manifest import Data, Feature, Gate, Manifest

SERVER_IMAGE = "tensorflow/serving:2.16.1"
SCANN_IMAGE = "google/tf-serving-scann:2.11.0"
"""The last server published with ScaNN's ops."""
GATED_ROWS = 64
"""Real rows that the gates ask each signature with."""
GOLDEN_ROWS = 8


@dataclass(frozen=True)
class Figures:
    """What the model reached on the test part, and what popularity does."""

    model: Mapping[str, float]
    popularity: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """What came of an export: the gates, and the version's folder if all of them passed."""

    gates: Tuple[Gate, ...]
    version: Optional[Path]


def export(built: Built, prepared: Prepared, figures: Figures, exports: Path, allow_breaking: bool = False) -> Outcome:
    """Publishes the next version under EXPORTS/MODEL, or nothing. Raises UsageError for a folder it cannot write."""
    home = exports / built.experiment.model
    work = _work_folder(exports)
    try:
        candidate = write_candidate(built, prepared, figures, work, home)
        gates = check(replace(candidate, allow_breaking=allow_breaking))
        if not all(gate.passed for gate in gates):
            return Outcome(gates, None)
        manifests.write(candidate.manifest.model_copy(update={"gates": gates}), candidate.folder)
        return Outcome(gates, publish(candidate.folder, home))
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"export folder {exports} cannot be written ({reason}); free some space or name another with --exports"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_candidate(built: Built, prepared: Prepared, figures: Figures, work: Path, home: Path) -> Candidate:
    """Everything of an export but the gates' report, in the work folder."""
    items = load_items(prepared) if prepared.items.exists() else None
    searched = exported.searched(built, prepared, items)
    signatures = inference.signatures(built, items, searched.catalogues if searched else None)
    rows = requests.sample(built, prepared, GATED_ROWS)
    asked = {s.name: requests.request(s, built, rows, items) for s in signatures}
    expected = {s.name: expected_answers(built, s, asked[s.name]) for s in signatures}
    folder = work / "candidate"
    saved_models.save(signatures, built.encoder, folder)
    saved_models.save_training_graph(built, work / "training_graph")
    manifest = _manifest(built, prepared, figures, signatures, next_version(home))
    retrieval = exported.measured(built, prepared, signatures, searched) if searched else {}
    manifest = manifest.model_copy(update={"retrieval": retrieval, **_server(folder)})
    manifests.write(manifest, folder)
    warm_up.write(folder, manifest, asked)
    _write_golden(folder, built, signatures, asked)
    live = versions(home)[-1:]
    return Candidate(
        folder,
        manifest,
        work / "training_graph",
        asked,
        expected,
        live[0] if live else None,
        figures.model,
        _floor(built, figures),
        recall_floor=built.experiment.gates.retrieval_recall,
    )


def _server(folder: Path) -> Dict[str, Any]:
    """What the manifest says of the server: ops beyond the stock one's, and the image that has them."""
    ops = saved_models.extra_ops(folder)
    scann = any(op.startswith("Scann>") for op in ops)
    return {"extra_ops": ops, "server_image": SCANN_IMAGE if scann else SERVER_IMAGE}


def expected_answers(built: Built, signature: inference.InferenceSignature, rows: Rows) -> wire.Arrays:
    """What the served signature must answer: pointwise, the training graph's own predictions."""
    if signature.name != "serving_default":
        return wire.call(signature.trace(), signature.inputs, rows)
    encoded = built.encoder(wire.tensors(signature.inputs, rows))
    scores = inference.answers(built, built.graph(encoded, training=False))
    return {name: score.numpy() for name, score in scores.items()}


def publish(folder: Path, home: Path) -> Path:
    """One rename to the next version's number; a server that polls sees all of it or nothing."""
    home.mkdir(parents=True, exist_ok=True)
    while True:
        place = home / str(next_version(home))
        try:
            os.rename(folder, place)
            return place
        except OSError:
            # Somebody else published this number between our look and our rename.
            if not place.exists():
                raise


def versions(home: Path) -> Tuple[Path, ...]:
    """The published versions of a model, oldest first."""
    found = [path for path in home.glob("*") if re.fullmatch(r"[0-9]+", path.name)]
    return tuple(sorted(found, key=lambda path: int(path.name)))


def next_version(home: Path) -> int:
    found = versions(home)
    return int(found[-1].name) + 1 if found else 1


def _work_folder(exports: Path) -> Path:
    """Beside the models, so that the rename stays on one file system, and under a name no server takes for a model."""
    try:
        exports.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".work-", dir=exports))
    except OSError as error:
        raise UsageError(
            f"export folder {exports} cannot be written ({error.strerror}); "
            "make it writable or name another with --exports"
        ) from error


def _floor(built: Built, figures: Figures) -> Dict[str, Tuple[float, str]]:
    gates = built.experiment.gates
    floor = {gates.metric: (gates.minimum, "gates.minimum")}
    beaten = figures.popularity.get(gates.metric)
    if gates.above_popularity and beaten is not None and beaten > gates.minimum:
        floor[gates.metric] = (beaten, "popularity")
    return floor


def _manifest(
    built: Built,
    prepared: Prepared,
    figures: Figures,
    signatures: Tuple[inference.InferenceSignature, ...],
    version: int,
) -> Manifest:
    features = [
        Feature(
            name=f.name, side=f.side, kind=f.kind, dtype=f.columns()[0].dtype, inputs=tuple(c.name for c in f.columns())
        )
        for f in built.schema.features
    ]
    return Manifest(
        model=built.experiment.model,
        version=version,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        schema_hash=built.schema.hash,
        features=tuple(features),
        training_only=prepared.schema.training_only,
        signatures={s.name: s.described() for s in signatures},
        server_image=SERVER_IMAGE,
        metrics=dict(figures.model),
        data=Data(
            name=prepared.facts.dataset, fingerprint=prepared.facts.fingerprint, synthetic=prepared.facts.synthetic
        ),
        code_commit=commit(),
    )


def _write_golden(
    folder: Path, built: Built, signatures: Tuple[inference.InferenceSignature, ...], asked: Mapping[str, Rows]
) -> None:
    """The first rows of each request, with the answers to them alone: `k` is the largest of a request."""
    (folder / "golden").mkdir()
    for signature in signatures:
        first = {name: cells[:GOLDEN_ROWS] for name, cells in asked[signature.name].items()}
        first = {name: cells for name, cells in first.items() if name in signature.inputs}
        answers = expected_answers(built, signature, first)
        wire.save_json(folder / "golden" / f"{signature.name}.json", signature.name, first, answers)


def commit() -> str:
    """The commit of the code, or "unknown" where it runs outside a checkout."""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
