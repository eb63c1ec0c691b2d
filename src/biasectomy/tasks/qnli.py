"""QNLI (Wang et al. 2019, out of SQuAD): does a sentence contain the answer to a question?

Of the 5,463 rows 2,702 are entailment, which is yes. They are not independent: they ask 4,100 questions, 1,362 of them
two or three times, of 3,913 sentences, 1,077 of which stand in two to eleven rows. Rows that share a question or a
sentence are one cluster: 2,686 clusters, 1,451 of them single rows, the largest of 20.
"""

from biasectomy.tasks.base import TASKS
from biasectomy.tasks.glue import ENTAILMENT, Layout, Pairs
from biasectomy.tasks.label_choice import label_metrics

ROWS = 5463
QNLI = Pairs(
    "qnli",
    "QNLI",
    ("Question", "Sentence"),
    label_metrics("qnli", "QNLI"),
    Layout("question", "sentence", "label", ENTAILMENT, index="index"),
    Layout("question", "sentence", "label", ENTAILMENT, index="idx"),
    published="763e95932dd3578251de71582e06829015f9c3815a518c751dc537219b159de4",
    published_rows="54915a2172450a2533c8cdc555ff0f01cfacbcc548ab894fa81bbb47f45ff636",
)

TASKS.register("qnli")(
    QNLI.family(
        ROWS,
        "QNLI: does a sentence contain the answer to a question? What no method should make a model unlearn",
        "CC-BY-SA-4.0",
        "Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR "
        "2019, out of Rajpurkar et al., SQuAD, EMNLP 2016",
    )
)
