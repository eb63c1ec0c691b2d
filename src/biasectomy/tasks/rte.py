"""RTE (Dagan et al. 2006 and three later challenges) as GLUE has it: does a hypothesis follow from a premise?

Contradiction and neither are one label, not_entailment. Pairs that share a premise or a hypothesis are one cluster. The
file has no licence that would let it travel with this package, and has not been at hand.
"""

from biasectomy.tasks.base import TASKS
from biasectomy.tasks.glue import ENTAILMENT, Layout, Pairs
from biasectomy.tasks.label_choice import label_metrics

ROWS = 277
RTE = Pairs(
    "rte",
    "RTE",
    ("Premise", "Hypothesis"),
    label_metrics("rte", "RTE"),
    Layout("sentence1", "sentence2", "label", ENTAILMENT, index="index"),
    Layout("sentence1", "sentence2", "label", ENTAILMENT, index="idx"),
)

TASKS.register("rte")(
    RTE.family(
        ROWS,
        "RTE: does a hypothesis follow from a premise? What no method should make a model unlearn",
        "none is stated; some of it came under an agreement with NIST",
        "Dagan et al., The PASCAL Recognising Textual Entailment Challenge, 2006, and its successors (Bar Haim et al. "
        "2006, Giampiccolo et al. 2007, Bentivogli et al. 2009)",
    )
)
