"""Files made to hang, exhaust or mislead the linter: findings or one sentence, in bounded time and memory.

Times are of the processor and generous: what they guard against takes hours, or never ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from signatures import manifest, slimming, sources
from signatures.errors import UsageError
from signatures.findings import Finding
from signatures.lint import lint
from signatures.reader import FILE, read
from tests.saved_model_files import message, save, write

ROOT = Path(__file__).resolve().parent.parent
HEAD = "input price float32[?]\ninput mask float32[?]\n"
SECONDS = 20


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Every test of this file ends in time."""
    started = time.process_time()
    yield
    assert time.process_time() - started < SECONDS


def linted(folder: Path, lines: List[str]) -> List[Finding]:
    return lint(write(folder, HEAD + "\n".join(lines)))


def refused(folder: Path, lines: List[str]) -> str:
    """The one sentence that is said of a model."""
    with pytest.raises(UsageError) as caught:
        linted(folder, lines)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_five_thousand_nested_calls(tmp_path: Path) -> None:
    lines = ["output score float32[?] = call", "call = PartitionedCall price mask f=@f0"]
    for n in range(5000):
        lines += [f"function f{n}(x, y) -> call:output:0", f"  call = PartitionedCall x y f=@f{n + 1}"]
    lines += ["function f5000(x, y) -> sum:z:0", "  sum = AddV2 x y"]
    (finding,) = [each for each in linted(tmp_path, lines) if each.rule == "SIG101"]
    assert "AddV2 'sum' of function f5000" in finding.message


@pytest.mark.parametrize("op", ["PartitionedCall {} {} f=@f{}", "If {} {} {} then_branch=@f{} else_branch=@f{}"])
def test_sixty_two_way_calls_are_not_two_to_the_sixtieth(tmp_path: Path, op: str) -> None:
    def call(first: str, second: str, n: int) -> str:
        names = (first, first, second) if op.startswith("If") else (first, second)
        return op.format(*names, n, n)

    lines = ["output score float32[?] = call", f"call = {call('price', 'mask', 0)}"]
    for n in range(60):
        lines += [f"function f{n}(x, y) -> second:output:0, first:output:1"]
        lines += [f"  first = {call('x', 'y', n + 1)}"]
        lines += [f"  second = {call('first:output:1', 'first:output:0', n + 1)}"]
    lines += ["function f60(x, y) -> sum:z:0, x", "  sum = AddV2 x y"]
    assert [each.rule for each in linted(tmp_path, lines) if each.severity == "error"] == ["SIG101"]


def test_chain_of_a_hundred_thousand_nodes(tmp_path: Path) -> None:
    lines = ["output score float32[?] = n100000", "n0 = Mul price mask"]
    lines += [f"n{n + 1} = AddV2 n{n} n{n}" for n in range(100_000)]
    (finding,) = [each for each in linted(tmp_path, lines) if each.rule == "SIG101"]
    assert "at Mul 'n0'" in finding.message


@pytest.mark.parametrize(
    "lines",
    [
        ["call = PartitionedCall price f=@f", "function f(x) -> c:output:0", "  c = PartitionedCall x f=@f"],
        ["call = PartitionedCall price f=@f", "function f(x) -> c:output:0", "  c = PartitionedCall x f=@g"]
        + ["function g(x) -> c:output:0", "  c = StatelessIf x x then_branch=@f else_branch=@h"]
        + ["function h(x) -> x"],
        ["call = StatelessWhile price cond=@g body=@f", "function g(x) -> x", "function f(x) -> c:output:0"]
        + ["  c = StatelessWhile x cond=@g body=@f"],
        ["call = MapDefun price f=@f", "function f(x) -> c:output:0", "  c = ReduceDataset x f=@f"],
        ["call = f price", "function f(x) -> c:output:0", "  c = f x"],
    ],
    ids=["itself", "each other", "loop", "unknown op", "op of its name"],
)
def test_functions_that_call_themselves(tmp_path: Path, lines: List[str]) -> None:
    assert "calls itself" in refused(tmp_path, ["output score float32[?] = call", *lines])


def test_graph_that_goes_round(tmp_path: Path) -> None:
    """A cycle without the ops of a TF1 loop: no server runs it, and every walk must end."""
    lines = ["output score float32[?] = a", "a = AddV2 b price", "b = Identity c", "c = Mul a mask ^a"]
    assert [each.rule for each in linted(tmp_path, lines) if each.severity == "error"] == ["SIG101"]


