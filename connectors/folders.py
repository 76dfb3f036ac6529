"""A file's or folder's URL in, its bytes or the files in it out, from allowed folders only.

An event can name any path of the machine, so what may be read is decided elsewhere: by the setting
TIDEMILL_FOLDERS, and by the folders that a person gave to the command line (`allow`). A path counts
by where it leads, links resolved. Hidden files are never read: `.env` and `.git` are no documents.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from connectors.documents import SUFFIXES
from connectors.feeds import ENTRIES_MAX, Entry, Listing, one_line
from connectors.settings import settings

ALLOWED = "folders.txt"
FILE_BYTES = 64 * 1024 * 1024
LEVELS = 8
LOOKED_AT = 100_000


class FolderRefused(Exception):
    """It is not read. `reason` is a code; `gone` says that nothing is there any more."""

    def __init__(self, reason: str, message: str, gone: bool = False) -> None:
        super().__init__(message)
        self.reason, self.gone = reason, gone


@dataclass(frozen=True)
class Stamp:
    """By what a file that has not changed is known."""

    size: int
    modified_ns: int

    def __str__(self) -> str:
        return f"{self.size}-{self.modified_ns}"


def allow(path: Path) -> str:
    """Let workers that share this home read a folder or file; returns its URL."""
    real = path.expanduser().resolve(strict=True)
    known = settings().home.expanduser() / ALLOWED
    known.parent.mkdir(parents=True, exist_ok=True)
    if str(real) not in _lines(known):
        with known.open("a", encoding="utf-8") as file:
            file.write(f"{real}\n")
    return real.as_uri()


def allowed() -> list[Path]:
    """The folders and files of which documents may be read, as they are now."""
    current = settings()
    named = [name for name in (current.folders or "").split(os.pathsep) if name]
    paths = map(Path, [*named, *_lines(current.home.expanduser() / ALLOWED)])
    return [path.resolve() for path in paths if path.is_absolute() and path != Path("/")]


def locate(url: str) -> Path:
    """The path that a URL leads to. Raises `FolderRefused` unless it may be read."""
    try:
        parts = urlsplit(url)
        named = Path(unquote(parts.path))
        real = named.resolve()
        is_there = real.exists()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, no path at all
        raise FolderRefused("odd_url", "expected file:///absolute/path") from None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not named.is_absolute():
        raise FolderRefused("odd_url", "expected file:///absolute/path")
    root = next((root for root in allowed() if real.is_relative_to(root)), None)
    if root is None:
        what = "it is in no folder that may be read: name its folder to `tidemill research`"
        raise FolderRefused("folder_not_allowed", f"{what}, or in TIDEMILL_FOLDERS")
    if any(part.startswith(".") for part in real.relative_to(root).parts):
        raise FolderRefused("hidden", "hidden files are not read")
    if not is_there:
        raise FolderRefused("not_found", "there is no such file", gone=True)
    return real


def listing(folder: Path) -> Listing:
    """The documents below a folder, in the order of their names."""
    found = sorted(_files(folder))
    entries = [
        Entry(path.as_uri(), "file", one_line(str(path.relative_to(folder))))
        for path in found[:ENTRIES_MAX]
    ]
    return Listing(one_line(folder.name), tuple(entries), len(found))


def stamp(path: Path) -> Stamp:
    """Raises `FolderRefused` where there is no ordinary file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise FolderRefused("not_a_file", "it is no ordinary file")
    return Stamp(found.st_size, found.st_mtime_ns)


def content(path: Path) -> tuple[bytes, Stamp]:
    """The bytes of a file, and its stamp of when they were read."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FolderRefused("not_a_file", "it is no ordinary file")
        body = file.read(FILE_BYTES + 1)
    if len(body) > FILE_BYTES:
        raise FolderRefused("too_large", f"the file is larger than {FILE_BYTES} bytes")
    return body, Stamp(found.st_size, found.st_mtime_ns)


def _files(folder: Path) -> Iterator[Path]:
    looked_at = 0
    for here, folders, names in os.walk(folder):
        level = len(Path(here).relative_to(folder).parts)
        folders[:] = sorted(n for n in folders if n[0] not in "._" and level < LEVELS)
        for name in sorted(names):
            looked_at += 1
            if looked_at > LOOKED_AT:
                return
            path = Path(here, name)
            if name[0] != "." and path.suffix.lower() in SUFFIXES and not path.is_symlink():
                yield path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
