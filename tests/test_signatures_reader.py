"""Reading SavedModels, the hostile ones too: every refusal is one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signatures.errors import UsageError
from signatures.lint import lint
from signatures.reader import FILE, LARGEST, read
from tests.saved_model_files import message, save, write

EXAMPLE = """
    input price float32[?]
    input k int32[]
    output score float32[?] = call
    call = StatefulPartitionedCall price weight f=@twice
    function twice(x, handle) -> product:z:0 ^count
      value = ReadVariableOp handle dtype=float32
      product = Mul x value:value:0
      count = NoOp
    weight = VarHandleOp shared_name='w'
    asset path vocabulary.txt missing
    path = Placeholder
    load = NoOp
    init load
    """


def refused(path: Path) -> str:
    """The sentence with which the linter refuses a path."""
    with pytest.raises(UsageError) as caught:
        lint(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_model_is_read_as_plain_data(tmp_path: Path) -> None:
    model = read(write(tmp_path, EXAMPLE))
    assert set(model.signatures) == {"serving_default"}
    signature = model.signatures["serving_default"]
    assert (signature.inputs["price"].dtype, signature.inputs["price"].shape) == ("float32", (None,))
    assert signature.inputs["k"].shape == ()
    assert signature.outputs["score"].tensors == ("call:0",)
    assert model.graph.nodes["call"].functions == ("twice",)
    assert model.graph.nodes["weight"].attributes["shared_name"] == b"w"
    twice = model.functions["twice"]
    assert (twice.arguments, twice.returns, twice.control_returns) == (("x", "handle"), ("product:z:0",), ("count",))
    assert twice.nodes["value"].attributes["dtype"] == "float32"
    assert model.init == ("load",)
    assert [(asset.tensor, asset.filename, asset.present) for asset in model.assets] == [
        ("path:0", "vocabulary.txt", False)
    ]


def test_tf1_init_op_is_found_in_its_collection(tmp_path: Path) -> None:
    content = message("input price float32[?]\noutput score float32[?] = price\nsetup = NoOp")
    content.meta_graphs[0].collection_def["legacy_init_op"].node_list.value.append("setup")
    assert read(save(tmp_path, content)).init == ("setup",)


def test_composite_inputs_have_several_tensors(tmp_path: Path) -> None:
    content = message("input price float32[?]\noutput score float32[?] = price\nv = NoOp")
    inputs = content.meta_graphs[0].signature_def["serving_default"].inputs
    inputs["sparse"].coo_sparse.values_tensor_name = "v:0"
    inputs["sparse"].coo_sparse.indices_tensor_name = "i:0"
    inputs["sparse"].coo_sparse.dense_shape_tensor_name = "s:0"
    inputs["ragged"].composite_tensor.components.add(name="flat")
    inputs["ragged"].composite_tensor.components.add(name="splits:1")
    signature = read(save(tmp_path, content)).signatures["serving_default"]
    assert signature.inputs["sparse"].tensors == ("v:0", "i:0", "s:0")
    assert signature.inputs["ragged"].tensors == ("flat:0", "splits:1")


def test_newest_version_is_taken_by_number(tmp_path: Path) -> None:
    for version in ("9", "10", "nine", "11²"):
        write(tmp_path / version, EXAMPLE)
    assert read(tmp_path).path.name == "10"


def test_meta_graph_for_serving_is_taken(tmp_path: Path) -> None:
    content = message("input a float32[?]\noutput score float32[?] = a", tags=("serve", "gpu"))
    plain = message("input b float32[?]\noutput score float32[?] = b")
    content.meta_graphs.append(plain.meta_graphs[0])
    assert set(read(save(tmp_path, content)).signatures["serving_default"].inputs) == {"b"}


def test_no_folder(tmp_path: Path) -> None:
    assert "is no folder" in refused(tmp_path / "nothing")


def test_empty_folder(tmp_path: Path) -> None:
    assert "holds neither saved_model.pb nor a version folder" in refused(tmp_path)


def test_newest_version_without_model(tmp_path: Path) -> None:
    write(tmp_path / "1", EXAMPLE)
    (tmp_path / "2").mkdir()
    assert "2, the newest version, holds no saved_model.pb" in refused(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt"])
def test_other_forms_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert name in refused(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    file = write(tmp_path, EXAMPLE) / FILE
    file.write_bytes(file.read_bytes()[:kept])
    refused(tmp_path)


def test_not_a_proto(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff" * 100)
    assert "is no SavedModel, is cut short" in refused(tmp_path)


def test_deeply_nested_proto(tmp_path: Path) -> None:
    """A list attribute in a list attribute, and so on, 5,000 deep: more than a parser's stack may take."""
    content = b""
    for _ in range(5000):
        content = b"\x0a" + _varint(len(content)) + content
    (tmp_path / FILE).write_bytes(b"\x12" + _varint(len(content)) + content)
    refused(tmp_path)