def test_function_body_that_goes_round(tmp_path: Path) -> None:
    lines = ["output score float32[?] = call", "call = PartitionedCall price mask f=@f"]
    lines += ["function f(x, y) -> a:output:0", "  a = Identity b:output:0", "  b = Identity a:output:0"]
    linted(tmp_path, lines)


def test_nested_tf1_loops_in_the_worst_order(tmp_path: Path) -> None:
    """2,000 loop variables, each taken from the next: a source comes round after 2,000 sweeps, if one sweeps."""
    count = 2000
    lines = ["output score float32[?] = exit0", "limit = Const", "going = LoopCond limit"]
    for n in range(count):
        lines += [f"enter{n} = Enter {'mask' if n == count - 1 else 'price'}", f"merge{n} = Merge enter{n} next{n}"]
        lines += [f"switch{n} = Switch merge{n} going", f"exit{n} = Exit switch{n}"]
        lines += [f"next{n} = NextIteration switch{min(n + 1, count - 1)}:1"]
    assert "SIG101" in [each.rule for each in linted(tmp_path, lines)]


def test_tf1_loop_round_an_op_of_several_outputs_comes_to_an_end(tmp_path: Path) -> None:
    lines = ["output score float32[?] = exit", "limit = Const", "going = LoopCond limit", "enter = Enter mask"]
    lines += ["merge = Merge enter next", "switch = Switch merge going", "exit = Exit switch"]
    lines += ["both = IdentityN switch:1 price", "next = NextIteration both"]
    assert "SIG101" in [each.rule for each in linted(tmp_path, lines)]


def test_loop_with_two_thousand_variables_that_all_mix(tmp_path: Path) -> None:
    count = 2000
    names = [f"x{n}" for n in range(count)]
    lines = ["output score float32[?] = loop", f"loop = While {'price ' * (count - 1)}mask cond=@g body=@f"]
    lines += [f"function g({', '.join(names)}) -> x0"]
    lines += [f"function f({', '.join(names)}) -> {', '.join(['mixed:sum:0'] * count)}"]
    lines += [f"  mixed = AddN {' '.join(names)}"]
    try:
        assert "SIG101" in [each.rule for each in linted(tmp_path, lines)]
    except UsageError as error:
        assert "too entangled" in str(error)


def test_sets_of_sources_that_grow_without_end(tmp_path: Path) -> None:
    """Every node of a long chain reads one variable more: 30,000 sets of up to 30,000 sources."""
    count = 30_000
    lines = ["output score float32[?] = n0", f"n{count} = Mul price mask"]
    for n in range(count):
        lines += [f"v{n} = VarHandleOp", f"n{n} = AddV2 n{n + 1} v{n}"]
    linted(tmp_path, lines)


def test_work_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIMIT", 1000)
    lines = ["output score float32[?] = n2000", "n0 = Mul price mask"]
    lines += [f"n{n + 1} = AddV2 n{n} n{n}" for n in range(2000)]
    assert "too entangled: tracing it takes more than 1,000 steps" in refused(tmp_path, lines)


def test_hundred_signatures_over_one_large_graph(tmp_path: Path) -> None:
    lines = ["output score float32[?] = n5000", "n0 = Mul price mask"]
    lines += [f"n{n + 1} = AddV2 n{n} n{n}" for n in range(5000)]
    for n in range(100):
        lines += [f"signature s{n}", *HEAD.splitlines(), "output score float32[?] = n5000"]
    try:
        assert len([each for each in linted(tmp_path, lines) if each.rule == "SIG101"]) == 101
    except UsageError as error:
        assert "too entangled" in str(error)


def test_thousand_inputs_that_all_reach_a_thousand_outputs(tmp_path: Path) -> None:
    lines = [f"input mask{n} float32[?]" for n in range(1000)]
    lines += [f"output score{n} float32[?] = all" for n in range(1000)]
    lines += [f"all = AddN {' '.join(f'mask{n}' for n in range(1000))}", "output score float32[?] = all"]
    try:
        linted(tmp_path, lines)
    except UsageError as error:
        assert "too entangled" in str(error)


def test_names_that_are_too_long_or_not_printable(tmp_path: Path) -> None:
    told = refused(tmp_path / "1", ["output score float32[?]", f"score = {'Hash' * 1000} price"])
    assert "the file is damaged" in told and len(told) < 300
    content = message(f"{HEAD}output score float32[?]\nscore = Mul price mask")
    content.meta_graphs[0].graph_def.node[-1].op = "Mul\n::error::mine"
    with pytest.raises(UsageError, match="has the op name 'Mul.n::error::mine'"):
        lint(save(tmp_path / "2", content))


