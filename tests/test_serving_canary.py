"""The canary: what it compares, how it decides, and that a version that fails is taken away again."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from serving import prediction_logs, records
from serving.canary import command, trial
from serving.canary.asking import Asked, Seconds, ask
from serving.canary.comparing import Latency, compare, latencies, same_order
from serving.canary.deciding import Criterion, Limits, decide, passed
from serving.canary.questions import Question, gather
from serving.canary.report import Report
from serving.canary.trial import Trial
from serving.client.errors import Refused, Unavailable
from serving.client.transport import Answer
from serving.releases.config import State
from serving.releases.errors import ReleaseError
from serving.releases.releasing import promote
from signatures.errors import UsageError
from tests.release_site import Site
from tests.running_server import ROW

QUESTION = Question("serving_default", ROW, "golden")
RELAXED = Limits(slower=1000.0)
"""Latency of a shared machine is not what these tests are about."""


def answers(old: Any, new: Any, signature: str = "s", output: str = "score") -> Asked:
    return Asked(Question(signature, [], "live"), {output: np.array(old)}, {output: np.array(new)})


def test_scores_are_compared_in_standard_deviations() -> None:
    # Differences 1, 1, 1, 1: mean 1. Old scores 0, 2, 0, 2: standard deviation 1. Order: 0 < 2 kept in all 4 pairs.
    found = compare([answers([0.0, 2.0], [1.0, 3.0]), answers([0.0, 2.0], [1.0, 3.0])], {})
    assert [(each.place, each.requests, each.cells) for each in found] == [("s/score", 2, 4)]
    assert (found[0].mean, found[0].largest, found[0].relative, found[0].order) == (1.0, 1.0, 1.0, 1.0)


def test_order_counts_pairs() -> None:
    # Pairs of 1, 2, 3 -> 2, 1, 3: (1, 2) is turned round, (1, 3) and (2, 3) are not.
    assert same_order(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0])) == pytest.approx(2 / 3)
    assert same_order(np.array([1.0, 2.0]), np.array([5.0, 5.0])) == 0.5
    assert same_order(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None
    assert same_order(np.array([1.0]), np.array([1.0])) is None


def test_lists_are_ranked_row_by_row() -> None:
    # Each row keeps its order; between the rows everything is turned round, which is nobody's business.
    found = compare([answers([[1.0, 2.0], [11.0, 12.0]], [[21.0, 22.0], [1.0, 2.0]])], {"s": "rank"})
    assert found[0].order == 1.0


def test_new_nan_is_counted_and_old_is_not() -> None:
    found = compare([answers([1.0, np.nan, 3.0], [np.nan, np.nan, 3.0])], {})
    assert (found[0].not_finite, found[0].mean) == (1, 0.0)
    assert compare([answers([1.0], [np.inf])], {"s": "embedding"})[0].not_finite == 1


def test_items_found_are_compared_as_sets() -> None:
    # 2 of 3, and 3 of 3 in another order: 5/6.
    found = compare([answers([[1, 2, 3], [4, 5, 6]], [[1, 2, 9], [6, 5, 4]], output="item_id")], {"s": "retrieve"})
    assert found[0].overlap == pytest.approx(5 / 6) and found[0].mean is None


def test_embeddings_of_another_training_are_not_compared_by_value() -> None:
    found = compare([answers([[1.0, 2.0]], [[-1.0, -2.0]])], {"s": "embedding"})
    assert (found[0].mean, found[0].order, found[0].not_finite) == (None, None, 0)


@pytest.mark.parametrize("new", [[[1.0]], [1], [1.0, 2.0]])
def test_another_shape_or_type_is_told(new: Any) -> None:
    found = compare([answers([1.0], new)], {})
    assert (found[0].shapes, found[0].cells) == (1, 0)
    assert not passed(decide([], found, None, None, Limits()))


def test_an_output_that_is_gone_is_told() -> None:
    gone = Asked(QUESTION, {"score": np.array([1.0])}, {})
    assert compare([gone], {})[0].shapes == 1


def failing(found: List[Criterion]) -> List[str]:
    return [each.name for each in found if each.passed is False]


@pytest.mark.parametrize(
    ("limits", "failed"),
    [(Limits(), []), (Limits(difference=0.9), ["difference"]), (Limits(difference=1.0), []),
     (Limits(order=1.0), []), (Limits(difference=0.1, order=1.01), ["difference", "order"])],
)
def test_limits_decide(limits: Limits, failed: List[str]) -> None:
    found = compare([answers([0.0, 2.0], [1.0, 3.0])], {})
    assert failing(decide([], found, None, None, limits)) == failed


def test_latency_decides_by_ratio_and_slack() -> None:
    old = Latency(100, 10.0, 20.0, 30.0)
    for p50, p95, failed in ((16.0, 31.0, []), (16.1, 31.0, ["latency p50"]), (10.0, 31.1, ["latency p95"])):
        assert failing(decide([], [], old, Latency(100, p50, p95, 99.0), Limits(slower=1.5, slack_ms=1.0))) == failed
    few = decide([], [], Latency(19, 1.0, 1.0, 1.0), Latency(19, 99.0, 99.0, 99.0), Limits())
    assert [each.passed for each in few if each.name == "latency"] == [None] and passed(few)


def test_percentiles_are_measured_values() -> None:
    old, new = latencies(Seconds([0.001 * i for i in range(1, 101)], []))
    assert old is not None and new is None
    assert old.requests == 100 and [old.p50, old.p95, old.p99] == pytest.approx([50.0, 95.0, 99.0])


class Imitation:
    """A client whose versions answer or raise what they are told."""

    def __init__(self, **versions: Any) -> None:
        self.versions, self.order = versions, []  # type: Any, List[int]

    def predict(self, model: str, inputs: Any, signature: str, version: int) -> Answer:
        self.order.append(version)
        said = self.versions[f"v{version}"]
        if isinstance(said, Exception):
            raise said
        return Answer({"score": np.array([said])}, version)


def test_what_only_the_old_version_answers_fails_and_what_only_the_new_one_does_not() -> None:
    for versions, failed, unanswered in (({"v1": 1.0, "v2": Refused("bad")}, ["answers"], 0),
                                         ({"v1": Refused("bad"), "v2": 1.0}, [], 1)):
        client: Any = Imitation(**versions)
        asked, taken = ask(client, "m", (1, 2), [QUESTION], 0.05)
        assert failing(decide(asked, [], None, None, Limits())) == failed
        assert sum(each.old is None for each in asked) == unanswered and taken.old == []
    gone: Any = Imitation(v1=1.0, v2=Unavailable("away"))
    with pytest.raises(Unavailable):
        ask(gone, "m", (1, 2), [QUESTION], 0.0)


def test_versions_take_turns_at_being_first() -> None:
    client: Any = Imitation(v1=1.0, v2=1.0)
    _, taken = ask(client, "m", (1, 2), [QUESTION], 0.02)
    assert client.order[2:10] == [2, 1, 1, 2, 2, 1, 1, 2] and len(taken.old) == len(taken.new)
    client.order.clear()
    ask(client, "m", (1, 2), [QUESTION, QUESTION], 0.02)
    # Two questions: each of them meets the versions in both orders.
    assert client.order[4:12] == [2, 1, 1, 2, 1, 2, 2, 1]


def test_a_good_canary_stays_under_its_label_and_can_be_promoted(site: Site) -> None:
    site.add(1 + 2, golden=6.0)
    promote(site.place(), "sum", 1)
    seen: List[Report] = []
    report = trial.run(site.place(), "sum", None, Trial(seconds=0.3, limits=RELAXED), seen.append)
    assert report.passed and seen == [report] and report.questions == {"golden": 1}
    assert site.state() == State(frozenset({1, 3}), {"stable": 1, "canary": 3}) and site.loaded() == [3, 1]
    assert promote(site.place(), "sum", None) == 3
    assert site.state() == State(frozenset({3}), {"stable": 3})


def test_a_bad_canary_is_taken_away(site: Site) -> None:
    """Version 2 scores 100 more; the spread of a lone score is the score, 6, so it is 100 / 6 away."""
    site.add(2, golden=106.0)
    promote(site.place(), "sum", 1)
    before, seen = site.file.path.read_text(), []  # type: str, List[Report]
    with pytest.raises(ReleaseError, match="fails: difference of serving_default/score is 16.7 .*everything is as it"):
        trial.run(site.place(), "sum", 2, Trial(seconds=0, limits=RELAXED), seen.append)
    assert len(seen) == 1 and not seen[0].passed
    assert site.file.path.read_text() == before and site.loaded() == [1]
    assert site.steps()[-2:] == [("release", "failed"), ("undo", "done")]


def test_live_requests_are_sampled(site: Site, tmp_path: Path) -> None:
    site.add(3)
    promote(site.place(), "sum", 1)
    with pytest.raises(UsageError, match="no request to compare sum by .there are none.; give some by --requests"):
        trial.run(site.place(), "sum", 3, Trial(seconds=0), lambda report: None)
    assert site.loaded() == [1]
    arrays = {"x": np.array([[1.0, 2.0]], np.float32), "ids": np.array([3]), "name": np.array([b"abc"], object)}
    file = tmp_path / "asked.tfrecord"
    file.write_bytes(records.encoded([prediction_logs.encoded("sum", "serving_default", arrays)] * 30))
    report = trial.run(site.place(), "sum", 3, Trial(live=file, sample=7, seconds=0, remove=True), lambda report: None)
    assert report.questions == {"live": 7} and report.passed
    assert site.loaded() == [1] and site.state() == State(frozenset({1}), {"stable": 1})
    lines = tmp_path / "asked.jsonl"
    lines.write_text(json.dumps({"inputs": ROW}) + "\n")
    assert [each.source for each in gather(tmp_path, tmp_path, lines, 5, 0)] == ["live"]


def test_the_stable_version_is_no_canary(site: Site) -> None:
    with pytest.raises(UsageError, match="version 1 of sum is what stable requests get already"):
        trial.run(site.place(), "sum", None, Trial(), lambda report: None)


def test_the_console_decides_and_reports(site: Site, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command.canary)
    site.add(3, golden=6.0)
    promote(site.place(), "sum", 1)
    files = [tmp_path / "found.json", tmp_path / "found.html"]
    where = ["--exports", str(site.folder), "--port", str(site.server.flags.port), "--seconds", "0.2"]
    where += ["--slower", "1000"]
    outputs = [word for file in files for word in ("--output", str(file))]
    good = CliRunner().invoke(app, ["sum", *where, *outputs, "--remove"])
    assert good.exit_code == 0, good.output
    assert "version 3 of sum may go on: taken away again" in good.output
    document = json.loads(files[0].read_text())
    assert document["passed"] and document["compared"][0]["order"] is None
    assert "version 3 of sum may go on" in files[1].read_text() and "http" not in files[1].read_text()
    site.add(4, golden=106.0)
    bad = CliRunner().invoke(app, ["sum", "4", *where, *outputs])
    assert bad.exit_code == 1 and "fails: difference" in bad.output
    assert json.loads(files[0].read_text())["passed"] is False
    wrong = CliRunner().invoke(app, ["sum", *where, "--output", "found.pdf"])
    assert isinstance(wrong.exception, UsageError)


def test_records_are_tensorflows_own(tmp_path: Path) -> None:
    """Written here and read by TensorFlow, and the other way round."""
    import tensorflow as tf

    content = [b"", b"a", bytes(range(256)) * 5]
    file = tmp_path / "ours"
    file.write_bytes(records.encoded(content))
    assert list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()) == content
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in content:
            writer.write(record)
    assert list(records.read(tmp_path / "theirs")) == content


@pytest.mark.parametrize(("cut", "flip"), [(-1, None), (5, None), (None, 3), (None, 14)])
def test_damaged_records_are_refused(tmp_path: Path, cut: Optional[int], flip: Optional[int]) -> None:
    content = bytearray(records.encoded([b"abcdef"])[:cut])
    if flip is not None:
        content[flip] ^= 1
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        list(records.read(tmp_path / "file"))


def test_a_log_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(records.encoded([struct.pack("<Q", 2**63)]))
    with pytest.raises(UsageError, match="record 1 of .* is no PredictionLog"):
        prediction_logs.read(tmp_path / "file")


def test_logs_of_tensorflow_are_read(tmp_path: Path) -> None:
    """Its writer shortens a tensor of equal values, and leaves the signature's default name away."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(tf.constant(3.0, shape=[2, 2])))
    short = log.predict_log.response.outputs["y"]
    short.dtype, short.tensor_shape.dim.add().size = tf.int64.as_datatype_enum, 3
    short.int64_val.extend([1, 2])
    (tmp_path / "file").write_bytes(records.encoded([log.SerializeToString()]))
    found = prediction_logs.read(tmp_path / "file")
    assert found[0].signature == "serving_default" and found[0].inputs["x"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert found[0].outputs["y"].tolist() == [1, 2, 2]
