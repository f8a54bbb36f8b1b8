"""The verbs that need no board of yours: virtual-board, demo."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import FILE, PORT, TOOLS, verb
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.release.firmware import Firmware

try:  # needs a POSIX system: the other verbs must run without
    from vboard.chips import BOARDS, CHIPS
    from vboard.flash.table import LAYOUTS
except ImportError:
    _CHIPS: Collection[str] = ()
    _LAYOUTS: Collection[str] = ()
else:
    _CHIPS, _LAYOUTS = BOARDS, LAYOUTS


@verb(TOOLS, "virtual-board --chip esp32s3 --port /tmp/board")
@click.option("--folder", type=FILE, help="Where its flash is kept (default: a new one that is forgotten).")
@click.option(
    "--chip", type=click.Choice(list(_CHIPS)) if _CHIPS else str, help="(default: that of the firmware, or esp32)"
)
@click.option("--layout", help=f"{', '.join(_LAYOUTS)}, or a partition CSV (default: ota).")
@click.option("--flash-mib", type=int, help="(default: what the layout needs)")
@click.option("--heap-kib", type=int, help="What a program has (default: 160; 35 on an esp8266).")
@click.option("--app", type=FILE, help="Firmware file for its first slot (default: a small made-up one).")
@click.option("--full-flash", type=FILE, help="Firmware file with bootloader and partition table, for its whole flash.")
@click.option("--blank", is_flag=True, help="Nothing in its flash, as a module comes from its factory.")
@click.option("--ssid", default="virtual", help="The Wi-Fi network that it can join (default: virtual).")
@click.option("--password", default="password", help="(default: password)")
@click.option("--port", type=FILE, help="Make the port appear at this path as well.")
@click.option("--rfc2217", "network_port", type=PORT, help="A TCP port for its modem lines too (0: any free one).")
@click.option("--baud", type=click.IntRange(min=1), help="A UART of that speed, which loses what nobody reads.")
@click.option("--download", is_flag=True, help="Start it in the ROM loader, for esptool.")
def virtual_board(
    *,
    folder: Path | None,
    chip: str | None,
    layout: str | None,
    flash_mib: int | None,
    heap_kib: int | None,
    app: Path | None,
    full_flash: Path | None,
    blank: bool,
    ssid: str,
    password: str,
    port: Path | None,
    network_port: int | None,
    baud: int | None,
    download: bool,
) -> int:
    """Start a virtual board that stays until Ctrl-C, print its port."""
    try:
        from vboard.cli import run
        from vboard.refused import Refused
    except ImportError as error:
        raise UsageError(f"no virtual board on this system: {error}") from None

    if sum(map(bool, (app, full_flash, blank))) > 1:
        raise UsageError("--app, --full-flash and --blank: give one of them")
    if layout and (full_flash or blank):
        raise UsageError("--layout is for a board with a made-up flash: leave it out with --full-flash and --blank")
    firmware_file = app or full_flash
    image = _image(firmware_file, chip) if firmware_file else None
    try:
        return run(
            folder=folder,
            chip=chip or (image.chip if image else None),
            layout=layout,
            flash_mib=flash_mib,
            heap_kib=heap_kib,
            app=image.app if image and app else None,
            full_flash=_whole(full_flash, image.chip) if image and full_flash else None,
            blank=blank,
            access_points={ssid: password},
            port=port,
            network_port=network_port,
            baud=baud,
            download=download,
        )
    except Refused as error:
        raise UsageError(str(error)) from None
    except ValueError as error:
        raise UsageError(f"no such board: {error}") from None


def _image(path: Path, chip: str | None) -> "Firmware":
    """The app in a firmware file, as `publish` finds it. Raises ReleaseError; UsageError where the chip is another."""
    from otactl.release import firmware

    found = firmware.load(path)
    if found.chip not in _CHIPS:
        raise UsageError(f"{path}: firmware for {found.chip}; a virtual board is one of {', '.join(_CHIPS)}")
    if chip and chip != found.chip:
        raise UsageError(f"{path}: firmware for {found.chip}, which no {chip} starts: --chip {found.chip}")
    return found


def _whole(path: Path, chip: str) -> bytes:
    """A full-flash file that begins where the chip's bootloader lies. Raises UsageError for another one."""
    from vboard.factory import is_full_flash

    data = path.read_bytes()
    if not is_full_flash(data, CHIPS[chip]):
        raise UsageError(f"{path}: no full-flash file for {chip}, bootloader first: give an app image as --app")
    return data


@verb(TOOLS, "demo --firmware ESP32_GENERIC-OTA.app-bin")
@click.option("--firmware", type=FILE, help="A firmware file of yours (app image or full-flash file).")
@click.option("--folder", type=FILE, default=Path("demo"), help="Emptied first (default: demo).")
@click.option("--svg", type=FILE, help="Draw what is shown into this file; in a pipe, instead.")
@click.option("--fleet", is_flag=True, help="Eight boards, a rollout that stops itself, its successor, and the page.")
@click.option(
    "--engine",
    type=FILE,
    metavar="PYTHON",
    help="The same through a real gooseBit, which that Python has: `make demo-engine`.",
)
@click.option("--stay", is_flag=True, help="With --fleet or --engine: the page stays until Ctrl-C.")
def demo(*, firmware: Path | None, folder: Path, svg: Path | None, fleet: bool, engine: Path | None, stay: bool) -> int:
    """Show an update and a rollback on a virtual board, or a rollout on eight."""
    from otactl.cli import display, picture

    try:
        from otactl.cli import demo as story
    except ImportError as error:
        raise UsageError(f"no virtual board on this system: {error}") from None

    if fleet or engine:
        if firmware or svg or (fleet and engine):
            raise UsageError(
                "--fleet and --engine each show made-up firmware, on the terminal: leave out --firmware and --svg"
            )
        from otactl.cli import demo_engine, demo_fleet

        return demo_engine.show(folder, engine, stay) if engine else demo_fleet.show(folder, stay)
    if stay:
        raise UsageError("--stay is for the page of --fleet and --engine")
    if svg is None:
        return story.show(folder, firmware)
    with picture.pictured(svg, "otactl demo"):
        code = story.show(folder, firmware)
    display.done(f"drawn: {svg}")
    return code
