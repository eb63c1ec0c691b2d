"""`python -m benchmarks --compare`: what is slower, what is the machine, what cannot be compared, and the exit code."""

import copy
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import comparison, timing
from benchmarks.__main__ import app
from benchmarks.base import Bar, Line, Settings
from benchmarks.comparison import Range, compared, earlier
from benchmarks.suite import BENCHMARKS
from benchmarks.table import document
from benchmarks.timing import Times, alternate, ratio
from biasectomy.cli.exits import run_and_exit
from biasectomy.errors import DataError, SettingsError, SourceError
from biasectomy.files import without_nan

MACHINE = {
    "processor": "A processor", "cores": 2, "threads": 2, "load_average": [0.1], "versions": {"torch": "2.13.0"},
}  # fmt: skip


def timed(ours, peer, what="a step", items=8, peer_tokens=1000):
    own, theirs = Times(tuple(ours)), Times(tuple(peer))
    found = ratio(own, theirs)
    return Line(
        "learning", what, found.value, "times", "float32", low=found.low, high=found.high, seconds=own.median,
        peer_seconds=theirs.median, peer_tokens=peer_tokens, details={"rounds": [ours, peer], "items": items},
    )  # fmt: skip


def share(value, low=None, high=None, what="share of the square matrix rate", kind="at least"):
    return Line("scoring", what, value, "share", "float32", low=low, high=high, bar=Bar(kind, 0.8))


def made(*lines, machine=MACHINE, settings=None):
    settings = settings or Settings(threads=2)
    return json.loads(json.dumps(without_nan(document(lines, machine, settings, {}))))


def found(before, now):
    return {name: said for name, said in compared(before, now).found.items() if said}


PEER = [10.0, 10.1, 10.2]


@pytest.mark.parametrize(
    ("ours", "peer", "verdict"),
    [
        ([2.0, 2.1, 2.2], PEER, comparison.ALIKE),
        ([2.5, 2.6, 2.7], PEER, comparison.SLOWER),
        ([1.5, 1.6, 1.7], PEER, comparison.FASTER),
        ([2.15, 2.3, 2.4], PEER, comparison.ALIKE),  # ranges meet
        ([2.21, 2.25, 2.29], PEER, comparison.ALIKE),  # apart, but by less than they spread
        ([2.5, 2.6, 2.7], [12.5, 12.6, 12.8], comparison.MACHINE),  # all of it took longer
        ([1.5, 1.6, 1.7], [7.5, 7.6, 7.9], comparison.MACHINE),
        ([2.0, 2.1, 2.2], [20.0, 20.1, 20.2], comparison.ALIKE),  # another version of the peer
    ],
)
def test_what_is_slower_by_more_than_the_spread(ours, peer, verdict):
    before, now = made(timed([2.0, 2.1, 2.2], PEER)), made(timed(ours, peer))
    result = found(before, now)
    assert [*result] == [verdict]
    assert compared(before, now).slower == (verdict == comparison.SLOWER)
    if verdict == comparison.SLOWER:
        (said,) = result[verdict]
        assert said == (
            "learning: a step, float32: 2.10 s (2.00 s to 2.20 s) then, 2.60 s (2.50 s to 2.70 s) now, "
            "1.24 times as long"
        )


ROUNDS = st.lists(st.floats(0.01, 100), min_size=3, max_size=5)


@given(ROUNDS, ROUNDS)
def test_nothing_is_slower_than_itself_and_slower_is_the_other_way_round_faster(first, second):
    one, other = (made(timed(rounds, [50.0] * len(rounds))) for rounds in (first, second))
    assert [*found(one, one)] == [comparison.ALIKE]
    there, back = (next(iter(found(*pair))) for pair in ((one, other), (other, one)))
    turned = {comparison.SLOWER: comparison.FASTER, comparison.FASTER: comparison.SLOWER}
    assert back == turned.get(there, there)


@given(st.floats(-10, 10), st.floats(0, 3), st.floats(-10, 10), st.floats(0, 3))
def test_a_range_above_another_is_never_below_it(value, width, other_value, other_width):
    one = Range(value, value - width, value + width, "share")
    other = Range(other_value, other_value - other_width, other_value + other_width, "share")
    assert not (one.above(other) and other.above(one)) and not one.above(one)


def test_other_figures_are_better_or_worse_as_their_bars_say():
    before = made(share(0.8, 0.79, 0.81), share(0.025, 0.02, 0.03, "answers that differ", "at most"))
    now = made(share(0.6, 0.59, 0.61), share(0.005, 0.004, 0.006, "answers that differ", "at most"))
    result = found(before, now)
    assert len(result[comparison.WORSE]) == 1 == len(result[comparison.BETTER])
    assert not compared(before, now).slower


