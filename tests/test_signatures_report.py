"""The page and its pictures: what is shown, that it is whole and self-contained, and that a browser draws it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, List, Sequence, Set, Tuple

import pytest

from pipeline import inference, saved_models
from pipeline.items import load
from pipeline.models import registry
from pipeline.prepared import Prepared
from signatures import rules
from signatures.errors import UsageError
from signatures.examples import build
from signatures.export import Export
from signatures.findings import Finding
from signatures.lint import Result, examine, open_export
from signatures.report import page, stages
from signatures.report.drawing import svg
from signatures.report.layout import Spot, arrange
from signatures.report.picture import Key, Picture, picture
from tests import built_models

MASKED = """
training_only gate
input price float32[?]
input gate float32[?]
input colour int64[?]
output score float32[?] = call:1
output kept float32[?] = call
call = PartitionedCall price gate f=@both
function both(x, y) -> x, gated:z:0
  gated = Mul x y
"""
EXAMPLES = [text for module in rules.load() for text in (*module.RULE.bad, *module.RULE.good)]


def drawn(export: Export, name: str = "serving_default") -> Picture:
    return picture(export, export.model.signatures[name], examine(export).findings)


def names(shown: Picture, lines: Sequence[Any]) -> Set[Tuple[str, str]]:
    """Lines by the names of their ends; a stage's is that of its first culprit or op."""

    def name(key: Key) -> str:
        if key.kind == "stage":
            box = shown.boxes[key.place]
            return box.culprits[0][0] if box.culprits else box.ops[0]
        return (shown.inputs if key.kind == "input" else shown.outputs)[key.place].name

    return {(name(line.source), name(line.target)) for line in lines}


def drawings(html: str) -> List[ElementTree.Element]:
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def written(export: Export) -> str:
    """The page about one model; whatever it holds must be whole and its own."""
    html = page.html([page.section(export, examine(export))])
    assert len(drawings(html)) == len(export.model.signatures)
    assert not re.search(r"<script|<link|<img|@import|url\(|\ssrc=|href=\"(?!#)", html)
    assert re.findall(r"https?://[^\s\"<]*", html) == ["http://www.w3.org/2000/svg"] * len(export.model.signatures)
    return html


def test_way_of_a_mask_is_shown_through_the_function_up_to_the_output() -> None:
    shown = drawn(build(MASKED))
    leaks = names(shown, [line for line in shown.lines if line.leak])
    assert leaks == {("gate", "Mul 'gated'"), ("Mul 'gated'", "score")}
    others = names(shown, [line for line in shown.lines if not line.leak])
    assert others == {("price", "Mul 'gated'"), ("price", "kept")}
    (box,) = shown.boxes.values()
    assert [(name, [each.rule for each in found]) for name, found in box.culprits] == [("Mul 'gated'", ["SIG101"])]
    assert box.note == "1 op · in both"


def test_inputs_have_their_roles_and_unused_ones_are_told() -> None:
    shown = drawn(build("features price gate colour\n" + MASKED))
    roles = {port.name: (port.role, port.used) for port in shown.inputs.values()}
    assert roles == {"price": ("feature", True), "gate": ("training", True), "colour": ("feature", False)}
    undeclared = drawn(build("features price\n" + MASKED.replace("training_only gate", "")))
    assert {port.name: port.role for port in undeclared.inputs.values()}["gate"] == "undeclared"
    guessed = drawn(build(MASKED.replace("training_only gate", "").replace("gate", "click_mask")))
    assert {port.name: port.role for port in guessed.inputs.values()} == {
        "price": "unknown",
        "click_mask": "suspect",
        "colour": "unknown",
    }


def test_op_that_no_input_changes_stands_among_the_inputs() -> None:
    """Random numbers come from nowhere; their way to the output must be seen all the same."""
    shown = drawn(
        build(
            """
            features price
            input price float32[?]
            output score float32[?] = call
            call = PartitionedCall price f=@drop
            function drop(x) -> kept:z:0
              shape = Shape x
              draw = RandomUniform shape:output:0
              kept = Mul x draw:output:0
            """
        )
    )
    assert [(port.name, port.role) for port in shown.inputs.values()] == [
        ("price", "feature"),
        ("RandomUniform 'draw'", "source"),
    ]
    leaks = names(shown, [line for line in shown.lines if line.leak])
    assert ("RandomUniform 'draw'", "Mul") in leaks and ("Mul", "score") in leaks


