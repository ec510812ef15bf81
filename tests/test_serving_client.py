"""The client: what it refuses to send, how it pads, and that every way to a model gives the same answer."""

from __future__ import annotations

import socket
import threading
from typing import Any, Dict, Iterator, List

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.client.client import Client
from serving.client.contract import Contract, Tensor
from serving.client.encode import encode
from serving.client.errors import (
    ClientError,
    DeadlineExceeded,
    NotFound,
    Refused,
    RequestError,
    ServerFailed,
    Unavailable,
    from_code,
    from_http_status,
)
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.transport import Target, Transport
from tests.fixtures_serving import ECHOED, Address, free_port, same

SUM = Contract(
    "sum", "serving_default",
    {"x": Tensor("float32", (None, 2)), "ids": Tensor("int64", (None,)), "name": Tensor("string", (None,))},
    {"score": Tensor("float32", (None,)), "letters": Tensor("int32", (None,))},
)
LISTS = Contract(
    "lists", "rank",
    {
        "history": Tensor("int64", (None, None), "history_length", 3),
        "history_rating": Tensor("float32", (None, None), "history_length", 3),
        "history_length": Tensor("int64", (None,)),
        "genres": Tensor("string", (None, None, None), "genres_length"),
        "genres_length": Tensor("int64", (None, None)),
    },
    {"score": Tensor("float32", (None, None))},
)
ROW: Dict[str, Any] = {"x": [[1, 2]], "ids": [3], "name": ["abc"]}


def transports(address: Address) -> List[Transport]:
    return [GrpcTransport("127.0.0.1", address.port), RestTransport("127.0.0.1", address.rest_port)]


@pytest.fixture(params=[0, 1], ids=["grpc", "rest"])
def client(address: Address, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(transports(address)[request.param]) as opened:
        yield opened


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"idz": [3]}, ["no input 'idz'", "did you mean 'ids'?"]),
        ({"zzzzzz": [3]}, ["no input 'zzzzzz'", "it has ids, name, x"]),
        ({"x": [[1, 2, 3]]}, ["'x' should have shape [any, 2]", "received [1, 3]"]),
        ({"x": [1, 2]}, ["'x' should have shape [any, 2]", "received [2]"]),
        ({"ids": 3}, ["'ids' should have shape [any]", "received []"]),
        ({"x": [[1, 2], [3]]}, ["'x' should have equally long lists", "[1, 2]"]),
        ({"x": [[1, [2]]]}, ["'x' should have lists of equal depth"]),
        ({"ids": [1.0]}, ["'ids' should be int64", "float 1.0"]),
        ({"ids": [True]}, ["'ids' should be int64", "bool True"]),
        ({"ids": ["3"]}, ["'ids' should be int64", "str '3'"]),
        ({"ids": [2**63]}, ["'ids' should be int64", "does not fit"]),
        ({"ids": np.array([1.0])}, ["'ids' should be int64", "array of float64"]),
        ({"name": [7]}, ["'name' should be string", "int 7"]),
        ({"x": [[True, 2]]}, ["'x' should be float32", "bool True"]),
        ({"ids": [3, 4]}, ["same number of rows", "1 and 2"]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes: Dict[str, Any], words: List[str]) -> None:
    with pytest.raises(RequestError) as caught:
        encode(SUM, {**ROW, **changes})
    assert all(word in str(caught.value) for word in words), caught.value


def test_missing_input_is_named() -> None:
    with pytest.raises(RequestError, match="needs ids, name; received x"):
        encode(SUM, {"x": [[1, 2]]})


