"""What the figures of a run do not say; the same in every form of the report."""

from biasectomy.measuring.results import Results


def limits(results: Results) -> list[str]:
    """Sentences on what a reader must not conclude."""
    abstention = [one.title for one in results.described.values() if one.role == "abstention"]
    return [
        "They hold for this task's questions, this prompt format and these instructions; bias that shows in other "
        "ways, in other languages or in free text was not measured.",
        *(
            [
                "A model that merely says more often that it cannot be known may look fairer. Read "
                f"{' and '.join(abstention)} beside every gain."
            ]
            if abstention
            else []
        ),
        "Perplexity on neutral text is a coarse measure of damage; measure what your use needs before you ship.",
        "The intervals cover which items were asked, not which neurons another draw of development items would have "
        "found.",
    ]
