"""What boards will not find at a server that starts, by the address that they were given."""

from urllib.parse import urlsplit

from otactl.workspace.workspace import Workspace


def advice(place: Workspace, *, http: bool, port: int) -> list[str]:
    """A line for each thing that keeps boards from `port` of this machine, with what to change. `http`: plain."""
    found = []
    look = f"boards look at {place.channel_url}"
    plain = urlsplit(place.url).scheme == "http"
    if http and not plain:
        found.append(
            f"{look}: they will get no answer from plain HTTP; leave out --http, or have a proxy here that speaks TLS, "
            "or change url to http://, set allow_http = true below [board] and `otactl deploy`"
        )
    elif plain and not http:
        found.append(
            f"{look}: they will get no answer from TLS; add --http, or change url to https:// and `otactl deploy`"
        )
    elif plain and place.board.get("allow_http") is not True:
        found.append(f"{look}: they refuse plain HTTP; set allow_http = true below [board] and `otactl deploy`")
    if place.path:
        found.append(f"{look}: this server has no {place.path}; change url")
    elif port != place.port:
        found.append(f"{look}: change url, or forward")
    return found
