"""Chunks of a text: where they stand, how long they are, and that no text takes for ever."""

import pytest

from udfs.core.chunking import LINE_CHARS, chunks, text_hash
from udfs.splitting import CHARS_PER_TOKEN, split

PROSE = "\n\n".join(
    f"## Part {n}\n\n"
    + " ".join(f"This is sentence {i} of part {n}, and it says little." for i in range(30))
    for n in range(8)
)  # fmt: skip


def test_a_chunk_stands_in_the_text_where_it_says() -> None:
    found = split(PROSE, 100, 20)
    assert len(found) > 10
    for chunk in found:
        assert PROSE[chunk.start_char : chunk.end_char] == chunk.text
        assert 0 < chunk.token_count <= 100 and chunk.chunk_hash == text_hash(chunk.text)


def test_chunks_leave_nothing_out_and_overlap_as_told() -> None:
    covered = [False] * len(PROSE)
    for chunk in split(PROSE, 100, 20):
        covered[chunk.start_char : chunk.end_char] = [True] * len(chunk.text)
    assert not "".join(c for c, seen in zip(PROSE, covered, strict=True) if not seen).strip()
    apart, together = split(PROSE, 100), split(PROSE, 100, 20)
    assert sum(len(c.text) for c in together) > sum(len(c.text) for c in apart)


def test_a_paragraph_that_is_added_leaves_the_chapters_behind_it_alone() -> None:
    before = {chunk.chunk_hash for chunk in split(PROSE, 100, 20)}
    after = {chunk.chunk_hash for chunk in split("## New\n\nA new line.\n\n" + PROSE, 100, 20)}
    assert len(after - before) <= 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "x" * 100_000,
        "漢字" * 20_000,
        ".!?" * 20_000,
        "\u200b" * 50_000,
        "é😀" * 9_000,
    ],
)
def test_any_text_is_cut_to_what_can_be_read(text: str) -> None:
    for chunk in split(text, 50, 10):
        assert chunk.text == text[chunk.start_char : chunk.end_char]
        assert len(chunk.text) <= 50 * CHARS_PER_TOKEN
    assert bool(split(text, 50, 10)) == bool(text.strip("\u200b \n\t"))


def test_long_lines_are_cut_before_the_splitter_sees_them() -> None:
    seen: list[int] = []

    def whole(text: str) -> list[tuple[int, str]]:
        seen.append(len(text))
        return [(0, text)] if text else []

    line = "a" * (2 * LINE_CHARS + 5)
    text = f"short\n{line}\nshort"
    found = chunks(text, whole, lambda texts: [1] * len(texts), chars_max=10**9)
    assert max(seen) <= LINE_CHARS + len("short\n")
    assert "".join(chunk.text for chunk in found) == text