def test_function_without_a_name(tmp_path: Path) -> None:
    """It would pass for the main graph."""
    content = message(f"{HEAD}output score float32[?] = price")
    content.meta_graphs[0].graph_def.library.function.add()
    with pytest.raises(UsageError, match="a function has the name ''"):
        lint(save(tmp_path, content))


def test_two_functions_of_one_name(tmp_path: Path) -> None:
    content = message(f"{HEAD}output score float32[?] = call\ncall = PartitionedCall price f=@f\nfunction f(x) -> x")
    library = content.meta_graphs[0].graph_def.library
    library.function.add().CopyFrom(library.function[0])
    assert lint(save(tmp_path / "same", content)) is not None
    library.function[1].control_ret["x"] = "x"
    with pytest.raises(UsageError, match="two functions have the name 'f'"):
        lint(save(tmp_path / "other", content))


def test_attribute_of_a_million_numbers_and_one_of_a_million_functions(tmp_path: Path) -> None:
    content = message(f"{HEAD}output score float32[?] = call\ncall = PartitionedCall price f=@f\nfunction f(x) -> x")
    node = next(each for each in content.meta_graphs[0].graph_def.node if each.name == "call")
    node.attr["numbers"].list.i.extend(range(1_000_000))
    node.attr["text"].s = b"x" * 50_000_000
    lint(save(tmp_path / "numbers", content))
    for _ in range(100_000):
        node.attr["more"].list.func.add(name="f")
    lint(save(tmp_path / "functions", content))


def test_file_and_its_split_form_together(tmp_path: Path) -> None:
    write(tmp_path, f"{HEAD}output score float32[?] = price")
    (tmp_path / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(UsageError, match="servers differ in which they load"):
        lint(tmp_path)


def test_newest_version_is_of_a_form_that_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "1", f"{HEAD}output score float32[?] = price")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(UsageError, match="2 holds saved_model.cpb, which is not read"):
        lint(tmp_path)


def test_asset_whose_name_is_none(tmp_path: Path) -> None:
    content = message(f"{HEAD}output score float32[?] = price\nasset path vocabulary.txt\npath = Placeholder")
    for name in ("", "a\nb", "x" * 5000, "../" * 50 + "etc/passwd", "/etc/passwd", "\0"):
        content.meta_graphs[0].asset_file_def[0].filename = name
        assert all("\n" not in each.message for each in lint(save(tmp_path, content)))


MANIFEST = manifest.PATH_IN_EXPORT


def test_manifest_that_leads_elsewhere_or_is_no_manifest(tmp_path: Path) -> None:
    file = write(tmp_path / "model", f"{HEAD}output score float32[?] = price") / MANIFEST
    file.parent.mkdir()
    (tmp_path / "secret").write_text("{}", encoding="utf-8")
    file.symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="is a link out of the export"):
        lint(tmp_path / "model")
    file.unlink()
    with open(file, "wb") as opened:
        opened.truncate(manifest.LARGEST + 1)
    with pytest.raises(UsageError, match="is larger than 16 MiB"):
        lint(tmp_path / "model")
    for text in ('{"a\\nb": 1}', "[" * 100_000, "\xff", '{"format": 1, "format": 2}', ""):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            lint(tmp_path / "model")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_variables_that_lead_elsewhere_are_not_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", f"{HEAD}output score float32[?] = price")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "large").write_bytes(b"x" * 1000)
    (folder / "variables").symlink_to(tmp_path / "others")
    assert read(folder).variable_bytes == 0
    (folder / "variables").unlink()
    (folder / "variables").mkdir()
    (folder / "variables" / "data").write_bytes(b"x" * 10)
    (folder / "variables" / "large").symlink_to(tmp_path / "others" / "large")
    assert read(folder).variable_bytes == 10


