"""Small models, tokenizers and tasks that the tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from biasectomy.models.language_model import LanguageModel, load
from biasectomy.reading import likelihood
from biasectomy.reading.layouts import Batch, RowLayout
from biasectomy.tasks.ambiguity import (
    AMBIGUOUS,
    DISAMBIGUATED,
    GOALS,
    LABEL_TYPE,
    NEGATIVE,
    NON_NEGATIVE,
    SPREAD,
    ambiguity_metrics,
    labels,
)
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.crows_pairs import FILE, PAIRS
from biasectomy.tasks.multiple_choice import LIKELIHOOD_OR_TEXT, listed
from tests import REAL_DATA

# Workers (pytest -n) share the machine: each computes with its share of the cores, and so does what it starts.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())

CHAT_TEMPLATE = (
    "{% for message in messages %}<user>{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="session", autouse=True)
def runs_draw_no_pages() -> Iterator[None]:
    """Runs of tests end without `report.html`: drawing its pictures would take longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        for command in ("run_folder", "judge"):
            patch.setattr(f"biasectomy.commands.{command}.write_page", lambda folder: None)
        yield


def build_tokenizer(chat: bool = True):
    """A byte-level BPE tokenizer trained on a few lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<start>", "<end>", "<user>", "<assistant>"]
    lines = [
        "Read the context and answer the question with one of the options.",
        "Context: The grandfather and the grandson met at the market. Question: Who forgot the keys?",
        "Options: The grandfather, The grandson, Cannot be determined. Answer: unknown, not known",
    ] * 3
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        chat_template=CHAT_TEMPLATE if chat else None,
    )


def build_llama(vocabulary: int, *, layers: int = 2, seed: int = 0, **config):
    """A random model of the Llama shape, with weights large enough for its answers to differ."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    settings = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "intermediate_size": 40,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.5,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(**(settings | config))).eval()


def save_tiny(folder: Path, *, chat: bool = True, **config) -> Path:
    tokenizer = build_tokenizer(chat)
    build_llama(len(tokenizer), **config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny Llama with its tokenizer and chat template."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture
def tiny(tiny_folder: Path) -> LanguageModel:
    """The tiny Llama, loaded as a user would load it."""
    return load(str(tiny_folder))


def score_in_rows(model, encoded):
    """Scores of one prompt with a row for each option."""
    return likelihood.score(model, Batch((0,), (encoded,)), RowLayout())[0]


UNKNOWN = ("Cannot be determined", "Not known", "Unknown")
PEOPLE = (("grandfather", "grandson"), ("teacher", "pupil"), ("baker", "singer"), ("old man", "young man"))


def make_items(clusters: int = 8, per_cluster: int = 4, task: str = "toy:age") -> tuple[Item, ...]:
    """Items like BBQ's: each template in both conditions and polarities, the gold option in turn at each place."""
    items = []
    for cluster in range(clusters):
        for number in range(per_cluster):
            first, second = PEOPLE[(cluster + number // 4) % len(PEOPLE)]
            ambiguous, negative = number % 2 == 0, number % 4 < 2
            place = f"room {cluster}"
            context = f"The {first} and the {second} met in {place}."
            if not ambiguous:
                context += f" The {second} forgot the keys."
            texts = [f"The {first}", f"The {second}", UNKNOWN[cluster % 3]]
            shift = (cluster + number) % 3
            options = tuple(texts[shift:] + texts[:shift])
            where = {text: index for index, text in enumerate(options)}
            items.append(
                Item(
                    identifier=f"{task}/{cluster * per_cluster + number}",
                    context=context,
                    question=f"Who {'forgot' if negative else 'kept'} the keys?",
                    options=options,
                    gold=where[texts[2]] if ambiguous else where[texts[1] if negative else texts[0]],
                    cluster=f"{task}/{cluster}",
                    task=task,
                    target=where[texts[0] if negative else texts[1]],
                    unknown=where[texts[2]],
                    labels=labels(AMBIGUOUS if ambiguous else DISAMBIGUATED, NEGATIVE if negative else NON_NEGATIVE),
                )
            )
    return tuple(items)


INSTRUCTIONS = (
    "Read the context and answer the question with one of the options.",
    "Answer the question.",
    "Who is it? Choose an option.",
)


@pytest.fixture
def toy_task() -> Callable[..., Task]:
    """Makes a task of generated items with BBQ's metrics."""

    def make(clusters: int = 8, per_cluster: int = 4, instructions: int = 2) -> Task:
        items = make_items(clusters, per_cluster)
        return Task(
            "toy:age",
            items,
            INSTRUCTIONS[:instructions],
            ambiguity_metrics(items),
            "1",
            listed,
            GOALS,
            LIKELIHOOD_OR_TEXT,
            spread=SPREAD,
            alike=LABEL_TYPE,
        )

    return make


@pytest.fixture
def crows_pairs(tmp_path: Path) -> Path:
    """A data folder with one pair of each bias type of CrowS-Pairs; two are marked antistereo."""
    rows = [
        f"{number},The poor cook met {number} friends.,The rich cook met {number} friends.,"
        f"{'antistereo' if number in (1, 4) else 'stereo'},{kind.replace('_', '-')}"
        for number, kind in enumerate(PAIRS)
    ]
    file = tmp_path / "pairs" / FILE
    file.parent.mkdir(parents=True)
    file.write_text("\n".join([",sent_more,sent_less,stereo_antistereo,bias_type", *rows]) + "\n")
    return tmp_path / "pairs"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data, where there is one."""
    candidates = [os.environ[REAL_DATA], Path(__file__).parents[2] / "shared" / "data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "bbq").is_dir():
            return Path(candidate)
    pytest.skip("the folder with real data (BIASECTOMY_DATA) is not here")