@pytest.mark.parametrize(
    "way",
    [
        "state = VarHandleOp\nwrite = AssignVariableOp state gate\nread = ReadVariableOp state ^write\n"
        "score = Mul price read",
        "rows = Where gate\nshape = Shape rows\nscore = Mul price shape",
    ],
    ids=["variable", "shape"],
)
def test_way_that_is_in_no_value_is_drawn_too(way: str) -> None:
    export = build(f"training_only gate\ninput price float32[?]\ninput gate float32[?]\noutput score float32[?]\n{way}")
    shown = drawn(export)
    leaks = [line for line in shown.lines if line.leak]
    assert any(line.hidden for line in leaks) == ("state" in way), "a shape is in the graph, a variable between its ops"
    assert any(shown.inputs[line.source.place].name == "gate" for line in leaks if line.source.kind == "input")
    assert any(line.target.kind == "output" for line in leaks)
    written(export)


def test_what_runs_beside_the_way_is_told_and_what_is_not_there_is_not() -> None:
    export = build(
        "input price float32[?]\noutput score float32[?]\ncount = AssignAddVariableOp state price\n"
        "state = VarHandleOp\nscore = Identity price ^count"
    )
    lacking = Finding("SIG601", "error", "serving_default", "age", "input 'age' is not in the graph; export it again")
    (counted,) = (each for each in examine(export).findings if each.rule == "SIG203")
    shown = picture(export, export.model.signatures["serving_default"], [lacking, counted])
    assert [name for name, _ in shown.apart] == ["count"]


def test_branch_is_one_stage_and_holds_the_culprit_inside_it() -> None:
    shown = drawn(
        build(
            """
            training_only gate
            input price float32[?]
            input gate float32[?]
            input big bool[]
            output score float32[?] = choice
            choice = StatelessIf big price gate then_branch=@weigh else_branch=@keep
            function weigh(x, y) -> z:z:0
              z = Mul x y
            function keep(x, y) -> x
            """
        )
    )
    (box,) = shown.boxes.values()
    assert box.culprits[0][0] == "StatelessIf 'choice'" and "weigh" in box.note


def test_keys_of_a_parsed_example_stand_for_the_input_that_carries_them(tmp_path: Path) -> None:
    import tensorflow as tf

    class Parsing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serve(self, examples: Any) -> Any:
            described = {name: tf.io.FixedLenFeature([], tf.float32) for name in ("price", "mask")}
            found = tf.io.parse_example(examples, described)
            return {"score": found["price"] * found["mask"], "price": found["price"]}

    module = Parsing()
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    export = open_export(tmp_path, features=["price"])
    shown = drawn(export)
    assert {port.name: port.role for port in shown.inputs.values()} == {"mask": "undeclared", "price": "feature"}
    (culprit,) = {box.culprits[0][0] for box in shown.boxes.values()}
    leaks = names(shown, [line for line in shown.lines if line.leak])
    assert leaks == {("mask", culprit), (culprit, "score")} and culprit.startswith("Mul")
    written(export)


def chain(inputs: int) -> str:
    """A sum of many inputs, one after the other: as many stages as inputs."""
    lines = [f"input x{place} float32[?]" for place in range(inputs)]
    lines += [f"sum{place} = AddV2 {'x0' if place == 1 else f'sum{place - 1}'} x{place}" for place in range(1, inputs)]
    return "\n".join([*lines, f"output score float32[?] = sum{inputs - 1}"])


def test_long_chain_is_condensed_and_no_input_is_lost() -> None:
    shown = drawn(build(chain(40)))
    assert len(shown.boxes) == stages.STAGES + 20
    assert sorted(port.name for port in shown.inputs.values()) == sorted(f"x{place}" for place in range(40))
    assert {line.source.place for line in shown.lines if line.source.kind == "input"} == set(range(40))
    assert sum(int(box.note.split()[0]) for box in shown.boxes.values()) == 39


def test_culprit_is_not_condensed_away() -> None:
    shown = drawn(build("training_only x7\n" + chain(40)))
    culprits = [(box, box.culprits) for box in shown.boxes.values() if box.culprits]
    assert [(culprit[0][0], box.note.split(" · ")[0]) for box, culprit in culprits] == [("AddV2 'sum7'", "1 op")]


