"""The store of answers: found again for the same question of the same answerer only, and never computed twice."""

import hashlib
import sqlite3

import pytest
import torch

from biasectomy.errors import RunError
from biasectomy.measuring.store import FILE, FileStore, MemoryStore, Stored
from biasectomy.models.fingerprints import weights_checksum
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.questions import Answer, Generation, Question
from tests.measuring.answerers import InterruptingStore, Made, by_length

GATE = "model.layers.1.mlp.gate_proj"
QUESTIONS = [Question(f"question {number}", ("yes", "no way", f"option {number}")) for number in range(10)]
ANSWER = Answer((-1.5, -2.25), (2, 3))


def answers(answerer, questions, wanted=None) -> dict[int, Answer]:
    return {index: answer for batch in answerer(questions, wanted) for index, answer in batch}


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path / "store")


def test_a_store_gives_back_what_it_was_given(store):
    keys = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    written = Answer(texts=("Nobody.\nReally",))
    store.add({keys[0]: ANSWER, keys[1]: written})
    assert store.find(keys) == {keys[0]: ANSWER, keys[1]: written}
    store.add({keys[0]: written})  # what is known stays
    assert store.find(keys[:1]) == {keys[0]: ANSWER}


def test_a_file_is_found_again_and_shared_while_it_is_open(tmp_path):
    first, second = FileStore(tmp_path), FileStore(tmp_path)
    keys = [number.to_bytes(4) for number in range(2000)]
    first.add(dict.fromkeys(keys, ANSWER))
    assert second.find(keys) == FileStore(tmp_path).find(keys) == dict.fromkeys(keys, ANSWER)


def test_only_what_is_not_known_is_asked_and_everything_is_answered(store):
    made = Made(by_length)
    first = answers(Stored(made, store), QUESTIONS[:6])
    assert made.asked == QUESTIONS[:6] and first == {index: by_length(QUESTIONS[index]) for index in range(6)}
    made.asked.clear()
    assert answers(Stored(made, store), QUESTIONS) == {index: by_length(one) for index, one in enumerate(QUESTIONS)}
    assert made.asked == QUESTIONS[4:]  # whole batches, as if all were asked
    made.asked.clear()
    answers(Stored(made, store), QUESTIONS)
    assert made.asked == []


def test_the_same_question_is_computed_once(store):
    made = Made(by_length)
    found = answers(Stored(made, store), [QUESTIONS[0], QUESTIONS[1], QUESTIONS[0]])
    assert made.asked == QUESTIONS[:2] and found[0] == found[2]


def test_only_the_wanted_are_computed_in_the_company_they_always_have(store):
    made = Made(by_length)
    found = answers(Stored(made, store), QUESTIONS, {5})
    assert made.asked == QUESTIONS[4:8] and found[5] == by_length(QUESTIONS[5])


def test_other_weights_other_options_and_another_way_of_asking_are_other_questions(store):
    made, other = Made(by_length), Made(by_length, key="other")
    answers(Stored(made, store), QUESTIONS[:1])
    answers(Stored(other, store), QUESTIONS[:1])
    assert other.asked == QUESTIONS[:1]
    question = QUESTIONS[0]
    variants = [
        Question(question.text, question.options[:2]),
        Question("question 00", question.options),
        Question(question.text, question.options, Generation()),
    ]
    made.asked.clear()
    answers(Stored(made, store), variants)
    assert made.asked == variants
    # What the model is not shown makes no difference.
    made.asked.clear()
    answers(Stored(made, store), [Question(question.text, question.options, content=((0, 3),), unknown=1)])
    assert made.asked == []


def test_an_interrupted_request_loses_the_batch_at_work_only():
    made, store = Made(by_length), InterruptingStore(at=3)
    with pytest.raises(KeyboardInterrupt):
        answers(Stored(made, store), QUESTIONS)
    made.asked.clear()
    assert len(answers(Stored(made, store), QUESTIONS)) == 10
    assert made.asked == QUESTIONS[8:]


