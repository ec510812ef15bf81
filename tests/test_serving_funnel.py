"""The funnel over two imitated models, whose answers can be worked out by hand."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
import pyarrow as pa
import pytest

from serving.client.client import Client
from serving.client.errors import RequestError
from serving.client.transport import Answer, Target
from serving.funnel import Funnel, Recommendation, recommend, retrieve
from signatures.manifest import Data, Feature, Manifest, Signature, TensorInfo

LOWEST = float(np.finfo(np.float32).min)


def info(dtype: Any, axes: int, role: Any = "feature", length: Any = None) -> TensorInfo:
    return TensorInfo(dtype=dtype, shape=(None,) * axes, role=role, length=length)


def manifest(model: str, features: Sequence[Tuple[str, Any, Any]], signatures: Dict[str, Signature]) -> Manifest:
    declared = tuple(
        Feature(name=name, side=side, kind=kind, dtype="int64",
                inputs=(name, f"{name}_length") if kind in ("bag", "sequence") else (name,))
        for name, side, kind in features
    )
    return Manifest(model=model, version=1, created="2024-01-01T00:00:00Z", schema_hash="", features=declared,
                    training_only=(), signatures=signatures, server_image="", metrics={}, code_commit="",
                    data=Data(name="", fingerprint="", synthetic=True))


def retrieval(dtype: Any = "int64", **more: TensorInfo) -> Manifest:
    inputs = {"user_id": info("int64", 1), "k": info("int32", 1, "request"), **more,
              "exclude": info(dtype, 2, "request", "exclude_length"), "exclude_length": info("int64", 1, "length")}
    outputs = {"item_id": info(dtype, 2, "output"), "score": info("float32", 2, "output")}
    return manifest("two_tower", [("user_id", "user", "categorical")],
                    {"retrieve": Signature(inputs=inputs, outputs=outputs, kind="retrieve")})


def ranking(dtype: Any = "int64", outputs: Sequence[str] = ("score",)) -> Manifest:
    inputs = {"user_id": info("int64", 1), "history": info(dtype, 2, length="history_length"),
              "history_length": info("int64", 1, "length"), "item_id": info(dtype, 2), "year": info("float32", 2),
              "genres": info("string", 3, length="genres_length"), "genres_length": info("int64", 2, "length")}
    features: List[Tuple[str, Any, Any]] = [
        ("user_id", "user", "categorical"), ("history", "user", "sequence"), ("item_id", "item", "categorical"),
        ("year", "item", "numeric"), ("genres", "item", "bag"),
    ]
    scores = {name: info("float32", 2, "output") for name in outputs}
    return manifest("din", features, {"rank": Signature(inputs=inputs, outputs=scores, kind="rank")})


class Imitation:
    """Retrieves items 10, 20, 30, … that are not excluded; ranks by year, `like` by minus the year."""

    def __init__(self, strings: bool = False) -> None:
        self.strings = strings
        self.sent: Dict[str, Mapping[str, np.ndarray]] = {}

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Any, wanted: Sequence[str], seconds: float
    ) -> Answer:
        self.sent[target.signature] = arrays
        if target.signature == "rank_items":
            return Answer({"score": -arrays["item_id"].astype(np.float32)}, 1)
        if target.signature == "rank":
            return Answer({"score": arrays["year"], "like": -arrays["year"]}, 1)
        excluded = arrays["exclude"][0][:arrays["exclude_length"][0]].tolist()
        ids = [f"{n}".encode() if self.strings else n for n in (10, 20, 30)]
        kept = [item for item in ids if item not in excluded]
        fill = arrays["k"][0] - len(kept)  # a row's places beyond the items hold -1 or "" and the lowest score
        items = np.array([kept + [b"" if self.strings else -1] * fill], object if self.strings else np.int64)
        scores = np.array([[1 / (place + 1) for place in range(len(kept))] + [LOWEST] * fill], np.float32)
        return Answer({"item_id": items, "score": scores}, 1)

    def signatures(self, target: Target, seconds: float) -> Any:
        raise AssertionError("the manifests say it all")

    def status(self, target: Target, seconds: float) -> List[Any]:
        raise AssertionError("not asked")

    def close(self) -> None:
        pass


USER = {"user_id": 7, "history": [10, 30], "country": "nobody asks for this"}
ITEMS = {
    10: {"year": 1990.0, "genres": ["drama"]},
    20: {"year": 2001.0, "genres": ["comedy", "crime"]},
    30: {"year": 1995.0, "genres": []},
}


def test_candidates_are_ranked_with_their_features() -> None:
    imitation = Imitation()
    client = Client(imitation, {"two_tower": retrieval(), "din": ranking()})
    found = recommend(client, USER, ITEMS, exclude=[10], funnel=Funnel(candidates=5))
    # 10 is excluded; of 20 and 30, retrieved in this order, the younger ranks first.
    assert found == [Recommendation(20, 1.0, 2001.0), Recommendation(30, 0.5, 1995.0)]
    rank = imitation.sent["rank"]
    assert rank["item_id"].tolist() == [[20, 30]] and rank["user_id"].tolist() == [7]
    assert rank["history"].tolist() == [[10, 30]] and rank["history_length"].tolist() == [2]
    assert rank["genres_length"].tolist() == [[2, 0]]
    assert imitation.sent["retrieve"]["k"].tolist() == [5]


def test_model_that_holds_its_items_is_asked_by_ids_alone() -> None:
    held = ranking()
    features = ("user_id", "history", "history_length", "item_id")
    inputs = {name: held.signatures["rank"].inputs[name] for name in features}
    by_ids = Signature(inputs=inputs, outputs={"score": info("float32", 2, "output")}, kind="rank")
    held = held.model_copy(update={"signatures": {**held.signatures, "rank_items": by_ids}})
    imitation = Imitation()
    # No table of items is needed, and the imitation prefers small ids.
    found = recommend(Client(imitation, {"two_tower": retrieval(), "din": held}), USER, {}, exclude=[10])
    assert found == [Recommendation(20, 1.0, -20.0), Recommendation(30, 0.5, -30.0)]
    assert "rank" not in imitation.sent and set(imitation.sent["rank_items"]) == set(inputs)
    assert imitation.sent["rank_items"]["item_id"].tolist() == [[20, 30]]


def test_items_from_a_table_and_string_ids() -> None:
    table = pa.table({"item_id": ["10", "20", "30", "40"], "year": [1990.0, 2001.0, 1995.0, 2020.0],
                      "genres": [["drama"], ["comedy"], [], []]})
    client = Client(Imitation(strings=True), {"two_tower": retrieval("string"), "din": ranking("string")})
    user = {"user_id": 7, "history": ["10"]}
    assert [each.item for each in recommend(client, user, table, exclude=["20"])] == ["30", "10"]


def test_output_of_a_model_with_several_tasks() -> None:
    client = Client(Imitation(), {"two_tower": retrieval(), "din": ranking(outputs=("score", "like"))})
    assert [each.item for each in recommend(client, USER, ITEMS, funnel=Funnel(output="like"))] == [10, 30, 20]
    with pytest.raises(RequestError, match="ranks by like, score; received output None"):
        recommend(client, USER, ITEMS)


def test_tie_keeps_the_order_of_the_retrieval() -> None:
    client = Client(Imitation(), {"two_tower": retrieval(), "din": ranking()})
    items = {item: {**row, "year": 2000.0} for item, row in ITEMS.items()}
    assert [each.item for each in recommend(client, USER, items)] == [10, 20, 30]


def test_sequence_model_leaves_out_the_history() -> None:
    imitation = Imitation()
    client = Client(imitation, {"two_tower": retrieval(exclude_seen=info("bool", 1, "request"))})
    assert retrieve(client, USER) == [(10, 1.0), (20, 0.5), (30, pytest.approx(1 / 3))]
    assert imitation.sent["retrieve"]["exclude_seen"].tolist() == [True]


def test_manifest_speaks_for_its_own_version_alone() -> None:
    client = Client(Imitation(), {"din": ranking()})
    assert set(client.contract(Target("din", "rank", version=1)).inputs) == set(ranking().signatures["rank"].inputs)
    with pytest.raises(AssertionError, match="the manifests say it all"):
        client.contract(Target("din", "rank", version=2))


def test_nothing_retrieved_asks_no_ranking() -> None:
    imitation = Imitation()
    client = Client(imitation, {"two_tower": retrieval(), "din": ranking()})
    assert recommend(client, USER, ITEMS, exclude=[10, 20, 30]) == []
    assert "rank" not in imitation.sent


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, u, i: u.pop("history"), "user row lacks 'history', which model 'din' needs"),
        (lambda m, u, i: u.pop("user_id"), "user row lacks 'user_id', which model 'two_tower' needs"),
        (lambda m, u, i: i[20].pop("year"), "item row lacks 'year', which model 'din' needs"),
        (lambda m, u, i: i.pop(30), "the item table lacks item_id 30"),
        (lambda m, u, i: m.pop("din"), "the funnel needs the manifest of 'din'"),
        (lambda m, u, i: m.update(two_tower=ranking()), "has no signature that retrieves items"),
        (lambda m, u, i: m.update(din=retrieval()), "has no signature 'rank'"),
    ],
)
def test_what_is_missing_is_named(change: Any, words: str) -> None:
    manifests, user = {"two_tower": retrieval(), "din": ranking()}, dict(USER)
    items = {item: dict(row) for item, row in ITEMS.items()}
    change(manifests, user, items)
    with pytest.raises(RequestError, match=words):
        recommend(Client(Imitation(), manifests), user, items)


def test_table_without_the_ids() -> None:
    client = Client(Imitation(), {"two_tower": retrieval(), "din": ranking()})
    with pytest.raises(RequestError, match="has no column 'item_id'; it has year"):
        recommend(client, USER, pa.table({"year": [1.0]}))
    with pytest.raises(RequestError, match="received list"):
        recommend(client, USER, [ITEMS])
