"""A text classifier as a judge: any `text-classification` model of the hub, or of a folder."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from biasectomy.errors import BiasectomyError, ModelError, SettingsError, UnknownNameError
from biasectomy.tasks.judges import JUDGES

TEXTS_AT_ONCE = 32


@JUDGES.register("classifier")
class Classifier:
    """Probabilities of a `text-classification` model, of all labels or one: `classifier:NAME`, `classifier:NAME#LABEL`.

    NAME is a hub id or a folder; safetensors only, and no code of the model's own.
    """

    def __init__(self, name: str, label: str = "") -> None:
        self.name, self.label = name, label

    @classmethod
    def make(cls, argument: str, data_folder: Path | None) -> "Classifier":
        """Of a name and perhaps a label.

        Raises:
            SettingsError: no model is named.
        """
        name, _, label = argument.partition("#")
        if not name:
            raise SettingsError("A classifier is named after the colon, as in 'classifier:ORG/NAME'.")
        return cls(name, label)

    def __call__(self, texts: Sequence[str]) -> Sequence[float] | Mapping[str, Sequence[float]]:
        """See `Judge`; labels in lower case.

        Raises:
            ModelError: the model cannot be loaded.
            UnknownNameError: it has no such label.
        """
        if not texts:
            return []
        # An empty text still needs a token to be judged by.
        found = self._pipeline([text or " " for text in texts], batch_size=TEXTS_AT_ONCE, truncation=True, top_k=None)
        rows = [{one["label"].lower(): float(one["score"]) for one in row} for row in found]
        labels = sorted(rows[0])
        if self.label and self.label.lower() not in labels:
            raise UnknownNameError(f"label of {self.name}", self.label, labels)
        if self.label:
            return [row[self.label.lower()] for row in rows]
        return {label: [row[label] for row in rows] for label in labels}

    @property
    def note(self) -> str:
        """What it is, for tables."""
        return f"the classifier {self.name}{f', {self.label}' if self.label else ''}"

    def record(self) -> dict[str, Any]:
        """For the record of a run."""
        config = self._pipeline.model.config
        return {
            "judge": "classifier",
            "model": self.name,
            "label": self.label,
            "revision": getattr(config, "_commit_hash", None),
        }

    @cached_property
    def _pipeline(self) -> Any:
        from transformers import pipeline

        try:
            return pipeline(
                "text-classification",
                model=self.name,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except BiasectomyError:
            raise
        except Exception as error:  # whatever a model of somebody else's raises
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"The classifier '{self.name}' cannot be loaded: {reason}") from error
