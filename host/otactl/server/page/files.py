"""The page's own files: they lie beside this one, and no other is given out. A view is what its file has, in the frame that all
views have (frame.html)."""

import functools
from importlib import resources
from pathlib import PurePath
from string import Template

from aiohttp import web

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
_FRAME = "frame.html"
_TITLES = {"board": "Board", "labels": "Labels", "list": "Boards", "wall": "Wall"}  # of a view, while nothing is known
_LINKS = {"list": ("/", "List"), "wall": ("/wall", "Wall"), "labels": ("/labels", "Labels")}  # view -> address, word


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
    found = {one.name: one.read_bytes() for one in folder.iterdir() if PurePath(one.name).suffix in _KINDS}
    frame = Template(found.pop(_FRAME).decode())
    return found | {f"{view}.html": _framed(frame, view, found[f"{view}.html"].decode()) for view in _TITLES}


def _framed(frame: Template, view: str, content: str) -> bytes:
    here = {view: ' aria-current="page"'}
    links = [f'<a href="{address}"{here.get(name, "")}>{word}</a>' for name, (address, word) in _LINKS.items()]
    return frame.substitute(
        title=_TITLES[view], view=view, links="\n      ".join(links), content=content.rstrip()
    ).encode()
