"""What is compared, how large it is and what is to be reached. The goals are ratios, the peer's time over Signet's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, Optional, Tuple

from tests.benchmarks.peers.work import Settings

PEERS, SIGNET = "peers", "signet"
"""The environments."""


@dataclass(frozen=True)
class Side:
    """Who is measured, where, and by which function of this package."""

    name: str
    environment: str
    what: str
    """MODULE:FUNCTION of `settings`, which returns a `Work`."""


@dataclass(frozen=True)
class Comparison:
    """One row of the table."""

    name: str
    title: str
    peer: Side
    signet: Side
    goal: Optional[float]
    """The least ratio that is hoped for; None where none was set."""
    settings: Settings
    before: Tuple[Side, ...] = ()
    """What must be prepared once, such as the exports that a server is to serve."""
    note: str = ""
    quick: Settings = field(default_factory=dict)
    """What is smaller in a trial that only shows that it runs."""
    bytes_goal: Optional[float] = None
    """Where requests are compared too: how many times fewer bytes are hoped for."""

    def quickly(self) -> Comparison:
        """The same, small."""
        return replace(self, settings={**self.settings, **self.quick})


def _lint(name: str, module: str, command: str) -> Comparison:
    return Comparison(
        name=name,
        title=f"Linting an export of DIN, process included: {command}",
        peer=_serving("import_tensorflow", "import tensorflow"),
        signet=_serving("lint"),
        goal=25.0,
        settings={**DIN, "calls": 1, "linter": module},
        quick={"items": 500, "categories": 20},
        note="what a linter that loads the model with TensorFlow would cost before its first line",
    )


def _retrieval(queries: int, how: str, function: str, goal: Optional[float]) -> Comparison:
    said = f"{queries} queries" if queries > 1 else "one query"
    return Comparison(
        name=f"retrieve-{function.replace('_', '-')}-{queries}",
        title=f"Best 100 of 1,000,000 items, {said}, {how}",
        peer=_tfrs("TFRS BruteForce", "brute_force"),
        signet=Side("Signet", SIGNET, f"{_module('signet_retrieval')}:{function}"),
        goal=goal,
        settings={"items": 1_000_000, "width": 64, "queries": queries, "calls": 4 if queries > 1 else 16},
        quick={"items": 4_000, "width": 16, "calls": 2},
        note="vectors of 64 in clusters, lengths differ; Signet's answer has the ids and leaves out what is excluded",
    )


def _module(name: str) -> str:
    return f"tests.benchmarks.peers.{name}"


def _deepctr(function: str) -> Side:
    return Side("DeepCTR", PEERS, f"{_module('deepctr_side')}:{function}")


def _tfrs(name: str, function: str) -> Side:
    return Side(name, PEERS, f"{_module('tfrs_side')}:{function}")


def _training(function: str) -> Side:
    return Side("Signet", SIGNET, f"{_module('signet_training')}:{function}")


def _serving(function: str, name: str = "Signet") -> Side:
    return Side(name, SIGNET, f"{_module('signet_serving')}:{function}")


MLP = {"hidden": [256, 128]}
DEEPFM = {**MLP, "width": 16, "batch": 4096}
DIN = {**MLP, "width": 32, "attention": [80, 40], "items": 100_000, "categories": 1_000}
RANKED = {"candidates": 300, "calls": 20}
TRAINED = "encoded ids in memory on both sides; DeepCTR with its default l2, Signet with lazy updates and none"
LOOKED_UP = "Signet takes raw ids and looks them up in vocabularies inside the graph; DeepCTR takes rows of its tables"


def _train_deepfm(rows: int, said: str, goal: float, peer_steps: int, signet_steps: int) -> Comparison:
    return Comparison(
        name=f"train-deepfm-{said}",
        title=f"Training DeepFM, 26 + 13 fields, {rows:,} embedding rows, batch 4,096",
        peer=_deepctr("train_deepfm"),
        signet=_training("train_deepfm"),
        goal=goal,
        settings={**DEEPFM, "rows": rows, "peer_steps": peer_steps, "signet_steps": signet_steps},
        quick={"rows": 26_000, "batch": 256, "peer_steps": 2, "signet_steps": 2},
        note=f"{TRAINED}; a number is a field of Signet's DeepFM, an input of DeepCTR's MLP",
    )


def _rank_din(history: int, goal: float) -> Comparison:
    return Comparison(
        name=f"rank-din-{history}",
        title=f"Ranking 300 candidates with DIN, history of {history}",
        peer=_deepctr("rank_din"),
        signet=_serving("rank_din"),
        goal=goal,
        settings={**DIN, **RANKED, "history": history},
        quick=_QUICK_RANK,
        note=f"calls of the loaded exports in process. {LOOKED_UP}. DeepCTR's history is padded to 50",
    )


_QUICK_RANK = {"items": 500, "categories": 20, "rows": 2_600, "candidates": 20, "calls": 2}


def _grpc(model: str, settings: Settings, goal: Optional[float], bytes_goal: Optional[float]) -> Comparison:
    exports = (_deepctr(f"export_{model}"), _serving(f"export_{model}"))
    return Comparison(
        name=f"grpc-rank-{model}",
        title=f"gRPC, 300 candidates with {'DIN' if model == 'din' else 'DeepFM'}, client to client",
        peer=_serving(f"grpc_peer_{model}", "DeepCTR"),
        signet=_serving(f"grpc_rank_{model}"),
        goal=goal,
        settings={**settings, **RANKED, "calls": 10},
        before=exports,
        quick=_QUICK_RANK,
        note="both exports behind Signet's embedded server, both asked by its client; ids int64 on both sides",
        bytes_goal=bytes_goal,
    )


COMPARISONS: Tuple[Comparison, ...] = (
    _train_deepfm(100_000, "100k", 1.1, 10, 10),
    _train_deepfm(1_000_000, "1m", 2.0, 6, 10),
    _train_deepfm(10_000_000, "10m", 30.0, 1, 10),
    Comparison(
        name="train-din",
        title="Training DIN, history of 50, attention 80-40 with Dice, batch 1,024",
        peer=_deepctr("train_din"),
        signet=_training("train_din"),
        goal=1.5,
        settings={**DIN, "batch": 1024, "peer_steps": 4, "signet_steps": 4},
        quick={"items": 500, "categories": 20, "batch": 64, "peer_steps": 2, "signet_steps": 2},
        note=f"{TRAINED}; histories of 1 to 50",
    ),
    Comparison(
        name="train-two-tower",
        title="Training two towers, MovieLens-100K's shape, in-batch softmax, batch 2,048",
        peer=_tfrs("TFRS", "train_two_tower"),
        signet=_training("train_two_tower"),
        goal=None,
        settings={
            "users": 943, "items": 1682, "width": 64, "hidden": [128], "output": 64, "batch": 2048, "peer_steps": 20,
            "signet_steps": 20,
        },
        quick={"batch": 64, "peer_steps": 2, "signet_steps": 2},
        note="the same towers and TFRS's own loss on both sides; its model has Keras' Adam, Signet lazy updates",
    ),
    _rank_din(50, 2.2),
    _rank_din(25, 3.3),
    Comparison(
        name="rank-deepfm",
        title="Ranking 300 candidates with DeepFM, 13 user and 13 item fields, 1,000,000 embedding rows",
        peer=_deepctr("rank_deepfm"),
        signet=_serving("rank_deepfm"),
        goal=2.3,
        settings={**MLP, **RANKED, "width": 16, "rows": 1_000_000},
        quick=_QUICK_RANK,
        note=f"calls of the loaded exports in process. {LOOKED_UP}",
    ),
    _grpc("din", {**DIN, "history": 50}, 3.0, 40.0),
    _grpc("deepfm", {**MLP, "width": 16, "rows": 1_000_000}, None, None),
    _retrieval(1, "every item scored", "exact", None),
    _retrieval(32, "every item scored", "exact", None),
    _retrieval(1, "inverted file in stock ops", "inverted_file", 7.0),
    _retrieval(32, "inverted file in stock ops", "inverted_file", 2.5),
    _retrieval(1, "ScaNN", "scann", 20.0),
    _retrieval(32, "ScaNN", "scann", 30.0),
    _lint("lint", "pipeline.entry", "signet lint"),
    _lint("lint-alone", "signatures", "python -m signatures lint"),
)

BY_NAME: Dict[str, Comparison] = {comparison.name: comparison for comparison in COMPARISONS}
LIMITS = Side("limits", SIGNET, f"{_module('limits')}:measure")
