"""MRPC (Dolan and Brockett 2005) as GLUE has it: do two sentences from the news mean the same?

About two thirds of the pairs are equivalent, so always saying yes has a high accuracy, which stands beside the model's,
and a higher F1 still: 2 p / (1 + p) where the share p of the pairs is equivalent. Pairs that share a sentence, by its
identifier or its text, are one cluster; the hub's rows have no identifiers. The licence keeps the corpus out of this
package, and the file has not been at hand: its columns and the number of its rows are GLUE's word.
"""

from biasectomy.tasks.base import TASKS
from biasectomy.tasks.glue import Layout, Pairs
from biasectomy.tasks.label_choice import f1, label_metrics

ROWS = 408
MRPC = Pairs(
    "mrpc",
    "MRPC",
    ("Sentence 1", "Sentence 2"),
    (*label_metrics("mrpc", "MRPC"), f1("mrpc", "MRPC")),
    Layout("#1 String", "#2 String", "Quality", {"1": 0, "0": 1}, ids=("#1 ID", "#2 ID")),
    Layout("sentence1", "sentence2", "label", {"equivalent": 0, "not_equivalent": 1}),
)

TASKS.register("mrpc")(
    MRPC.family(
        ROWS,
        "MRPC: do two sentences mean the same? What no method should make a model unlearn",
        "Microsoft Research Shared Source licence, non-commercial",
        "Dolan and Brockett, Automatically Constructing a Corpus of Sentential Paraphrases, IWP 2005",
    )
)
