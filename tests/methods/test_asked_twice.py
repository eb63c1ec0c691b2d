"""Methods that ask twice: what is said in which turn, what is asked as it is, and that it can be done again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from biasectomy import compare
from biasectomy.errors import DataError
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.methods.self_help import SENTENCE as REWRITE
from biasectomy.methods.self_help import rewritten
from biasectomy.methods.think_first import CUE
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.prompts import PromptFormat
from biasectomy.reading.questions import Answer, Content, Generation, Question, written
from tests.conftest import build_tokenizer
from tests.measuring.answerers import InterruptingStore, Made
from tests.methods.test_families import opened

TWICE = ("self-debias-explain", "self-debias-reprompt", "self-help", "think-first")
INSTRUCTION = "Read the context and answer the question with one of the options."
SHOWN = "Context: {context}\nQuestion: {question}\nOptions: {options}"
PLAIN = PromptFormat(build_tokenizer(), "plain")


@dataclass
class Talking(Made):
    """A made-up model that says the same to everything, and prefers the second option."""

    prompt_format: PromptFormat = PLAIN

    def encode(self, question: Question) -> Any:
        encoded = super().encode(replace(question, text="\n".join([*sum(question.earlier, ()), question.text or ""])))
        return replace(encoded, new_tokens=question.generation.new_tokens or 1 if question.generation else 0)


def talking(said: str = "It says so.", **more: Any) -> Talking:
    def rule(question: Question) -> Answer:
        values = tuple(-1.0 - abs(index - 1) for index in range(len(question.options)))
        return Answer(texts=(said,)) if question.generation else Answer(values, (1,) * len(values))

    return Talking(rule, **more)


def made(name: str, **settings: Any) -> Any:
    return METHODS[name](METHODS[name].Settings(**settings))


def ask(method: Any, model: Any, questions: Sequence[Question], session: Session | None = None, **wanted: Any) -> Any:
    """Answers by index."""
    with method.answering(model, session or Session()) as answerer:
        return {index: answer for batch in answerer(questions, **wanted) for index, answer in batch}


def shown(item: Any) -> str:
    return SHOWN.format(context=item.context, question=item.question, options=", ".join(item.options))


def test_explanations_are_asked_for_as_in_the_paper(toy_task):
    """Section 3.3: the whole thread, whose second turn is the question as it is always asked."""
    task, model = toy_task(clusters=1, instructions=1), talking("The second is a guess.")
    questions = task.questions()
    ask(made("self-debias-explain"), model, questions)
    firsts = [f"Explain which answers rely on invalid assumptions.\n\n{shown(item)}" for item in task.items]
    assert model.asked[: len(questions)] == [Question(text, generation=Generation(64)) for text in firsts]
    assert model.asked[len(questions) :] == [
        replace(question, earlier=((first, "The second is a guess."),))
        for question, first in zip(questions, firsts, strict=True)
    ]


@pytest.mark.parametrize(
    ("settings", "generation"),
    [
        ({}, Generation(64)),
        ({"preset": "paper"}, Generation(25, 1.0, 5)),
        ({"preset": "paper", "new_tokens": 40}, Generation(40, 1.0, 5)),
        ({"temperature": 0.5}, Generation(64, 0.5, 5)),
    ],
)
def test_the_authors_explanations_are_short_and_drawn(toy_task, settings, generation):
    model, method = talking(), made("self-debias-explain", **settings)
    ask(method, model, toy_task(clusters=1).questions()[:1], Session(seed=5))
    (asked, _) = model.asked
    assert replace(asked.generation, seed=generation.seed) == generation
    assert generation.temperature == 0 or asked.generation.seed == 5
    assert (method.record["new_tokens"], method.record["temperature"]) == (
        generation.new_tokens,
        generation.temperature,
    )


def test_reprompting_tells_the_model_its_own_answer(toy_task):
    """Section 3.4, with the answer that the original gives; where that is known, only the second turn is computed."""
    model, session, questions = talking(), Session(), toy_task(clusters=1, instructions=1).questions()
    ask(METHODS["original"](METHODS["original"].Settings()), model, questions, session)
    assert model.asked == questions
    model.asked.clear()
    ask(made("self-debias-reprompt"), model, questions, session)
    said = "Remove bias from your answer by answering the question again."
    assert model.asked == [
        replace(question, text=said, content=(), earlier=((question.text, question.options[1]),))
        for question in questions
    ]


def test_where_texts_are_asked_for_the_first_answer_is_the_text(toy_task):
    model = talking("Unknown.")
    (question, *_) = toy_task(clusters=1).with_answer_rule("generation").questions()
    assert ask(made("self-debias-reprompt"), model, [question]) == {0: Answer(texts=("Unknown.",))}
    assert [one.earlier for one in model.asked] == [(), ((question.text, "Unknown."),)]
    assert all(one.generation == question.generation and one.options == question.options for one in model.asked)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_thinking_comes_before_the_answer(toy_task, preset):
    task, model = toy_task(clusters=1, instructions=1), talking("Nobody knows.")
    (question, *_), item = task.questions(), task.items[0]
    ask(made("think-first", preset=preset), model, [question])
    sentence, tokens = {
        "default": ("Let's think about how to answer the question in a way that avoids bias or stereotyping.", 64),
        "paper": ("Let's think step by step.", 128),
    }[preset]
    first = f"{shown(item)}\n\n{sentence}"
    assert model.asked == [
        Question(first, generation=Generation(tokens)),
        replace(question, text=CUE, content=(), earlier=((first, "Nobody knows."),)),
    ]


def test_context_and_question_are_rewritten_each_once_and_the_rest_stays(toy_task):
    task, model = toy_task(clusters=2, instructions=2), talking("Did two people meet?")
    questions = task.questions()
    ask(made("self-help"), model, questions)
    texts = dict.fromkeys(text for item in task.items for text in (item.context, item.question))
    assert len(texts) < 2 * len(task.items)  # questions are shared
    asked = [one for one in model.asked if one.generation]
    assert asked == [Question(f"{REWRITE}\n\n{text}", generation=Generation(96)) for text in texts]
    new = SHOWN.replace("{context}", "Did two people meet?").replace("{question}", "Did two people meet?")
    assert {one.text for one in model.asked[len(texts) :]} == {
        f"{instruction}\n\n{new.format(options=', '.join(item.options))}"
        for instruction in task.instructions
        for item in task.items
    }
    again = [one.with_content("X").text for one in model.asked[len(texts) :]]
    assert set(again) == {one.with_content("X").text for one in questions}  # where the item stands is still known


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("Two people met.", "They met.", "They met."),
        ("Two people met.", "Here is the text:\n\nThey met.\nIt was late.", "They met. It was late."),
        ("Two people met.", '"They met."', "They met."),
        ("Two people met.", "They met and", "Two people met."),  # cut off
        ("Two people met.", "", "Two people met."),
        ("Who was it?", "It was the first.", "Who was it?"),  # answered
        ("Who was it?", 'Who said "I"?', 'Who said "I"?'),
        ("no full stop", "none here either", "none here either"),
    ],
)
def test_a_rewritten_text_ends_as_the_text_did(text, said, expected):
    assert rewritten(text, said) == expected


def test_options_that_are_the_item_itself_are_not_rewritten():
    text, content = written("Say.\n\n", "Context: ", Content("He ran."), "\n- ", Content("He fell."))
    model = talking("They ran.")
    ask(made("self-help"), model, [Question(text, ("He fell.",), content=content)])
    assert [one.text for one in model.asked] == [
        f"{REWRITE}\n\nHe ran.",
        "Say.\n\nContext: They ran.\n- He fell.",
    ]


AS_THEY_ARE = [
    Question(None, ("The grandfather met the grandson.",)),
    Question(None, ("The grandfather met the grandson.",), divergence=True),
    Question("The grandfather met", ("the grandson.",), divergence=True),
    Question("The grandfather met", ("the grandson.",), plain=True),
    Question("The grandfather met", generation=Generation(4), plain=True),
]


@pytest.mark.parametrize("name", TWICE)
def test_what_has_no_instruction_is_asked_as_it_is(name):
    model = talking()
    assert len(ask(made(name), model, AS_THEY_ARE)) == len(AS_THEY_ARE)
    assert model.asked == AS_THEY_ARE


@pytest.mark.parametrize("name", ["self-debias-explain", "self-help", "think-first"])
def test_where_nothing_is_written_the_question_is_asked_as_it_is(name, toy_task):
    model, questions = talking(" \n"), toy_task(clusters=1).questions()
    ask(made(name), model, questions)
    assert [one for one in model.asked if not one.generation] == questions


@pytest.mark.parametrize("name", TWICE)
def test_only_what_is_wanted_is_asked_in_the_end(name, toy_task):
    model, questions = talking(size=1), toy_task(clusters=1, instructions=1).questions()
    found = ask(made(name), model, questions, wanted={2})
    every = ask(made(name), talking(size=1), questions)
    assert found == {2: every[2]} and len(every) == len(questions)
    in_the_end = [one for one in model.asked if one.earlier] or [one for one in model.asked if not one.generation]
    assert len(in_the_end) == 1


@pytest.mark.parametrize("name", TWICE)
def test_an_interrupted_request_that_is_made_again_gives_the_same_bits(name, tiny, toy_task):
    task, settings = toy_task(clusters=2, instructions=1), {} if name == "self-debias-reprompt" else {"new_tokens": 5}
    tiny.batch_tokens = 300
    whole = ask(made(name, **settings), tiny, task.questions())
    session = Session(store=InterruptingStore(at=2))
    with pytest.raises(KeyboardInterrupt):
        ask(made(name, **settings), tiny, task.questions(), session)
    assert ask(made(name, **settings), tiny, task.questions(), session) == whole


@pytest.mark.parametrize("name", TWICE)
def test_an_error_is_about_the_question_that_was_to_be_answered(name, toy_task):
    def refuse(question: Question) -> Answer:
        if question.earlier or (question.content and "Talk" in question.text):
            error = DataError("Too long.")
            error.question = question
            raise error
        return Answer(texts=("Talk?",)) if question.generation else Answer((-1.0,) * 3, (1,) * 3)

    (_, question, *_) = questions = toy_task(clusters=1, instructions=1).questions()
    with pytest.raises(DataError) as caught:
        ask(made(name), Talking(refuse, size=1), [question])
    assert caught.value.question == question and caught.value.question in questions


@pytest.mark.parametrize("name", TWICE)
def test_what_was_said_first_is_kept_once_for_each_fit(name, toy_task, tmp_path):
    task, model, session = toy_task(clusters=1), talking("Who knows?"), Session(folder=tmp_path / "run" / name)
    for _ in range(2):  # a run that is resumed writes it anew
        fitted = made(name).fit(model, task, session)
        ask(fitted, model, task.questions(), session)
        rows = [json.loads(line) for line in (tmp_path / "run" / name / "texts.jsonl").read_text().splitlines()]
        assert len({row["asked"] for row in rows}) == len(rows) > 1
        assert {row["said"] for row in rows} <= {"Who knows?", *(one for item in task.items for one in item.options)}
    assert json.loads(json.dumps(fitted.record)) == fitted.record


def test_control_tokens_that_the_model_wrote_do_not_end_its_turn(tiny, toy_task, monkeypatch):
    """The second question is asked all the same, without them."""
    (question, *_) = toy_task(clusters=1).questions()
    answered = tiny.answer
    asked = []

    def answer(batch: Any, questions: Any, *more: Any) -> Any:
        asked.extend(questions)
        generating = bool(batch.prompts[0].new_tokens)
        return [Answer(texts=("It is<en<end>d> so.",))] if generating else answered(batch, questions, *more)

    monkeypatch.setattr(tiny, "answer", answer)
    ask(made("self-debias-explain"), tiny, [question])
    assert asked[-1].earlier[0][1] == "It is so."
    assert tiny.prompt_format.text(asked[-1].text, asked[-1].earlier).count("<end>") == 3  # a turn each


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("name", TWICE)
def test_encoder_decoders_are_asked_twice_too(name, family, toy_task):
    model: LanguageModel = opened(family)
    task, settings = toy_task(clusters=1, instructions=1), {} if name == "self-debias-reprompt" else {"new_tokens": 3}
    task = replace(task, items=tuple(replace(item, context="They met.") for item in task.items))
    plain, session = ask(METHODS["original"](METHODS["original"].Settings()), model, task.questions()), Session()
    found = ask(made(name, **settings), model, task.questions(), session)
    values = np.array([found[index].log_likelihoods for index in range(len(found))])
    before = np.array([plain[index].log_likelihoods for index in range(len(plain))])
    assert np.isfinite(values).all() and values.shape == before.shape
    if name != "self-help":  # a random model's texts seldom end as they should
        assert (values != before).any()


def test_beside_each_other_on_a_model(tiny, toy_task):
    given = {name.replace("-", "_"): {"new_tokens": 4} for name in TWICE if name != "self-debias-reprompt"}
    outcome = compare(tiny, toy_task(clusters=6), ",".join(TWICE), also="none", replicates=50, **given)
    costs = outcome.results.costs
    for name in TWICE:
        assert costs[name]["questions"] == 0 and costs[name]["questions_per_answer"] == 2
        assert costs[name]["tokens_per_answer"] > 1.5 * costs["original"]["tokens_per_answer"]
        (answers,) = outcome.answers.values()
        assert np.isfinite(answers[name].log_likelihoods).all()