def test_rows_and_columns_are_the_same() -> None:
    rows = [{"x": [1, 2], "ids": 3, "name": "abc"}, {"x": [4, 5], "ids": 6, "name": ""}]
    columns = {"x": [[1, 2], [4, 5]], "ids": [3, 6], "name": ["abc", ""]}
    from_rows, from_columns = encode(SUM, rows), encode(SUM, columns)
    assert all(same(from_rows[name], from_columns[name]) for name in SUM.inputs)
    assert from_rows["x"].dtype == np.float32 and from_rows["name"].tolist() == [b"abc", b""]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "length 0"),
        ([1], "list of rows"),
        ([{"x": [1, 2], "ids": 3, "name": "a"}, {"x": [1, 2], "ids": 3}], "row 1: .* needs name"),
        ([{"x": [1, 2], "ids": 3, "name": "a", "q": 1}], "row 0: .* no input 'q'"),
    ],
)
def test_bad_rows(rows: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        encode(SUM, rows)


def test_missing_cells_become_what_the_exports_read_as_missing() -> None:
    arrays = encode(SUM, {"x": [[None, 2]], "ids": [None], "name": [None]})
    assert np.isnan(arrays["x"][0, 0]) and arrays["ids"].tolist() == [-1] and arrays["name"].tolist() == [b""]


def test_ragged_lists_are_cut_to_the_newest_padded_and_counted() -> None:
    arrays = encode(LISTS, {
        "history": [[1, 2, 3, 4], [5], []], "history_rating": [[0.1, 0.2, 0.3, 0.4], [0.5], []],
        "genres": [[["a", "b"], []], [["c"], ["d", "e", "f"]], [[], []]],
    })
    assert arrays["history"].tolist() == [[2, 3, 4], [5, 0, 0], [0, 0, 0]]
    assert arrays["history_rating"].tolist() == np.array([[0.2, 0.3, 0.4], [0.5, 0, 0], [0, 0, 0]], np.float32).tolist()
    assert arrays["history_length"].tolist() == [3, 1, 0]
    assert arrays["genres_length"].tolist() == [[2, 0], [1, 3], [0, 0]]
    assert arrays["genres"].tolist() == [
        [[b"a", b"b", b""], [b"", b"", b""]], [[b"c", b"", b""], [b"d", b"e", b"f"]], [[b"", b"", b""], [b"", b"", b""]]
    ]


def test_given_length_is_kept_and_checked() -> None:
    given_length = {"history": [[1, 2], [3, 0]], "history_rating": [[1, 2], [3, 0]], "history_length": [2, 1],
                    "genres": [[["a"]], [["b"]]]}
    assert encode(LISTS, given_length)["history_length"].tolist() == [2, 1]
    with pytest.raises(RequestError, match="'history_length' should lie between 0 and the 2 cells"):
        encode(LISTS, {**given_length, "history_length": [3, 1]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"history_rating": [[1.0]]}, r"'history' and 'history_rating' share 'history_length'.*\[2\] and \[1\]"),
        ({"history": [1, 2]}, "'history' should have a list on axis 1"),
        ({"genres": [["a"]]}, "'genres' should have a list on axis 2"),
        ({"genres": [[["a"]], [["b"], ["c"]]]}, r"'genres' should have equally long lists on axis 1.*\[1, 2\]"),
    ],
)
def test_bad_lists(changes: Dict[str, Any], words: str) -> None:
    inputs = {"history": [[1, 2]], "history_rating": [[1.0, 2.0]], "genres": [[["a"]]], **changes}
    with pytest.raises(RequestError, match=words):
        encode(LISTS, inputs)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), min_size=1, max_size=4))
def test_padding_loses_only_the_oldest(lists: List[List[int]]) -> None:
    contract = Contract("m", "s", {"a": Tensor("int64", (None, None), "n", 4), "n": Tensor("int64", (None,))}, {})
    arrays = encode(contract, {"a": lists})
    valid = [row[:length] for row, length in zip(arrays["a"].tolist(), arrays["n"].tolist())]
    assert valid == [row[-4:] for row in lists]


def test_arrays_of_the_right_type_pass_untouched() -> None:
    x = np.array([[1, 2]], np.float32)
    assert encode(SUM, {**ROW, "x": x})["x"] is x
    assert encode(SUM, {**ROW, "ids": np.array([3], np.int32)})["ids"].dtype == np.int64
    assert encode(SUM, {**ROW, "name": np.array(["abc"])})["name"].tolist() == [b"abc"]


def test_predict_names_what_comes_back(client: Client) -> None:
    answer = client.predict("sum", ROW)
    assert same(answer.outputs["score"], np.array([6], np.float32))
    assert same(answer.outputs["letters"], np.array([3], np.int32))
    assert set(client.predict("sum", {"x": [[1, 2]]}, "one").outputs) == {"y"}  # REST itself drops the name
    assert set(client.predict("sum", ROW, outputs=["score"]).outputs) == {"score"}


def test_lengths_are_filled_from_the_server_s_metadata(client: Client) -> None:
    # (5 + 7) * (1 + 0.5), and nothing; `history_rating` shares the length of `history` by its name.
    rows: Any = [{"history": [5, 7], "history_rating": [0.5, 0]}, {"history": [], "history_rating": []}]
    assert client.predict("ragged", rows).outputs["score"].tolist() == [18.0, 0.0]


@pytest.mark.parametrize("dtype", [dtype for dtype in ECHOED if dtype not in ("float16", "bfloat16", "uint16")])
def test_grpc_and_rest_give_what_was_sent(address: Address, dtype: str) -> None:
    values: Dict[str, Any] = {"string": [b"\xc3\xa9", b"", b"a\x00\n\""], "bool": [True, False, True],
                              "float32": [0.1, float("nan"), -3e38], "float64": [0.1, float("-inf"), 1e-300]}
    sent = np.array(values.get(dtype, [0, 1, 100]), object if dtype == "string" else dtype)
    for transport in transports(address):
        with Client(transport) as asking:
            assert same(asking.predict("echo", {"v": sent}, dtype).outputs["v"], sent)


