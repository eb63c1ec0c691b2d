"""Any edit of the neurons that any attribution puts first."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.commands.settings_loading import explicit_command
from biasectomy.commands.settings_measuring import CompareSettings
from biasectomy.errors import SettingsError, UnknownNameError
from biasectomy.learning import neutral
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.methods.edited_neurons import EditedNeurons
from biasectomy.models.language_model import load
from biasectomy.tasks.swapping import swapped


def edited(**settings) -> EditedNeurons:
    return EditedNeurons(EditedNeurons.Settings(**settings))


def names(neurons):
    return [(one.module, one.unit) for one in neurons]


@pytest.fixture
def task(toy_task):
    return replace(toy_task(clusters=3, instructions=1), twin=swapped)


def test_with_crisprs_scores_it_is_crispr(tiny, task):
    few = {"instances": 4, "trials": 1, "variant": "authors"}
    crispr = METHODS["crispr"](METHODS["crispr"].Settings(**few, grid="3,8")).fit(tiny, task, Session())
    options = ",".join(f"{name}={value}" for name, value in few.items())
    found = edited(attribution="crispr", options=options, grid="3,8").fit(tiny, task, Session())
    assert (found.neuron_set, found.record) == (crispr.neuron_set, crispr.record)
    alike = [METHODS["crispr"](METHODS["crispr"].Settings(**few)), edited(attribution="crispr", options=options)]
    assert len({one.expected_questions(task) for one in alike}) == 1


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, -1.0])
def test_neurons_are_multiplied_by_the_factor_and_saved_so(tiny, task, tmp_path, factor):
    session = Session(neurons=30)
    one = edited(attribution="gradient", options="instances=6", factor=factor, definition="ffn-hidden")
    found = one.fit(tiny, task, session)
    assert {neuron.factor for neuron in found.neuron_set} == {factor} and len(found.neuron_set) == 30
    with found.answering(tiny, session) as answerer:
        here = session.ask(task, answerer).log_likelihoods
    assert abs(here - session.ask(task, session.answerer(tiny)).log_likelihoods).max() > 1e-3
    found.save(tiny, tmp_path / "saved")
    there = Session().ask(task, load(str(tmp_path / "saved"))).log_likelihoods
    assert there == pytest.approx(here, abs=1e-4)


def test_the_lowest_neurons_are_the_highest_of_the_opposite(tiny, task):
    session = Session(neurons=12)
    lowest = edited(attribution="counterfactual", end="lowest", factor=1.5).fit(tiny, task, session).neuron_set
    scores = [one.score for one in lowest]
    assert scores == sorted(scores) and scores[0] < 0 and {one.factor for one in lowest} == {1.5}
    highest = edited(attribution="counterfactual").fit(tiny, task, session).neuron_set
    assert not {*names(lowest)} & {*names(highest)} and highest.found_with["attribution"] == "counterfactual"


@pytest.mark.parametrize("name", [name for name in ATTRIBUTIONS if name != "crispr"])  # that is tested elsewhere
def test_factors_are_learned_among_the_neurons_of_every_attribution(tiny, toy_task, monkeypatch, name):
    task = replace(toy_task(clusters=2, per_cluster=2, instructions=1), twin=swapped)
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    kind = METHODS["learned-factors"]
    settings = kind.Settings(among=name, straight_steps=2, items_a_step=4, rate=0.2)
    found = kind(settings).fit(tiny, task, Session(neurons=9)).neuron_set
    first = edited(attribution=name, definition="ffn-hidden").fit(tiny, task, Session(neurons=9)).neuron_set
    assert {*names(found)} <= {*names(first)}


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"attribution": "gradent"}, UnknownNameError, "did you mean 'gradient'"),
        ({"factor": 1}, SettingsError, "factor 1 leaves every neuron as it is"),
        ({"options": "instances"}, SettingsError, "holds 'instances'; write NAME=VALUE"),
        ({"options": "steps=3"}, SettingsError, "'steps', which the attribution 'gradient' does not know; its options: "
         "instances, of, against"),
        ({"options": "instances=none"}, SettingsError, "options instances=none: Input should be a valid integer"),
        ({"attribution": "random", "options": "seed=1"}, SettingsError, "its options: none"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_computed(settings, error, said):
    with pytest.raises(error, match=said):
        edited(**settings)


def test_the_factor_has_limits_that_a_set_can_hold():
    for factor in (-9.5, 12, float("nan")):
        with pytest.raises(ValidationError):
            edited(factor=factor)


def test_options_from_a_table_are_those_of_the_command_line():
    table = EditedNeurons.Settings(options={"instances": 80, "against": "other"})
    assert table.options == "instances=80,against=other"
    assert edited(options=table.options).attribution.settings.instances == 80
    settings = CompareSettings.of(
        methods="edited-neurons", edited_neurons={"options": {"instances": 80}, "factor": 0.5}
    )
    assert "--edited-neurons.options instances=80 --edited-neurons.factor 0.5" in explicit_command(settings)


def test_what_an_attribution_cannot_read_is_refused_in_the_forecast(toy_task):
    with pytest.raises(SettingsError, match="has no rule for that"):
        edited(attribution="counterfactual").expected_questions(toy_task())
    task = toy_task(clusters=2, instructions=2)
    assert edited(attribution="weight-magnitude", grid="1,2").expected_questions(task) == 3 * 8 * 2