def test_function_that_calls_two_that_call_two_is_drawn_in_time() -> None:
    """2^60 calls, if each were drawn."""
    lines = ["input price float32[?]", "output score float32[?] = top", "top = PartitionedCall price f=@f60"]
    for place in range(60, 0, -1):
        lines += [f"function f{place}(x) -> both:z:0", f"  one = PartitionedCall x f=@f{place - 1}"]
        lines += [f"  two = PartitionedCall x f=@f{place - 1}", "  both = AddV2 one:output:0 two:output:0"]
    lines += ["function f0(x) -> y:z:0", "  y = Mul x x"]
    shown = drawn(build("\n".join(lines)))
    assert [port.name for port in shown.inputs.values()] == ["price"] and len(shown.lines) >= 2


def test_loop_of_tensorflow_1_is_drawn() -> None:
    export = build(
        """
        features price
        input price float32[?]
        output score float32[?] = leave
        enter = Enter price
        merge = Merge enter next
        more = Less merge enter
        again = LoopCond more
        switch = Switch merge again
        step = AddV2 switch:1 enter
        next = NextIteration step
        leave = Exit switch
        """
    )
    assert names(drawn(export), drawn(export).lines)
    written(export)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_page_about_every_example_is_whole(example: str) -> None:
    """Every finding is on it with its code, its place and what to do, and its rule is explained below."""
    export = build(example)
    found = examine(export)
    text = re.sub(r"<title>.*?</title>", "", written(export), flags=re.DOTALL)
    for finding in found.findings:
        assert f'href="#example-{finding.rule}"' in text and f'id="example-{finding.rule}"' in text


WIDE_BESIDE_NARROW = """
training_only gate
input a float32[?]
input b float32[?]
input c float32[?]
input gate float32[?]
input d float32[?]
input e float32[?]
output score float32[?]
above = Mul a b
wide = Mul c gate
below = Mul d e
score = AddN above wide below
"""


@pytest.mark.parametrize("example", [*EXAMPLES, WIDE_BESIDE_NARROW, chain(12), "training_only x7\n" + chain(40)])
def test_nothing_overlaps_and_no_line_runs_behind_a_box(example: str) -> None:
    export = build(example)
    for name in export.model.signatures:
        shown = drawn(export, name)
        layout = arrange(shown)
        solid = [spot for key, spot in layout.spots.items() if key.kind != "way"]
        for place, one in enumerate(solid):
            assert one.x >= 0 and one.x + one.width <= layout.width and one.y + one.height <= layout.height
            assert not any(overlap(one, other) for other in solid[place + 1 :])
        for (drawing,) in [drawings(svg(shown, name))]:
            for path in drawing.iter("{http://www.w3.org/2000/svg}path"):
                for x, y in points(path.attrib["d"])[1:-1]:  # it begins and ends at a box
                    assert not any(overlap(Spot(x, y, 0.1, 0.1), shrunk(box)) for box in solid), path.attrib["d"]


def points(path: str) -> List[Tuple[float, float]]:
    """Many points of an SVG path of lines and cubic curves."""
    found: List[Tuple[float, float]] = []
    for kind, numbers in re.findall(r"([MLC])([^MLC]*)", path):
        values = [float(each) for each in numbers.split()]
        given = list(zip(values[::2], values[1::2]))
        corners = given if kind == "M" else [found[-1], *given]
        found += [bezier(corners, step / 8) for step in range(1, 9)] if kind != "M" else corners
    return found


def bezier(corners: Sequence[Tuple[float, float]], part: float) -> Tuple[float, float]:
    """De Casteljau: the point at this part of a curve; of a line, where there are two corners."""
    if len(corners) == 1:
        return corners[0]
    between = [(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part) for (x0, y0), (x1, y1) in zip(corners, corners[1:])]
    return bezier(between, part)


def shrunk(box: Spot) -> Spot:
    """Without its frame, at which lines begin and end."""
    return Spot(box.x + 1.5, box.y + 1, box.width - 3, box.height - 2)


def overlap(one: Spot, other: Spot) -> bool:
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (apart or one.y + one.height <= other.y or other.y + other.height <= one.y)


def test_names_of_a_strangers_model_stay_text() -> None:
    export = build(MASKED.replace("gate", "<script>&\x07\"'").replace("price", "</svg>\x1b"))
    html = written(export)
    assert "&lt;script&gt;" in html and "\\x07" in html and "\x1b" not in html


