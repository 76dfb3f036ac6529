"""Nothing in, a cited brief on the sample sources out: `tidemill demo-research`.

The sources are a small web site with a blog's feed and a podcast's transcripts, served from this
machine (`deploy.websites`), and a folder of notes.
"""

from importlib.resources import as_file

import typer

from connectors.settings import settings
from deploy import stack
from jobs import terminal
from jobs.demo_steps import start_stack
from jobs.research import research
from jobs.sql_dir import sql_dir

TOPIC = "The tide mill at Saltern Reach"
GUEST, COMPANY = "Maren Holt", "Ebbwheel Works"
SITE = "http://saltern-reach.localhost:{port}"
PAGES = (
    "/",
    "/history.html",
    "/how-it-works.html",
    "/restoration.html",
    "/flour.html",
    "/energy.html",
    "/wildlife.html",
    "/money.html",
    "/blog/feed.xml",
    "/podcast/feed.xml",
)


def demo_research(
    no_notes: bool = typer.Option(False, "--no-notes", help="Leave the folder of notes out."),
) -> None:
    """Run the research team on a sample site with a feed and a podcast, and a folder of notes."""
    console = terminal.console()
    start_stack(console)
    console.print("2. The research team, and the sources", style="bold")
    (part,) = stack.status(["websites"])
    site = SITE.format(port=part.address.rpartition(":")[2].strip("/"))
    with as_file(sql_dir().joinpath("research").joinpath("sample").joinpath("notes")) as notes:
        sources = [f"{site}{page}" for page in PAGES]
        sources += [] if no_notes else [str(notes)]
        briefs = settings().home / "briefs"
        briefs.mkdir(parents=True, exist_ok=True)
        research(TOPIC, sources, guest=GUEST, company=COMPANY, out=briefs)