def test_two_edits_of_one_name_and_size_are_not_taken_for_each_other(tiny, toy_task):
    """Both are so many neurons removed; the second must not be given the first one's answers."""
    store, questions = MemoryStore(), toy_task(2).questions()
    found = []
    for units in ((1, 2, 3), (4, 5, 6)):
        with tiny.edited(NeuronSet(tuple(Neuron(GATE, unit, 0.0) for unit in units))):
            found.append(answers(Stored(tiny, store), questions))
            assert found[-1] == answers(Stored(tiny, MemoryStore()), questions)
    assert found[0] != found[1]


def test_the_key_is_of_weights_format_and_edit(tiny, tiny_folder):
    neurons = [Neuron(GATE, 1, 0.0), Neuron(GATE, 2, 0.0), Neuron("model.layers.0.mlp.gate_proj", 1, 0.0)]

    def key(neuron_set: NeuronSet | None) -> str:
        with tiny.edited(neuron_set):
            return tiny.key

    hidden = tuple(Neuron("model.layers.1.mlp.down_proj", unit, 0.0) for unit in (1, 2))
    keys = [
        key(None),
        key(NeuronSet(tuple(neurons))),
        key(NeuronSet(tuple(neurons[:2]))),
        key(NeuronSet(hidden, "ffn-hidden")),
        key(NeuronSet(hidden)),
        key(NeuronSet((Neuron(GATE, 1, 0.0, 0.5), *neurons[1:]))),
        load(str(tiny_folder), dtype="bfloat16").key,
    ]
    assert len(set(keys)) == len(keys)
    assert key(NeuronSet(tuple(neurons[::-1]))) == keys[1]  # order says nothing
    assert key(NeuronSet((Neuron(GATE, 1, 0.0, 1.0),))) == key(NeuronSet(())) == keys[0]  # nor does a factor of 1
    assert load(str(tiny_folder)).key == keys[0]


def test_the_checksum_sees_a_single_weight(tiny):
    before = weights_checksum(tiny.model)
    with torch.no_grad():
        tiny.model.model.layers[1].mlp.down_proj.weight[3, 5] += 1e-3
    assert weights_checksum(tiny.model) != before


def test_a_key_that_is_asked_for_inside_an_edit_first_is_of_the_weights_as_they_are(tiny, tiny_folder):
    neuron_set = NeuronSet((Neuron(GATE, 1, 0.0),))
    with tiny.edited(neuron_set):
        inside = tiny.key
    plain = tiny.key
    assert plain == load(str(tiny_folder)).key != inside


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / FILE).write_text("not a database, and long enough to be taken for one" * 40)
    with pytest.raises(RunError, match=r"answers\.sqlite' cannot be used: .*\. Delete it or name another folder"):
        FileStore(tmp_path)


@pytest.mark.parametrize(
    "damage", ["{", "[1]", '{"log": [1]}', "null", '{"log_likelihoods": [], "tokens": []}', None, 7]
)
def test_a_damaged_row_is_not_believed_but_computed_anew(tmp_path, damage, caplog):
    store = FileStore(tmp_path)
    store.add({b"key": ANSWER, b"other": ANSWER})
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE answers SET answer = ? WHERE key = ?", (damage, b"key"))
    assert store.find([b"key", b"other"]) == {b"other": ANSWER}
    assert "1 answers in" in caplog.text and "are damaged; they are computed anew" in caplog.text
    again = Answer((-3.0,), (1,))
    store.add({b"key": again, b"other": again})
    assert store.find([b"key", b"other"]) == {b"key": again, b"other": ANSWER}


def test_an_answer_that_stands_under_another_key_is_not_believed(tmp_path):
    store = FileStore(tmp_path)
    store.add({b"key": ANSWER})
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE answers SET key = ?", (b"other",))
    assert store.find([b"other"]) == {}
