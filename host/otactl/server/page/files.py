"""The page's own files: they lie beside this one, and no other is given out."""

import functools
from importlib import resources
from pathlib import PurePath

from aiohttp import web

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


async def named(request: web.Request) -> web.Response:
    """The file that the path names. Raises HTTPNotFound."""
    return await answer(request.match_info["file"], request)


async def answer(name: str, _request: web.Request) -> web.Response:
    """The file of that name. Raises HTTPNotFound."""
    found = _all().get(name)
    if found is None:
        raise web.HTTPNotFound(text="the page has no such file\n")
    return web.Response(body=found, content_type=_KINDS[PurePath(name).suffix], charset="utf-8")


@functools.cache
def _all() -> dict[str, bytes]:
    folder = resources.files("otactl.server.page") / "web"
    return {one.name: one.read_bytes() for one in folder.iterdir() if PurePath(one.name).suffix in _KINDS}
