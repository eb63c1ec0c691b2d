"""A loaded model with its tokenizer and its prompt format, as one object."""

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Unpack

import torch

from biasectomy.errors import DataError, ScoreError
from biasectomy.models.changes import Changes
from biasectomy.models.fingerprints import fingerprint, weights_checksum
from biasectomy.models.loading import LoadingOptions, Weights, number_format, stored_dtype
from biasectomy.models.saving import PROBE, Checkpoint, refuse_existing
from biasectomy.models.sources import ModelSource, resolve_model
from biasectomy.neurons.discovery import Neurons, discover_neurons
from biasectomy.neurons.edits import edited
from biasectomy.neurons.neuron_set import NeuronSet, model_shape
from biasectomy.neurons.work import Operations
from biasectomy.processes import ALONE, Processes
from biasectomy.reading import likelihood
from biasectomy.reading.distributions import divergences, next_token_log_probabilities, plan_distributions
from biasectomy.reading.generation import generate, generation_size, plan_generation
from biasectomy.reading.layouts import Batch, Layout, PackedLayout, Size
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.limits import check_prompt, longest_text
from biasectomy.reading.memory import in_halves, is_sharded
from biasectomy.reading.onednn import fast_products
from biasectomy.reading.prefixes import PrefixRule
from biasectomy.reading.prompts import EncodedPrompt, PromptFormat, PromptKind, prompt_format
from biasectomy.reading.questions import Answer, Question

# Enough for matrix products to run at their full rate; more only takes memory.
CPU_BATCH_TOKENS = 1024
ACCELERATOR_BATCH_TOKENS = 4096
WHOLE_TEXT_TOKENS = 256  # every token of a whole text needs the logits of the whole vocabulary, so batches are small
# Operations in the time of a byte of weights: what a pass costs however few its tokens are. Only in what proportion
# work is handed out depends on it.
CPU_BALANCE, ACCELERATOR_BALANCE = 10, 300


