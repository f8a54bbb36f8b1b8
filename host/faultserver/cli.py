"""The command: faults in, one line for each connection out. Exit code 0 done, 2 wrong usage, 3 no such port or file."""

import argparse
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from faultserver import faults
from faultserver.exchange import Folder, Source, Upstream
from faultserver.server import Event, FaultServer

_ONE_LINE = threading.Lock()
_TYPICAL = 1 << 20  # bytes of an image, for random positions


def main(words: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    args = _parser().parse_args(words)
    if args.list:
        print(faults.listing())
        return 0
    try:
        script = [faults.parse(text) for text in args.fault]
        source = _source(args)
    except ValueError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"{args.upstream_ca}: {error}", 3)
    if args.random:
        seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
        rng = random.Random(seed)
        for _ in range(args.random):
            script += faults.random_script(rng, args.size, most=1)
        _say(f"seed {seed}")
    try:
        server = FaultServer(
            source,
            args.cert,
            args.key,
            host=args.host,
            port=args.port,
            match=args.match,
            other_host=args.other_host,
            watch=_tell,
        )
    except OSError as error:  # ssl.SSLError too
        return _fail(f"cannot serve on {args.host} port {args.port} with {args.cert}: {error}", 3)
    server.script(script)
    _say(f"serving on {args.host} port {server.port}")
    _say("faults: " + (" ".join(faults.written(step) for step in script) or "none"))
    server.run()
    return 0


def _source(args: argparse.Namespace) -> Source:
    if args.proxy:
        return Upstream(args.proxy, args.upstream_ca)
    return Folder(args.root)


def _tell(event: Event) -> None:
    _say(f"{time.strftime('%H:%M:%S')}  {event}")


def _say(line: str) -> None:
    with _ONE_LINE:
        print(line, flush=True)


def _fail(text: str, code: int) -> int:
    print(f"faultserver: {text}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="faultserver",
        description="Serve a folder, or another server, over HTTPS with faults.",
        epilog="Each --fault is for one request, in their order; then all is well. "
        "One request's faults may be joined: --fault chunked+cut:20000. --fault ok leaves one out.",
    )
    add = parser.add_argument
    add("--list", action="store_true", help="print all faults, a line each")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--root", type=Path, default=Path("releases"), help="folder (releases)")
    where.add_argument("--proxy", metavar="URL", help="in place of a folder: https://host:port")
    add("--upstream-ca", type=Path, metavar="FILE", help="CA of the server behind --proxy")
    add("--cert", type=Path, default=Path("tls/server.pem"), help="default tls/server.pem")
    add("--key", type=Path, default=Path("tls/server.key"), help="default tls/server.key")
    add("--host", default="0.0.0.0", help="address to listen on (all)")
    add("--port", type=int, default=8443, help="default 8443; 0: any that is free")
    add("--fault", action="append", default=[], metavar="F", help="see --list; repeat for more")
    add("--match", default="*", metavar="GLOB", help="faults are for these paths only ('*.bin')")
    add("--other-host", default="localhost", metavar="NAME", help="where other-host redirects to")
    add("--random", type=int, default=0, metavar="K", help="K random faults after those")
    add("--seed", type=int, help="of --random; printed where it is not given")
    add("--size", type=int, default=_TYPICAL, help="of the file, for --random (1048576)")
    return parser
