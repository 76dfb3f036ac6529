"""Sample websites in, the same over HTTP on loopback out, chosen by the Host header.

`http://northwind-robotics.localhost:8480/` serves `northwind-robotics/index.html` of any
`sql/<team>/sample/websites/`. Agents of the demo fetch these instead of the internet. A file is
sent with its ETag and time, and not again to who has it already.

`python -m deploy.websites --folder SQL_FOLDER --port PORT`
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles


def site_folders(sql_folder: Path) -> dict[str, Path]:
    """Host label → folder, of every team's sample."""
    found = sorted(sql_folder.glob("*/sample/websites/*/"))
    return {folder.name: folder.resolve() for folder in found if folder.is_dir()}


def application(sql_folder: Path) -> Starlette:
    """Serves files of the site that the Host header names; folders by their index.html."""

    async def page(request: Request) -> Response:
        label = request.headers.get("host", "").split(":")[0].split(".")[0].lower()
        root = site_folders(sql_folder).get(label)
        if root is None:
            return PlainTextResponse(f"No sample website is named {label!r}.", status_code=404)
        files = StaticFiles(directory=root, html=True)
        try:
            return await files.get_response(files.get_path(request.scope), request.scope)
        except HTTPException:
            return PlainTextResponse("Not found", status_code=404)

    async def health(_: Request) -> Response:
        return PlainTextResponse(f"{len(site_folders(sql_folder))} sample websites")

    return Starlette(
        routes=[Route("/.health", health), Route("/{path:path}", page, methods=["GET", "HEAD"])]
    )


if __name__ == "__main__":
    import uvicorn

    from deploy.server_process import arguments

    options = arguments("Sample websites of the local stack")
    uvicorn.run(application(options.folder), host="127.0.0.1", port=options.port, access_log=False)
