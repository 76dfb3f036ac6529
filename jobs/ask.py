"""A bundle and a question in, an answer from its stored passages out: `tidemill ask`.

    tidemill ask BUNDLE "How does it work?"     an answer, each statement with its passage
    tidemill ask BUNDLE --open 3                the passage behind [3] of the latest brief

The answer's citations are checked as a brief's are: what does not stand in a passage of this bundle
has no number.
"""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from jobs import terminal
from jobs.bundles import TEAM, Bundles
from jobs.errors import TidemillError
from jobs.sql_dir import sql_dir
from jobs.team import Team
from udfs.core import agent_loop
from udfs.core.agent_loop import RunRequest
from udfs.core.citations import Citation, Claim, Passage, checked_claim, plain

PASSAGES = 8
AGENT = "answer_question"
ANSWER_S = 180.0  # with the model's own tries
T = TypeVar("T")
Json = dict[str, Any]


def ask(
    bundle: Annotated[str, typer.Argument(help="The bundle, as `tidemill research` names it.")],
    question: Annotated[str | None, typer.Argument(help="What to answer.")] = None,
    open_: Annotated[
        int | None, typer.Option("--open", metavar="N", help="Show the passage behind [N].")
    ] = None,
) -> None:
    """Answer from what a bundle's sources say, or show a passage that its brief cites."""
    console = terminal.console()
    if question:
        with console.status("searching …"):
            claims, passages, unanswered = asyncio.run(_in_time(_answer(bundle, question)))
        _print_answer(console, claims, passages, unanswered, open_)
        return
    if open_ is None:
        raise TidemillError("there is no question", f'tidemill ask {bundle} "…", or --open N')
    citations = cited(bundle, open_)
    passage = asyncio.run(_in_time(_passage(bundle, citations[0]["chunk_id"])))
    if passage is None:
        raise TidemillError(
            f"the passage behind [{open_}] is no longer in the store: its source has changed",
            "ask for the brief's next version with `tidemill research`",
        )
    print_passage(console, open_, passage, [citation["quote"] for citation in citations])


async def _in_time(answer: Coroutine[Any, Any, T]) -> T:
    """The answer. Raises TidemillError where the store is away, or this Python embeds nothing."""
    from connectors.embedding import EmbeddingError

    try:
        return await asyncio.wait_for(answer, ANSWER_S)
    except TimeoutError:
        raise TidemillError(
            f"there was no answer within {ANSWER_S:.0f} s",
            "`tidemill status` and `tidemill doctor` show whether MongoDB and the model answer",
        ) from None
    except EmbeddingError as error:
        raise TidemillError(str(error), "the question is embedded here") from None


def cited(bundle: str, number: int) -> list[Json]:
    """What the latest brief cites under a number. Raises TidemillError."""
    found = Bundles().look()
    seen = found.get(bundle)
    if seen is None or seen.latest is None:
        known = ", ".join(sorted(name for name, one in found.items() if one.briefs)) or "none"
        raise TidemillError(f"there is no brief of {bundle}", f"briefs there are: {known}")
    citations = seen.latest["citations"]
    numbered = [one for one in citations if one["number"] == number]
    if not numbered:
        highest = max((one["number"] or 0 for one in citations), default=0)
        told = f"its numbers go from 1 to {highest}" if highest else "it cites nothing"
        raise TidemillError(f"the brief of {bundle} has no [{number}]", told)
    return numbered


async def _answer(bundle: str, question: str) -> tuple[list[Claim], dict[str, Passage], str]:
    from connectors.vectors import search
    from udfs.agent import model_and_journal
    from udfs.tools.chunks import passage, within_limit

    logging.getLogger("connectors.vector_index").setLevel(logging.ERROR)  # a worker's log line
    definition = Team(sql_dir(), TEAM).agent(AGENT)
    found = within_limit([passage(one) for one in await search(bundle, question, PASSAGES)])
    if not found:
        raise TidemillError(
            f"there is nothing in the bundle {bundle}", f"`tidemill status {TEAM}` lists bundles"
        )
    identity = str(uuid.uuid4())
    request = RunRequest(
        event_id=identity,
        attempt=1,
        key=bundle,
        row={"question": question, "passages": found},
        memory=[],
        trace_id=identity.replace("-", ""),
        parent_span_id=identity.replace("-", "")[:16],
        job=f"{TEAM}.ask",
    )
    model, journal = model_and_journal()
    try:
        outcome = await agent_loop.run(definition, request, model, journal, {})
    finally:
        await journal.aclose()
        await model.aclose()
    if outcome.failure:
        raise TidemillError(
            f"no answer: {outcome.failure.reason}: {outcome.failure.message}",
            "ask again, or in other words",
        )
    return checked(outcome.reply or {}, found)


def checked(reply: Json, found: list[Json]) -> tuple[list[Claim], dict[str, Passage], str]:
    """The reply's statements with their citations checked against the passages that were found."""
    passages = {one["chunk_id"]: Passage.of(one) for one in found}
    claims = [
        checked_claim(
            claim["text"], [(c["chunk_id"], c["quote"]) for c in claim["citations"]], passages
        )
        for claim in reply.get("claims") or ()
    ]
    return claims, passages, (reply.get("unanswered") or "").strip()


async def _passage(bundle: str, chunk_id: str) -> Passage | None:
    from connectors.vectors import chunk

    found = await chunk(bundle, chunk_id)
    return Passage.of(found) if found else None


def _print_answer(
    console: Console,
    claims: list[Claim],
    passages: dict[str, Passage],
    unanswered: str,
    only: int | None,
) -> None:
    proven: dict[str, list[Citation]] = {}
    for citation in (citation for claim in claims for citation in claim.proven):
        proven.setdefault(citation.chunk_id, []).append(citation)
    numbers = {chunk_id: number for number, chunk_id in enumerate(proven, 1)}
    console.print()
    for claim in claims:
        marks = dict.fromkeys(numbers[citation.chunk_id] for citation in claim.proven)
        line = Text(terminal.visible(claim.text))
        line.append("".join(f" [{number}]" for number in marks), style="cyan")
        if not claim.proven:
            line.append(" (no source that holds)", style="red")
        for doubt in claim.doubts:
            line.append(f" ({doubt})", style="yellow")
        console.print(line)
    if not claims or unanswered:
        console.print(terminal.visible(unanswered or "The sources do not say."), style="italic")
    for chunk_id, number in numbers.items():
        if only in (None, number):
            quotes = [citation.quote for citation in proven[chunk_id]]
            print_passage(console, number, passages[chunk_id], quotes)


def print_passage(console: Console, number: int, passage: Passage, quotes: list[str]) -> None:
    """A passage as it is stored, with what was quoted of it set off."""
    lines = (" ".join(line.split()) for line in passage.text.splitlines())
    text = Text(terminal.visible("\n".join(line for line in lines if line)))
    in_one_line = text.plain.replace("\n", " ")
    for quote in quotes:
        words = terminal.visible(" ".join(quote.split()))
        alike = plain(in_one_line)
        at = alike.find(plain(words)) if len(alike) == len(text) else -1
        at = in_one_line.find(words) if at < 0 else at
        if at >= 0:
            text.stylize("bold reverse", at, at + len(words))
    console.print()
    head = Text(f"[{number}] ", style="cyan")
    head.append(terminal.visible(passage.title), style="bold")
    head.append(f"  {terminal.visible(passage.url)}", style="dim")
    console.print(head, soft_wrap=True)
    console.print(Padding(text, (0, 0, 0, 4)))
