"""What mkdocs calls while it builds the site: pages are added that no file in docs/ holds.

The reference is written from the code at that moment, so it cannot say anything else than the code does. The changelog
and the page for contributors are those of the repository's root; notebooks become pages by nbconvert.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from documentation.commands_page import commands_page
from documentation.names_page import names_page, python_page

ROOT = Path(__file__).parents[1]
WRITTEN = {
    "reference/commands.md": commands_page,
    "reference/names.md": names_page,
    "reference/python.md": python_page,
}
OF_ROOT = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
NOTEBOOKS = {f"notebooks/{path.stem}": path for path in sorted((ROOT / "examples").glob("*.ipynb"))}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made."""
    from mkdocs.structure.files import File

    contents: dict[str, str | bytes] = {uri: write() for uri, write in WRITTEN.items()}
    contents |= {uri: of_root((ROOT / name).read_text(encoding="utf-8")) for uri, name in OF_ROOT.items()}
    for uri, path in NOTEBOOKS.items():
        contents |= of_notebook(uri, path)
    for uri, content in contents.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Comments between commands are no prompts; the end of a line does not part an option's hyphens from its name."""

    def comment(found: "re.Match[str]") -> str:
        return f'<span class="c1"># {re.sub("<[^>]+>", "", found.group(1))}</span>'

    html = re.sub(r'<span class="gp"># ?</span>(.*)', comment, html)
    return re.sub(r"(?<=>)--[\w.-]+(?=[<\n])", r'<span class="option">\g<0></span>', html)


def of_root(text: str) -> str:
    """A page of the root as one of the site: links into docs/ lead there, those to other files of the root are text."""
    pages = {name: uri for uri, name in OF_ROOT.items()}

    def placed(found: "re.Match[str]") -> str:
        said, target = found.groups()
        if target.startswith("docs/"):
            return f"[{said}]({target.removeprefix('docs/')})"
        return f"[{said}]({pages[target]})" if target in pages else str(said)

    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)([^)]+)\)", placed, text)


def of_notebook(uri: str, path: Path) -> dict[str, str | bytes]:
    """A notebook as a page, with its pictures and itself as files beside it."""
    exporter: Any = importlib.import_module("nbconvert").MarkdownExporter()
    text, resources = exporter.from_filename(str(path))
    names = {name: f"{path.stem}-{name}" for name in resources.get("outputs", {})}
    for name, unique in names.items():
        text = text.replace(f"({name})", f"({unique})")
    text += f"\n\nThe notebook itself: [{path.name}]({path.name}).\n"
    folder = uri.rpartition("/")[0]
    found: dict[str, str | bytes] = {f"{uri}.md": text, f"{folder}/{path.name}": path.read_bytes()}
    return found | {f"{folder}/{names[name]}": content for name, content in resources.get("outputs", {}).items()}
