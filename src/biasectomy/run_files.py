"""What the files in a run's folder are called."""

from pathlib import Path

from biasectomy.files import folder_name

RECORD, RESULTS = "record.json", "results.json"
ITEMS, QUESTIONS = "items.jsonl", "questions.jsonl"
REPORT, PAGE, PICTURES = "report.md", "report.html", "pictures"
METHODS_FOLDER, STORE, JUDGED = "methods", "store", "judged"
NEURONS, DESCRIBED = "neurons.json", "described.json"  # of the run and of each method; what neurons of one are
MODEL, ADAPTER = "model", "adapter"
REPLAY = "replay.json"
# Folders of runs by earlier versions may be replaced too.
EARLIER = {"attribution", "scores.safetensors", "ranking.json", "perplexity.json"}
KNOWN = EARLIER | {
    *(RECORD, RESULTS, ITEMS, QUESTIONS, REPORT, PAGE, PICTURES),
    *(METHODS_FOLDER, STORE, JUDGED, NEURONS, MODEL, ADAPTER, REPLAY),
}


def of_method(folder: Path, method: str) -> Path:
    """What a method keeps in a run's folder."""
    return folder / METHODS_FOLDER / folder_name(method)