def test_one_run_has_no_spread_and_other_work_no_comparison():
    once = Line("mitigate", "the whole command", 300, "seconds", "float32", seconds=300)
    longer = Line("mitigate", "the whole command", 400, "seconds", "float32", seconds=400)
    assert found(made(once), made(longer)) == {
        comparison.ONCE: ["mitigate: the whole command, float32: 300.0 s then, 400.0 s now"]
    }
    slow = [9.0, 9.1, 9.2]
    for changed in (timed(slow, PEER, items=20), timed(slow, PEER, peer_tokens=1001)):
        result = found(made(timed([2.0, 2.1, 2.2], PEER)), made(changed))
        assert [*result] == [comparison.OTHER_WORK] and " were " in result[comparison.OTHER_WORK][0]
    asked = [replace(once, details={"arguments": ["--grid", grid]}) for grid in ("0,8", "0,3")]
    assert found(*(made(one) for one in asked)) == {
        comparison.OTHER_WORK: ["mitigate: the whole command, float32: arguments were 0,8 and are 0,3"]
    }


def test_a_single_round_is_not_a_range():
    result = found(made(timed([2.0], [9.0])), made(timed([4.0], [9.0])))
    assert comparison.SLOWER not in result


def test_what_is_missing_new_or_not_run_is_said():
    before = made(timed(PEER, PEER), timed(PEER, PEER, "another step"), share(0.8))
    now = made(timed(PEER, PEER), timed(PEER, PEER, "a third step"))
    result = found(before, now)
    assert result[comparison.MISSING] == ["learning: another step, float32"]
    assert result[comparison.NEW] == ["learning: a third step, float32"]
    assert result[comparison.NOT_RUN] == ["scoring"]
    output = io.StringIO()
    compared(before, now).print(output)
    assert "As before, within the ranges of both: 1 figures" in output.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"processor": "Another"}, "processor was A processor and is Another"),
        ({"threads": 1}, "threads was 2 and is 1"),
        ({"versions": {"torch": "2.14"}}, r"torch was 2\.13\.0 and is 2\.14"),
        ({"device": {"name": "NVIDIA"}}, "device was cpu and is NVIDIA"),
    ],
)
def test_another_machine_is_refused_with_what_differs(change, said):
    line = timed(PEER, PEER)
    with pytest.raises(SettingsError, match=f"Nothing can be compared: {said}"):
        compared(made(line), made(line, machine=MACHINE | change))


def test_other_settings_are_refused():
    line = timed(PEER, PEER)
    with pytest.raises(SettingsError, match="items was None and is 5; quick was False and is True"):
        compared(made(line), made(line, settings=Settings(threads=2, items=5, quick=True)))


@pytest.mark.parametrize("change", [lambda document: document.pop("machine"), lambda document: document.update(
    schema_version=99), lambda document: document["lines"][0].pop("unit"), lambda document: document["lines"][0].update(
    unit="parsecs")])  # fmt: skip
def test_what_is_no_such_file_is_refused(change, tmp_path: Path):
    broken = copy.deepcopy(made(timed(PEER, PEER)))
    change(broken)
    file = tmp_path / "old.json"
    file.write_text(json.dumps(broken))
    with pytest.raises(DataError, match="is not what 'python -m benchmarks --json' of this version writes"):
        earlier(file)
    with pytest.raises(SourceError):
        earlier(tmp_path / "nothing.json")


def test_the_exit_code_says_whether_anything_is_slower(tmp_path: Path, capfd):
    files = {}
    for name, rounds in (("old", [2.0, 2.1, 2.2]), ("slow", [3.0, 3.1, 3.2])):
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(made(timed(rounds, PEER))))
    files["elsewhere"] = tmp_path / "elsewhere.json"
    files["elsewhere"].write_text(json.dumps(made(timed(PEER, PEER), machine=MACHINE | {"threads": 8})))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            run_and_exit(lambda: app, "python -m benchmarks", list(arguments))
        return ended.value.code, "".join(capfd.readouterr())

    assert run("--compare", str(files["old"]), "--measured", str(files["old"]))[0] == 0
    code, said = run("--compare", str(files["old"]), "--measured", str(files["slow"]))
    assert code == 1 and "Slower:" in said and "1.48 times as long" in said
    code, said = run("--compare", str(files["old"]), "--measured", str(files["elsewhere"]))
    assert code == 2 and "Nothing can be compared: threads was 2 and is 8." in said
    code, said = run("reuse", "--compare", str(files["old"]))  # refused before anything is measured
    assert code == 2 and "Nothing can be compared: processor was A processor" in said
    code, said = run("--measured", str(files["old"]))
    assert code == 2 and "--compare OLD.json" in said


def test_the_two_that_matter_most_come_first():
    names = [*BENCHMARKS]
    assert names[:2] == ["scoring", "learning"] and names[2:] == sorted(names[2:]) and len(names) == len(set(names))


def test_rounds_that_take_long_are_fewer_but_three(monkeypatch):
    def rounds(enough, wanted):
        monkeypatch.setattr(timing, "enough_seconds", enough)
        times, _ = alternate({"a": lambda: None}, wanted)
        return len(times["a"].rounds)

    assert [rounds(0.0, 5), rounds(0.0, 2), rounds(60.0, 5), rounds(math.inf, 4)] == [3, 2, 5, 4]