def _peak(script: str) -> int:
    """Bytes that a fresh interpreter held at most, as it says itself."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system does not tell how much memory a process held at most")
    script += "\nprint([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1]) * 1024


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + _varint(rest)


def _constant(name: str, size: int) -> bytes:
    """A node of a graph, up to the `size` bytes of its tensor's content, with which it ends."""
    inner = b"\x08\x01" + b"\x22" + _varint(size)  # TensorProto: dtype float, tensor_content
    for before, tag in (
        (b"", b"\x42"),  # AttrValue: tensor
        (b"\x0a\x05value", b"\x12"),  # entry of NodeDef.attr: key, value
        (b"\x0a" + _varint(len(name)) + name.encode() + b"\x12\x05Const", b"\x2a"),  # NodeDef: name, op, attr
        (b"", b"\x0a"),  # GraphDef: node
    ):
        inner = before + tag + _varint(len(inner) + size) + inner
    return inner


def _with_constants(folder: Path, sizes: List[int]) -> Path:
    """A model whose constants are holes in its file, which take no room on the disk."""
    content = message(f"{HEAD}output score float32[?]\nscore = Mul price mask")
    meta = content.meta_graphs[0]
    graph = meta.graph_def.SerializeToString()
    meta.ClearField("graph_def")
    rest = meta.SerializeToString()
    nodes = [_constant(f"c{n}", size) for n, size in enumerate(sizes)]
    length = len(graph) + sum(map(len, nodes)) + sum(sizes)
    head = rest + b"\x12" + _varint(length)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / FILE, "wb") as file:
        file.write(b"\x12" + _varint(len(head) + length) + head + graph)
        for node, size in zip(nodes, sizes):
            file.write(node)
            file.seek(size, os.SEEK_CUR)
        file.truncate()
    return folder


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "sizes",
    [[200 * MEGABYTE], [2000 * MEGABYTE], [50_000] * 4000, [5_000] * 40_000],
    ids=["200 MB in one", "2 GB in one", "200 MB in 4,000", "200 MB in 40,000"],
)
def test_memory_does_not_grow_with_the_constants(tmp_path: Path, sizes: List[int]) -> None:
    folder = _with_constants(tmp_path, sizes)
    script = "from pathlib import Path\nfrom signatures.lint import lint\n"
    script += f"found = lint(Path({str(folder)!r}))\nassert any(each.rule == 'SIG209' for each in found), found\n"
    # A process that lints a small model holds some 40 MB; 40,000 nodes take 60 more.
    assert _peak(script) < 200 * MEGABYTE


def test_graph_of_more_than_is_read(tmp_path: Path) -> None:
    """200 MB of constants that are too small to be left out one by one."""
    with pytest.raises(UsageError, match="holds more than 128 MiB of graph beside its constants"):
        lint(_with_constants(tmp_path, [1000] * 200_000))


def test_size_of_a_constant_is_known_though_it_is_not_read(tmp_path: Path) -> None:
    nodes = read(_with_constants(tmp_path, [3 * MEGABYTE, 10, 100_000])).graph.nodes
    assert [nodes[f"c{n}"].content_bytes for n in range(3)] == [3 * MEGABYTE, 0, 100_000]
    assert nodes["c0"].attributes["value"] == b"" and nodes["score"].inputs == ("price", "mask")


@pytest.mark.parametrize("large", [0, 1, 7, 64, 5000])
def test_what_is_left_parses_to_the_same_model(tmp_path: Path, large: int) -> None:
    """Leaving out constants of whatever size changes nothing but their content."""
    content = message(f"{HEAD}output score float32[?] = call\ncall = PartitionedCall price big f=@f\n"
                      "big = Const value=1\nfunction f(x, y) -> m:z:0\n  m = Mul x y\n  c = Const value=2")  # fmt: skip
    for node in _nodes(content):
        if node.op == "Const":
            node.attr["value"].tensor.Clear()
            node.attr["value"].tensor.float_val.extend([1.0] * 100)
            node.attr["text"].s = b"x" * 100
    left = type(content).FromString(slimming.slim(content.SerializeToString(), large, 1 << 20))
    lost = 0
    for node in _nodes(left):
        if slimming.CONTENT in node.attr:
            lost += node.attr[slimming.CONTENT].i
            del node.attr[slimming.CONTENT]
    for model in (left, content):
        for node in _nodes(model):
            node.attr["value"].tensor.ClearField("float_val")
            node.attr["text"].s = b""
            node.attr["T"].Clear()
    assert left == content
    # Two constants of 100 floats of 4 bytes and a text of 100: all of it, the texts' parts below the limit, or nothing.
    assert lost in ({0: 1000, 1: 1000, 7: 1000, 64: 1000, 5000: 0}[large],)


def _nodes(content: Any) -> List[Any]:
    graph = content.meta_graphs[0].graph_def
    return [*graph.node, *graph.library.function[0].node_def]