def test_no_serve_tag(tmp_path: Path) -> None:
    assert "no meta graph tagged 'serve'" in refused(write(tmp_path, EXAMPLE, tags=("train",)))


def test_larger_than_a_proto_can_be(tmp_path: Path) -> None:
    with open(tmp_path / FILE, "wb") as file:
        file.truncate(LARGEST + 1)  # a sparse file: it takes no room, and must not be read
    assert "larger than 2 GiB" in refused(tmp_path)


def test_model_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert "no regular file" in refused(tmp_path)


def test_model_is_a_link_out_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "other", EXAMPLE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / FILE).symlink_to(tmp_path / "other" / FILE)
    assert "is a link out of" in refused(tmp_path / "model")


def test_model_is_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "gone")
    assert "broken link" in refused(tmp_path)


def test_link_within_the_folder_is_fine(tmp_path: Path) -> None:
    """Kubernetes mounts files so: the name is a link into a hidden folder beside it."""
    write(tmp_path / "..data", EXAMPLE)
    (tmp_path / FILE).symlink_to(Path("..data") / FILE)
    assert set(read(tmp_path).signatures) == {"serving_default"}


def test_asset_is_a_link_out_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "model", EXAMPLE)
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    (tmp_path / "model" / "assets").mkdir()
    (tmp_path / "model" / "assets" / "vocabulary.txt").symlink_to(tmp_path / "secret")
    assert "is a link out of" in refused(tmp_path / "model")


def test_unreadable_file(tmp_path: Path) -> None:
    file = write(tmp_path, EXAMPLE) / FILE
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ("input a float32[?]\noutput b float32[?] = gone", "reads 'gone:0', which is not there"),
        ("input a float32[?]\noutput b float32[?]\nb = Mul a gone:1", "node 'b' of the graph reads 'gone:1'"),
        ("input a float32[?] = gone\noutput b float32[?]\nb = Const", "input 'a' of signature 'serving_default'"),
        ("input a float32[?]\noutput b float32[?]\nb = PartitionedCall a f=@gone", "function 'gone' is called"),
        (
            "input a float32[?]\noutput b float32[?] = c:7\nc = PartitionedCall a f=@two\nfunction two(x) -> x, x\n",
            "'c:7' is read, but that node has 2 outputs",
        ),
        (
            "input a float32[?]\noutput b float32[?]\nb = PartitionedCall a f=@one\n"
            "function one(x) -> c:output:0\n  c = PartitionedCall x f=@two\n"
            "function two(x) -> c:output:0\n  c = StatelessIf x x then_branch=@one else_branch=@one",
            "calls itself",
        ),
    ],
)
def test_graph_that_contradicts_itself(tmp_path: Path, example: str, told: str) -> None:
    if "gone\n" in example and "input a float32[?] = gone" in example:
        content = message(example)
        nodes = [node for node in content.meta_graphs[0].graph_def.node if node.name != "gone"]
        del content.meta_graphs[0].graph_def.node[:]
        content.meta_graphs[0].graph_def.node.extend(nodes)
        assert told in refused(save(tmp_path, content))
    else:
        assert told in refused(write(tmp_path, example))


def test_two_nodes_of_one_name(tmp_path: Path) -> None:
    content = message(EXAMPLE)
    content.meta_graphs[0].graph_def.node.add(name="call", op="NoOp")
    assert "have the same name" in refused(save(tmp_path, content))


def test_function_without_a_return(tmp_path: Path) -> None:
    content = message(EXAMPLE)
    content.meta_graphs[0].graph_def.library.function[0].ret.clear()
    assert "does not say what its output" in refused(save(tmp_path, content))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_file_is_refused_or_linted(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a few flipped bytes make of it: findings or one sentence, never another exception."""
    content = bytearray(message(EXAMPLE).SerializeToString())
    places = st.integers(min_value=0, max_value=len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    (tmp_path / FILE).write_bytes(bytes(content))
    try:
        lint(tmp_path)
    except UsageError as error:
        assert "\n" not in str(error)


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + _varint(rest)