def test_verdict_is_about_the_graph_not_about_what_was_asked() -> None:
    """A page of `--select SIG2`, or of a model that suppresses the finding, must not call a leak pure."""
    export = build("features price\n" + MASKED)
    html = page.section(export, examine(export, {"SIG201"}))
    assert "not pure" in html and "&#39;gate&#39; reaches an output and must not." in html
    pure = page.section(build(MASKED.replace("gate", "boost")), Result(Path("example")))
    assert "not pure" in pure  # `training_only boost`
    assert "proven pure" in written(build("features price gate colour\n" + MASKED.replace("training_only gate", "")))
    assert "undecided" in written(build(MASKED.replace("training_only gate", "")))


def test_page_tells_what_is_allowed_and_what_could_not_be_examined() -> None:
    export = build(MASKED)
    finding = examine(export).findings[0]
    section = page.section(export, Result(Path("example"), suppressed=[(finding, "it is < a test")]))
    assert "it is &lt; a test" in section and "allowed" in section
    assert "it is cut &lt; short" in page.unusable(Result(Path("m"), problem="it is cut < short"))


def test_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lint.html"
    page.write(file, [page.section(build(MASKED), Result(Path("example")))])
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    (tmp_path / "folder").mkdir()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails)
        with pytest.raises(UsageError, match="No space left"):
            page.write(file, [])
    assert "not pure" in file.read_text(encoding="utf-8"), "the page of before is still there"
    with pytest.raises(UsageError, match="cannot be written"):
        page.write(tmp_path / "folder", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "lint.html"]


@pytest.mark.parametrize("model", registry.NAMES)
def test_all_our_models_are_drawn(model: str, tiny_prepared: Prepared, tmp_path: Path) -> None:
    """From every input to every output, and nothing red."""
    built = built_models.built(model, tiny_prepared)
    signatures = inference.signatures(built, load(tiny_prepared))
    saved_models.save(signatures, built.encoder, tmp_path / "model")
    if model == "mmoe":
        saved_models.save_training_graph(built, tmp_path / "training")
    for folder in sorted(tmp_path.iterdir()):
        listed = {name for each in signatures for name in each.described().inputs}
        export = open_export(folder, features=listed)
        html = written(export)
        assert html.count("proven pure") == len(export.model.signatures)
        for signature in export.model.signatures.values():
            shown = picture(export, signature, [])
            assert {port.name for port in shown.inputs.values()} == set(signature.inputs)
            begun = {line.source.place for line in shown.lines if line.source.kind == "input"}
            assert begun == {place for place, port in shown.inputs.items() if port.used}
            assert {line.target.place for line in shown.lines if line.target.kind == "output"} == set(shown.outputs)
            assert not any(line.leak or line.hidden for line in shown.lines)


def browser() -> str:
    """A Chromium on this machine; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no chromium or chrome on PATH, which would draw the page")


def test_browser_draws_the_page_without_a_network(tmp_path: Path) -> None:
    from matplotlib.image import imread

    program = browser()
    html = page.html([page.section(build(MASKED), examine(build(MASKED)))])
    (tmp_path / "lint.html").write_text(html, encoding="utf-8")
    picture_file = tmp_path / "lint.png"
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--window-size=1200,900", f"--screenshot={picture_file}", (tmp_path / "lint.html").as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert picture_file.is_file(), done.stderr[-2000:]
    pixels = imread(picture_file)
    assert pixels.shape[:2] == (900, 1200)
    red = [0xC4 / 255, 0x2B / 255, 0x3A / 255]  # --error of the light style: badges, the culprit's frame, its way
    near = (abs(pixels[..., :3] - red) < 0.02).all(axis=-1)
    assert near.sum() > 1000, "the culprit is not highlighted"
    rows = near.any(axis=1).nonzero()[0]
    assert rows.min() < 250 and rows.max() > 250, "badges in the picture, severities in the table"


def test_drawing_says_what_it_shows_to_those_who_cannot_see_it() -> None:
    (drawing,) = drawings(svg(drawn(build(MASKED)), "serving_default: from 3 inputs to score, kept"))
    assert drawing.attrib["role"] == "img" and "from 3 inputs" in drawing.attrib["aria-label"]
    hints = [each.text or "" for each in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert any(hint.startswith("gate: float32 [?], training") and "SIG101: input 'gate'" in hint for hint in hints)
    assert any(hint.endswith("changes no output") for hint in hints if hint.startswith("colour"))
