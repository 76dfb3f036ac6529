"""Bytes and text of strangers in, what a terminal shows and does not obey out."""

import datetime as dt
import unicodedata

from rich.console import Console

PLAIN_WIDTH = 160
_KEPT = frozenset("\n\t")


def console() -> Console:
    """As wide as the terminal; wide enough for whole lines in a pipe or a file."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def utc_time(ms: int, *, short: bool) -> str:
    """Milliseconds since the epoch as a person reads them; short is without year and seconds."""
    when = dt.datetime.fromtimestamp(max(0, ms) / 1000, dt.UTC)
    return when.strftime("%m-%d %H:%M" if short else "%Y-%m-%d %H:%M:%S")


def visible(text: str) -> str:
    """The text with every character that acts (escapes, controls, directions) spelled out."""
    return "".join(c if c in _KEPT or not _acts(c) else _spelled(c) for c in text)


def _acts(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def hexdump(raw: bytes, limit: int) -> str:
    """Offset, bytes and their printable ASCII, sixteen a line; how much was left out, last."""
    lines = []
    for start in range(0, min(len(raw), limit), 16):
        row = raw[start : min(start + 16, limit)]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {shown}")
    if len(raw) > limit:
        lines.append(f"… {len(raw) - limit} more bytes")
    return "\n".join(lines)
