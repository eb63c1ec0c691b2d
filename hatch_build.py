"""The package index's page: the README with links that lead into the repository, wherever that is.

In the README links are relative, so that they work in every copy of the repository. On the page of a package index they
must be absolute. Their beginning is `project.urls.Source` in pyproject.toml, the only place that names it; while there
is none, links to files are plain text and pictures are left out, so that no link leads nowhere.
"""

import re
from pathlib import Path
from typing import Any

try:
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ImportError:  # in the tests, where only `readme_for_index` is wanted
    MetadataHookInterface = object

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")
PICTURE = re.compile(r"<picture>(?s:.*?)</picture>\n\n(?s:.+?)\n\n")  # and what tells what it shows
SHOWN = re.compile(r'(?<= )(src|srcset)="(?!https?:)([^"]+)"')


def readme_for_index(text: str, source: str | None) -> str:
    """The README's text with absolute links.

    Args:
        text: of the README.
        source: address of the repository; None where there is none.
    """

    def absolute(found: "re.Match[str]") -> str:
        picture, said, target = found.groups()
        if source is None:
            return "" if picture else said
        return f"{picture}[{said}]({source.rstrip('/')}/{'raw' if picture else 'blob'}/main/{target})"

    begin = source and f"{source.rstrip('/')}/raw/main"
    text = SHOWN.sub(rf'\1="{begin}/\2"', text) if begin else PICTURE.sub("", text)
    return LINK.sub(absolute, text)


class CustomMetadataHook(MetadataHookInterface):
    """Sets `readme`, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fills in the page."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme_for_index(text, source)}
