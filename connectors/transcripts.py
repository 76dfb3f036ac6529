"""A transcript's text in, what was said out, a paragraph for each turn: VTT, SRT, JSON.

The forms are those that the Podcasting 2.0 namespace names for `podcast:transcript`; a transcript
in plain text or HTML is read as any such document. Captions that repeat, as rolling ones do, are
said once.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

_SRT = re.compile(r"\s*\d+\s*\n\d{1,2}:\d{2}:\d{2}[,.]\d{3} -->")
_TAG = re.compile(r"<[^<>]{0,200}>")


def said(text: str) -> str | None:
    """What a transcript says, None where the text is none of the three forms."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith("WEBVTT"):
        return _paragraphs(_captions(text.lstrip(), "vtt"))
    if _SRT.match(text):
        return _paragraphs(_captions(text, "srt"))
    if text.lstrip().startswith(("{", "[")):
        return _paragraphs(_segments(text))
    return None


def _captions(text: str, form: str) -> Iterator[tuple[str, str]]:
    import webvtt
    from webvtt.errors import MalformedCaptionError, MalformedFileError

    try:
        captions = webvtt.from_buffer(text.splitlines(keepends=True), format=form)
    except (MalformedFileError, MalformedCaptionError, ValueError):
        return
    for caption in captions.captions:
        yield caption.voice or "", _TAG.sub("", caption.text)


def _segments(text: str) -> Iterator[tuple[str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    segments: Any = document.get("segments") if isinstance(document, dict) else document
    for segment in segments if isinstance(segments, list) else ():
        if isinstance(segment, dict):
            words = segment.get("body") or segment.get("text") or ""
            yield str(segment.get("speaker") or ""), str(words)


def _paragraphs(captions: Iterable[tuple[str, str]]) -> str:
    """Captions of one speaker joined; the speaker's name stands before each turn."""
    turns: list[tuple[str, list[str]]] = []
    last = ""
    for speaker, words in captions:
        for line in (" ".join(line.split()) for line in words.split("\n")):
            if not line or line == last:
                continue
            last = line
            if not turns or (speaker and speaker != turns[-1][0]):
                turns.append((speaker, []))
            turns[-1][1].append(line)
    spoken = ((speaker, " ".join(lines)) for speaker, lines in turns)
    return "\n\n".join(f"{speaker}: {words}" if speaker else words for speaker, words in spoken)
