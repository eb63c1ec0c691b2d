"""Choosing among changes of a model: what is learned from, what is allowed, and which is taken."""

import contextlib
import logging
from dataclasses import dataclass

import pytest

from biasectomy.errors import DataError
from biasectomy.learning import neutral
from biasectomy.measuring.session import Session
from biasectomy.methods import chosen_change
from biasectomy.methods.chosen_change import ChoosingSettings, Drifts, FittedChange, fit_chosen
from biasectomy.reading.questions import Answer
from tests.measuring.answerers import Made

SETTLED = "one setting"


@dataclass
class Named:
    """A change that does what a rule of the answerer makes of its name."""

    name: str
    by_itself: bool = True

    @property
    def key(self):
        return ["named", self.name]

    @property
    def described(self):
        return {"name": self.name}

    numbers = 7

    @contextlib.contextmanager
    def made(self, model):
        model.now = self.name
        yield
        model.now = None

    def save(self, model, folder, dtype):
        return 0.5


class Changing(Made):
    """An answerer that is right about some items, by the change in force."""

    right_under = ("right", "right and near", "right and far")

    def __init__(self, items):
        self.now = None
        gold = {(item.context, item.question): item.gold for item in items}

        def rule(question):
            key = tuple(question.text[start:end] for start, end in question.content)
            chosen = gold[key] if self.now in self.right_under else 0
            return Answer(tuple(-1.0 - (place != chosen) for place in range(3)), (1, 1, 1))

        super().__init__(rule)

    @contextlib.contextmanager
    def changed(self, make, key):
        before, self.key = self.key, str(key)
        try:
            with make():
                yield
        finally:
            self.key = before

    def save(self, folder, dtype):
        return 0.25


DRIFTS = {"right": 0.04, "right and near": 0.01, "right and far": 0.2, "idle": 0.001, "broken": float("nan"), None: 0.0}


@pytest.fixture(autouse=True)
def drifts(monkeypatch):
    class Texts:
        def __init__(self, model):
            self.model = model

        def mean_drift(self):
            return DRIFTS[self.model.now]

    monkeypatch.setattr(neutral, "judged_by", Texts)


def fitted(task, names, session=None, settled=SETTLED, **settings):
    seen = []

    def made(learning, drifts):
        seen.append(learning)
        return [Named(name) for name in names]

    model = Changing(task.items)
    found = fit_chosen(
        "steering", model, task, session or Session(), ChoosingSettings(**settings), made, settled=settled
    )
    return found, seen[0], model


def test_the_one_that_drifts_least_of_those_as_good_as_the_best_is_taken(toy_task):
    names = ["right", "broken", "right and far", "right and near", "idle"]
    found, learning, model = fitted(toy_task(20), names)
    assert found.change.name == "right and near" and found.record["chosen"] == {"name": "right and near"}
    # In the order of drift; what is not finite last.
    told = [(one["n"], one["name"], one["drift"]) for one in found.record["candidates"]]
    assert told == [
        (1, "idle", 0.001),
        (2, "right and near", 0.01),
        (3, "right", 0.04),
        (4, "right and far", 0.2),
        (5, "broken", None),
    ]
    assert [one["n"] for one in found.record["search"]] == [0, 1, 2, 3]  # others drift too far to be asked
    validated = {item.cluster for item in toy_task(20).items} - {item.cluster for item in learning.items}
    assert validated and len({item.cluster for item in learning.items}) + len(validated) == 20
    asked = sum(one["items"] * one["instructions"] for one in found.record["search"])
    assert found.cost.numbers == 7 and found.cost.questions == asked <= 4 * found.record["validated_on"] * 2
    assert model.now is None and model.key == "made"


def test_a_wider_drift_lets_more_be_candidates(toy_task):
    assert fitted(toy_task(20), ["right and far", "idle"])[0].change is None
    assert fitted(toy_task(20), ["right and far", "idle"], Session(drift=0.3))[0].change.name == "right and far"


@pytest.mark.parametrize(
    ("names", "said"), [(["idle"], "none of 1 candidates clearly helps"), (["broken"], "no candidate stays")]
)
def test_where_none_helps_the_model_stays_and_that_is_said(toy_task, caplog, names, said):
    with caplog.at_level(logging.INFO, "biasectomy"):
        found, _, model = fitted(toy_task(), names)
    assert said in caplog.text
    assert found.change is None and found.record["chosen"] is None and found.cost.numbers == 0
    session = Session()
    with found.answering(model, session) as answerer:
        assert answerer.computing is model and model.key == "made"
    assert found.save(model, None) == 0.25


def test_a_single_candidate_is_learned_from_all_and_not_chosen(toy_task, caplog):
    found, learning, _ = fitted(toy_task(clusters=2), ["right and far"], settled=None)
    assert len(learning.items) == 8 and found.change.name == "right and far" and "search" not in found.record
    assert "drifts 0.200 nats from the original, which is above 0.05" in caplog.text
    with pytest.raises(DataError, match="more items would be right, or one setting"):
        fitted(toy_task(clusters=2), ["right", "idle"])


def test_what_acts_only_where_this_library_asks_is_left_out_elsewhere(toy_task):
    model = Changing(toy_task(2).items)
    for by_itself in (True, False):
        with FittedChange(Named("right", by_itself), chosen_change.Cost()).answering(model, Session()) as answerer:
            assert hasattr(answerer, "computing") == by_itself
            answers = dict(one for batch in answerer(toy_task(2).questions(), {0}) for one in batch)
            assert answers[0].log_likelihoods[toy_task(2).items[0].gold] == -1.0


def test_about_the_largest_strength_within_the_drift_is_found():
    class Strong(Named):
        @property
        def key(self):
            return ["strong", self.name]

    def measured(curve, allowed=0.05):
        drifts = Drifts(Changing(()), allowed)
        tried = []

        def of(change):
            tried.append(float(change.name))
            return curve(tried[-1])

        drifts.of = of
        return drifts.strongest(lambda strength: Strong(str(strength))), tried

    square, tried = measured(lambda strength: 0.8 * strength**2)
    assert 0.7 * 0.05 <= 0.8 * square**2 <= 0.05 and len(tried) == 2
    steep, tried = measured(lambda strength: 3 * strength**4 if strength < 2 else float("nan"))
    assert 0 < 3 * steep**4 <= 0.05 and len(tried) <= 6
    assert measured(lambda strength: 1.0)[0] == 0
    assert measured(lambda strength: 0.0)[0] == 1  # whatever is done shows nothing
    assert measured(lambda strength: 0.045 * strength)[0] == 1.0
    found, _ = measured(lambda strength: 0.049 * (strength / 0.0123456) ** 2)
    assert found == float(f"{found:.3g}") and 0.01 < found <= 0.0123  # three digits, and never beyond


def test_a_drift_is_measured_once(toy_task, monkeypatch):
    model = Changing(())
    drifts = Drifts(model, 0.05)
    assert [drifts.of(Named("right")), drifts.of(Named("idle"))] == [0.04, 0.001]
    monkeypatch.setitem(DRIFTS, "right", 9.0)
    assert drifts.of(Named("right")) == 0.04
