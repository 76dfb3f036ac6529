"""A team's parked mails in, what a person found at the mail server said about each, once, out.

tidemill parked sdr                    those whose fate nobody knows, and how to look for each
tidemill parked sdr sent 3f0c9a1e      it is there: it counts as sent
tidemill parked sdr again 3f0c9a1e     it is not there: its event goes on its topic again
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from connectors.ledger import NOT_SENT, SENT
from connectors.mongodb import Document
from connectors.settings import settings
from jobs import parked_view, settle
from jobs.errors import TidemillError, one_line
from jobs.parked_mails import ParkedDesk, ParkedMail
from jobs.settle import Settled
from jobs.team_command import Asked, team_app

app = team_app("Mails whose fate nobody knows; say of each whether it is there.")
Ids = Annotated[list[str], typer.Argument(help="Their ids in the list.")]


@app.command("list")
def list_mails(context: typer.Context) -> None:
    """List the mails that wait for a person, the oldest first, and how to look for each."""
    asked: Asked = context.obj
    mails = ParkedDesk(asked.team).mails
    if not mails:
        asked.say(f"No mail of team {asked.name} is parked: none waits for a person.")
        return
    parked_view.print_mails(asked.console, asked.name, mails, settings().mail_from)
    if asked.console.is_terminal:
        command = f"`tidemill parked {asked.name} sent ID`"
        asked.say(f"Next: {command} if it is there, `… again ID` if it is not.")


@app.command()
def sent(context: typer.Context, ids: Ids) -> None:
    """Say that these mails are there: they count as sent, and nothing is sent."""
    asked: Asked = context.obj
    parked = ParkedDesk(asked.team)
    mails, already = _chosen(parked, ids, "sent")
    _tell(asked, settle.sent(mails), already)


@app.command()
def again(
    context: typer.Context,
    ids: Ids,
    because: Annotated[str, typer.Option(help="Why, for who reads the decision later.")] = "",
) -> None:
    """Say that these mails are not there: their events are driven again, and may send them."""
    asked: Asked = context.obj
    parked = ParkedDesk(asked.team)
    mails, already = _chosen(parked, ids, "again")
    _tell(asked, settle.again(parked, mails, because), already)


def _chosen(parked: ParkedDesk, ids: Sequence[str], command: str) -> tuple[list[ParkedMail], int]:
    """The mails that ids mean, and how many of them this command settled before. Raises
    TidemillError, before anything is written, where one means no mail that it may settle."""
    mails: dict[str, ParkedMail] = {}
    already = set()
    for word in ids:
        found = parked.find(word)
        if isinstance(found, ParkedMail):
            mails[found.effect_id] = found
        elif _settled(parked, found, command):
            already.add(found["_id"])
        else:
            raise TidemillError(
                f"mail {one_line(word)} is not parked any more, it is {_status(found)}",
                f"`tidemill parked {parked.team.team}` lists what is",
            )
    return list(mails.values()), len(already)


def _status(entry: Document) -> str:
    return "driven again" if entry.get("reason") == NOT_SENT else str(entry["status"])


def _settled(parked: ParkedDesk, entry: Document, command: str) -> bool:
    """Whether this command was given before for a mail that does not wait any more."""
    if command == "sent":
        return entry.get("reason") == SENT
    return entry.get("reason") != SENT and entry["_id"] in parked.desk.driven_mails.values()


def _tell(asked: Asked, done: Settled, already: int) -> None:
    if done.sent:
        asked.say(f"{done.sent} recorded as sent; nothing was sent now.")
    for topic, count in sorted(done.driven.items()):
        asked.say(f"{count} driven again, to {topic}.")
    if already + done.already:
        asked.say(f"{already + done.already} settled so already: nothing to do.")
    for mail, why in done.refused:
        asked.say(f"Mail {mail.short} stays as it is: {one_line(why)}.")
    if done.sent or done.driven:
        asked.say(f"Next: `tidemill status {asked.name}`.")
    if done.refused:
        raise typer.Exit(1)