def test_bytes_that_are_no_text(client: Client) -> None:
    sent = np.array([b"\xff\xfe", b"\x80"], object)
    assert same(client.predict("echo", {"v": sent}, "bytes").outputs["raw_bytes"], sent)
    assert same(client.predict("echo", {"v": sent}, "string").outputs["v"], sent)


def test_every_way_gives_the_same_scores(embedded: Address, model_folder: Any) -> None:
    import tensorflow as tf

    function = tf.saved_model.load(str(model_folder / "sum" / "3")).signatures["serving_default"]
    random = np.random.default_rng(0)
    columns = {"x": random.normal(size=(200, 2)).astype(np.float32), "ids": random.integers(-9, 9, 200),
               "name": np.array([b"n" * (i % 7) for i in range(200)], object)}
    expected = function(**{name: tf.constant(array) for name, array in columns.items()})
    for transport in transports(embedded):
        with Client(transport) as asking:
            found = asking.predict("sum", columns).outputs
        assert all(same(found[name], expected[name].numpy()) for name in expected)


def test_errors_of_the_server(client: Client) -> None:
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(nope\)"):
        client.predict("nope", {})
    with pytest.raises(NotFound, match="Could not find any versions of model nope"):
        client.status("nope")
    with pytest.raises(Refused, match="Unrecognized servable version label: nolabel"):
        client.predict("sum", ROW, label="nolabel")
    with pytest.raises(RequestError, match="no signature 'nope'; it has one, scalar, serving_default"):
        client.predict("sum", ROW, "nope")
    with pytest.raises(RequestError, match="no output 'nope'; it has letters, score"):
        client.predict("sum", ROW, outputs=["nope"])


def test_status(client: Client) -> None:
    told, = client.status("sum")
    assert (told.version, told.state, told.error) == (3, "AVAILABLE", "")


def test_contract_is_asked_for_once_and_again_after_a_refusal(embedded: Address) -> None:
    with Client(GrpcTransport("127.0.0.1", embedded.port)) as asking:
        asking.predict("sum", ROW)
        first = asking.contract(Target("sum"))
        assert asking.contract(Target("sum")) is first
        outdated = Contract("sum", "serving_default", {"q": Tensor("int64", (None,))}, {})
        asking._session._contracts[Target("sum")] = outdated
        with pytest.raises(Refused):
            asking.predict("sum", {"q": [1]})
        assert asking.contract(Target("sum")) == first


def test_nobody_there() -> None:
    port = free_port()
    for transport in (GrpcTransport("127.0.0.1", port), RestTransport("127.0.0.1", port)):
        with Client(transport) as asking, pytest.raises(Unavailable, match=f"{port} is not reachable") as caught:
            asking.status("sum")
        assert caught.value.retry


def test_deadline() -> None:
    """A server that takes the connection and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        rest: Any = Client(RestTransport("127.0.0.1", port), deadline_seconds=0.2)
        with rest as asking, pytest.raises(DeadlineExceeded):
            asking.status("sum")
        over_grpc: Any = Client(GrpcTransport("127.0.0.1", port), deadline_seconds=0.2)
        with over_grpc as asking, pytest.raises((DeadlineExceeded, Unavailable)):
            asking.status("sum")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>", ServerFailed),
        (200, b'{"predictions": 1}', ServerFailed),
        (200, b'{"outputs": {"score": "x", "letters": [1]}}', ServerFailed),
        (500, b"oops", ServerFailed),
        (502, b"<html>", Unavailable),
        (503, b"", Unavailable),
        (400, b'{"error": "no"}', Refused),
        (401, b"[]", Refused),
    ],
)
def test_strange_answers(status: int, body: bytes, expected: Any) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    client = Client(RestTransport(transport=answer))
    client._session._contracts[Target("sum")] = SUM
    with pytest.raises(expected) as caught:
        client.predict("sum", ROW)
    assert type(caught.value) is expected
    client.close()


def test_retry_is_said_by_the_type() -> None:
    again = {code: from_code(code, "").retry for code in
             ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL")}
    assert again == {"UNAVAILABLE": True, "RESOURCE_EXHAUSTED": True, "DEADLINE_EXCEEDED": True,
                     "INVALID_ARGUMENT": False, "NOT_FOUND": False, "INTERNAL": False}
    assert from_http_status(503, "").retry and not from_http_status(400, "").retry
    assert issubclass(RequestError, ClientError) and not RequestError.retry


def test_one_client_for_many_threads(client: Client) -> None:
    found: List[Any] = []

    def ask(number: int) -> None:
        for _ in range(20):
            found.append((number, client.predict("sum", {**ROW, "ids": [number]}).outputs["score"][0]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160 and all(score == 3 + number for number, score in found)
