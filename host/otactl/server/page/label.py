"""What is stuck on a board: a QR code that leads to its own page."""

import io
from urllib.parse import quote

import segno
from aiohttp import web

_LONGEST = 32  # characters of an id (otactl/fleet/checkin.py)


def address(url: str, board: str) -> str:
    """The address of a board's page; `url`: of the server."""
    return f"{url.rstrip('/')}/board/{quote(board, safe='')}"


def code(url: str, board: str) -> str:
    """An SVG, black on white with the quiet zone of ISO/IEC 18004, as a printer wants it. Raises HTTPNotFound for no id."""
    if len(board) > _LONGEST:
        raise web.HTTPNotFound(text="no board has such an id\n")
    out = io.BytesIO()
    made = segno.make_qr(address(url, board), error="m")
    made.save(out, kind="svg", light="white", border=4, svgclass=None, lineclass=None, omitsize=True)
    return out.getvalue().decode()