@dataclass
class LanguageModel:
    """A model with its tokenizer and its prompt format: answers questions, can be edited, can be saved."""

    model: Any
    tokenizer: Any
    prompt_format: PromptFormat
    name: str
    source: ModelSource | None = None
    batch_tokens: int = CPU_BATCH_TOKENS
    layout: Layout = field(default_factory=PackedLayout)
    weights: Weights | None = None  # how it was loaded, so that its full-precision form can be
    _discovered: dict[str, Neurons] = field(default_factory=dict, repr=False)
    _encoded: dict[Question, EncodedPrompt] = field(default_factory=dict, repr=False)
    _changes: Changes = field(default_factory=Changes, repr=False)
    _checksum: str = field(default="", repr=False)
    _fingerprint: str = field(default="", repr=False)
    _operations: Operations | None = field(default=None, repr=False)

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`.

        Raises:
            DataError: a question cannot be put into tokens.
            ScoreError: a log-likelihood is NaN or infinite.
            ModelError: the memory is too small even for one question.
        """
        for batch in self.plan(questions):
            if wanted is None or not {*batch.indices}.isdisjoint(wanted):
                yield list(zip(batch.indices, self.answer(batch, questions), strict=True))

    @property
    def key(self) -> str:
        """SHA-256 of all that decides its answers but the tokens it is given: weights, number format, changes in force.

        The weights are read once: whoever changes them in memory otherwise than by `edited` or `changed` loads the
        model anew.
        """
        if not self._checksum:
            with self.unedited():
                self._checksum = weights_checksum(self.model)
        digest = hashlib.sha256(self._checksum.encode())
        for key in self._changes.keys:
            digest.update(json.dumps(key, sort_keys=True).encode())
        return digest.hexdigest()

    def neurons(self, definition: str = "linear-output") -> Neurons:
        """All neurons of the model under a definition."""
        if definition not in self._discovered:
            self._discovered[definition] = discover_neurons(self.model, definition)
        return self._discovered[definition]

    @contextlib.contextmanager
    def edited(self, neuron_set: NeuronSet | None) -> Iterator[None]:
        """A block in which the model computes with the set's factors; None edits nothing.

        Raises:
            NeuronSetError: the set names neurons that the model does not have.
        """
        if neuron_set is None or not len(neuron_set):
            yield
            return
        known = self.neurons(neuron_set.definition)
        factors = sorted((one.module, one.unit, one.factor) for one in neuron_set if one.factor != 1)
        key = [neuron_set.definition, factors] if factors else None
        with self.changed(lambda: edited(self.model, neuron_set, known), key):
            yield

    @contextlib.contextmanager
    def changed(self, make: Callable[[], AbstractContextManager[None]], key: Any) -> Iterator[None]:
        """A block in which the model is changed in a way of the caller's, inside the changes in force.

        Args:
            make: gives the block that makes the change and takes it back; it is made again after `unedited`.
            key: what JSON can hold and no other change has: answers are kept by it. None for what changes no answer.
        """
        with self._changes.made(make, key):
            yield

    @contextlib.contextmanager
    def unedited(self) -> Iterator[None]:
        """A block in which the model is the original: changes in force are undone, and then made again in order."""
        with self._changes.undone():
            yield

    def encode(self, question: Question) -> EncodedPrompt:
        """Tokens of a question, made once.

        Raises:
            DataError: the question cannot be put into tokens, or into more than the model takes; `question` is the one.
            ModelError: the tokenizer is another model's.
        """
        if question not in self._encoded:
            try:
                encoded = self.prompt_format.encode(question)
                self.check(encoded)
                self._encoded[question] = encoded
            except DataError as error:
                error.question = question
                raise
        return self._encoded[question]

    def check(self, encoded: EncodedPrompt) -> None:
        """Refuses tokens that the model cannot read; see `check_prompt`."""
        config = self.model.config
        check_prompt(
            encoded,
            longest=longest_text(config),
            embeddings=self.model.get_input_embeddings().weight.shape[0],
            apart=bool(config.is_encoder_decoder),
        )

    def plan(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """Batches of questions within the token budget, always the same for the same questions."""
        encoded = [self.encode(question) for question in questions]
        compared = [question.divergence for question in questions]
        whole = [bool(one.words) or compared[index] for index, one in enumerate(encoded)]
        written = [bool(one.new_tokens) for one in encoded]
        for kind in (False, True):
            chosen = [index for index, one in enumerate(encoded) if written[index] == kind and not whole[index]]
            prompts = [encoded[index] for index in chosen]
            batches = plan_generation(prompts, self.batch_tokens) if kind else self._scored(prompts, self.batch_tokens)
            yield from (_renumbered(batch, chosen) for batch in batches)
        budget = min(self.batch_tokens, WHOLE_TEXT_TOKENS)
        for plan, kind in ((self._scored, False), (plan_distributions, True)):
            chosen = [index for index in range(len(encoded)) if whole[index] and compared[index] == kind]
            for batch in plan([encoded[index] for index in chosen], budget):
                yield _renumbered(batch, chosen)

    def _scored(self, prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[Batch]:
        return self.layout.plan(prompts, budget) if prompts else iter(())

    def cost(self, batch: Batch, *, separate: bool = False) -> float:
        """What a forward pass over a batch costs beside another, in operations; that of a pass itself is counted too.

        Args:
            separate: see `Layout.plan`.
        """
        size, (device, dtype) = self.size(batch, separate=separate), placement(self.model)
        weights = dtype.itemsize * (self.operations.token + self.operations.input) / 2
        reading = size.passes * weights * (CPU_BALANCE if device.type == "cpu" else ACCELERATOR_BALANCE)
        return self.operations.work(size).forward + reading

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """How much there is to read in a batch, and to write; see `cost`."""
        if batch.prompts[0].new_tokens:
            return generation_size(batch, encoded=bool(self.model.config.is_encoder_decoder))
        return self.layout.size(batch, separate=separate)

    @property
    def operations(self) -> Operations:
        """What each thing costs that a size counts."""
        if self._operations is None:
            self._operations = Operations.of(self.model)
        return self._operations

    def answer(
        self, batch: Batch, questions: Sequence[Question], shortage: Callable[[], object] = lambda: None
    ) -> list[Answer]:
        """Answers to a batch of `plan`, in the order of `batch.indices`; halved as often as memory needs it.

        Args:
            shortage: is called each time that memory was too small.
        """
        if batch.prompts[0].new_tokens:
            texts = in_halves(
                lambda half: generate(self.model, self.tokenizer, half), batch, shortage, whole=is_sharded(self.model)
            )
            return [Answer(texts=(text,)) for text in texts]
        with fast_products(self.model, kept=True):
            if questions[batch.indices[0]].divergence:
                return self._compared(batch, questions, shortage)
            found = in_halves(
                lambda half: likelihood.score(self.model, half, self.layout),
                batch,
                shortage,
                whole=is_sharded(self.model),
            )
        if not all(scores.finite for scores in found):
            self._refuse_not_finite(batch, questions, found)
        return [
            Answer(scores.log_likelihoods, scores.tokens, encoded.words)
            for scores, encoded in zip(found, batch.prompts, strict=True)
        ]

    def _compared(self, batch: Batch, questions: Sequence[Question], shortage: Callable[[], object]) -> list[Answer]:
        """Divergences from the original at every token: 0, without computing anything, where nothing is changed."""
        if not self._changes:
            found = [(0.0,) * len(one.options[0]) for one in batch.prompts]
        else:
            found = in_halves(self._divergences, batch, shortage, whole=is_sharded(self.model))
        for index, values in zip(batch.indices, found, strict=True):
            if not all(map(math.isfinite, values)):
                error = ScoreError(
                    "The model's divergence from the original is not finite. Its weights may be damaged, or --dtype "
                    "float32 may be needed."
                )
                error.question = questions[index]
                raise error
        return [Answer(divergences=values) for values in found]

    def _divergences(self, batch: Batch) -> list[tuple[float, ...]]:
        with torch.inference_mode():
            now = next_token_log_probabilities(self.model, batch.prompts)
        with self.unedited(), torch.inference_mode():
            original = next_token_log_probabilities(self.model, batch.prompts)
        return [tuple(values.tolist()) for values in divergences(original, now)]

    def _refuse_not_finite(
        self, batch: Batch, questions: Sequence[Question], found: Sequence[likelihood.OptionScores]
    ) -> NoReturn:
        if is_sharded(self.model):  # no process passes through the model alone
            culprit = next((place, scores) for place, scores in enumerate(found) if not scores.finite)
        else:
            culprit = likelihood.first_not_finite(self.model, batch.prompts, self.layout) or (0, found[0])
        position, values = culprit[0], culprit[1].log_likelihoods
        error = ScoreError(
            f"The model's log-likelihoods of the options are not finite ({', '.join(f'{one:g}' for one in values)}). "
            "Its weights may be damaged, or --dtype float32 may be needed."
        )
        error.question = questions[batch.indices[position]]
        raise error

    def description(self) -> dict[str, Any]:
        """What identifies the model in records and neuron sets."""
        found = self._fingerprint or fingerprint(self.model)
        if not self._changes:
            self._fingerprint = found
        return {"name": self.name, "shape": model_shape(self.model), "fingerprint": found}

    def save(
        self,
        folder: str | Path,
        neuron_set: NeuronSet | None = None,
        *,
        overwrite: bool = False,
        dtype: str = "auto",
    ) -> float:
        """Writes a plain `transformers` checkpoint with the set's factors in its weights, and reads it back.

        The folder appears only when it is whole: its weights, as a freshly loaded copy has them, are the edited ones,
        rounded to the number format they are stored in, to the last bit; and the edit in the weights answers as the
        edit in force does, within 1e-4. Returns the largest difference of a probe's log-likelihoods between the
        reloaded copy and the edited model in memory: what storing costs.

        Args:
            dtype: the number format, "float32", "bfloat16" or "float16"; "auto" is that of the files the model was
                loaded from.

        Raises:
            RunError: the folder exists, cannot be written, or the checkpoint is not what was to be written.
        """
        refuse_existing(Path(folder), overwrite=overwrite)
        weights, model = self.weights, self.model
        if weights is not None and (weights.quantization is not None or is_sharded(model)):
            model = weights.full_precision().load()[1]
        known = weights.stored_dtype if weights is not None else None
        stored = number_format(dtype) if dtype != "auto" else known or model.dtype
        checkpoint = Checkpoint(model, self.tokenizer, self.layout, self.prompt_format.encode(PROBE), stored)
        return checkpoint.write(Path(folder), neuron_set or NeuronSet(()))


def load(
    name: str | ModelSource = "smollm2",
    *,
    prompt: PromptKind = "auto",
    prefix: PrefixRule = "auto",
    batch_tokens: int | None = None,
    processes: Processes = ALONE,
    **options: Unpack[LoadingOptions],
) -> LanguageModel:
    """Loads a model: `smollm2`, a local folder, a GGUF file or a hub id.

    Args:
        name: of the model, or its files as `resolve_model` finds them.
        prompt: the model's chat template, plain text, or the template where there is one.
        prefix: of whole texts: the token in front that `choose_prefix` finds by a rule, "auto", "bos", "eos" or "none".
        batch_tokens: tokens in one batch; None for what suits the device.
        processes: over which the model is spread, if they work together; all must call this.
        options: `dtype`, `device`, `device_map`, `quantization` and `trust_remote_code` (see `LoadingOptions`).

    Raises:
        UnknownNameError, SourceError: there is no such model.
        ModelError: it cannot be loaded, is too large for the memory at hand, or has no usable tokenizer.
    """
    source = name if isinstance(name, ModelSource) else resolve_model(name)
    weights = Weights.chosen(source, options)
    whole = None
    if processes.together:
        from biasectomy.models.sharding import load_sharded

        config, model, tokenizer, whole = load_sharded(weights, processes)
    else:
        config, model, tokenizer = weights.load()
    language_model = LanguageModel(
        model=model,
        tokenizer=tokenizer,
        prompt_format=prompt_format(tokenizer, config, prompt, f"'{source.name}'", prefix),
        name=source.name,
        source=source,
        batch_tokens=batch_tokens or (CPU_BATCH_TOKENS if model.device.type == "cpu" else ACCELERATOR_BATCH_TOKENS),
        weights=replace(weights, stored_dtype=stored_dtype(source, config)),
    )
    if whole is None:
        language_model.layout = likelihood.layout_for(model, model.get_input_embeddings().weight.shape[0])
    else:
        language_model.layout = whole.layout
        language_model._checksum, language_model._fingerprint = whole.checksum, whole.fingerprint
    return language_model


def _renumbered(batch: Batch, chosen: Sequence[int]) -> Batch:
    """A batch of some of the questions, with their indices among all of them."""
    return replace(batch, indices=tuple(chosen[index] for index in batch.indices))
