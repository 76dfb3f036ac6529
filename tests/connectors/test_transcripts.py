"""Transcripts in the forms of the Podcasting 2.0 namespace, and near them."""

import json

import pytest

from connectors.transcripts import said

SPOKEN = "Ada: How does a tide mill work? It waits.\n\nBen: For what?"


@pytest.mark.parametrize(
    "text",
    [
        "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\n"
        "<v Ada>How does a <b>tide</b> mill work?</v>\n\n"
        "NOTE a remark\n\n00:02.000 --> 00:03.000 align:start\n<v Ada>It waits.\n\n"
        "00:03.000 --> 00:04.000\n<v Ben>For what?\n",
        "\ufeffWEBVTT - title\r\n\r\n"
        "00:01.000 --> 00:02.000\r\n<v Ada>How does a tide mill work?\r\n\r\n"
        "00:02.000 --> 00:03.000\r\n<v Ada>It waits.\r\n\r\n"
        "00:03.000 --> 00:04.000\r\n<v Ben>For what?",
        json.dumps(
            {
                "version": "1.0.0",
                "segments": [
                    {"speaker": "Ada", "startTime": 1, "body": "How does a tide mill work?"},
                    {"speaker": "Ada", "startTime": 2, "body": "It waits."},
                    {"speaker": "Ben", "startTime": 3, "body": "For what?"},
                ],
            }
        ),
    ],
)
def test_a_transcript_is_what_is_said_by_turns(text: str) -> None:
    assert said(text) == SPOKEN


def test_subtitles_are_text_without_their_times() -> None:
    srt = (
        "1\n00:00:00,000 --> 00:00:03,000\nIt waits\nfor the ebb.\n\n"
        "2\n00:00:03,000 --> 00:00:09,500\nThen it turns.\n"
    )
    assert said(srt) == "It waits for the ebb. Then it turns."


def test_rolling_captions_are_said_once() -> None:
    vtt = "WEBVTT\n\n" + "".join(
        f"00:0{n}.000 --> 00:0{n + 1}.000\n{text}\n\n"
        for n, text in enumerate(["it waits", "it waits\nfor the ebb", "for the ebb\nand turns"])
    )
    assert said(vtt) == "it waits for the ebb and turns"


@pytest.mark.parametrize("text", ["", "Ada: Hello.", "<html>", "1\nno times"])
def test_any_other_text_is_none_of_these_forms(text: str) -> None:
    assert said(text) is None


@pytest.mark.parametrize("text", ["WEBVTT", "{", "[1, 2]", '{"segments": 5}', "[" * 5_000])
def test_a_transcript_without_words_says_nothing(text: str) -> None:
    assert said(text) == ""
