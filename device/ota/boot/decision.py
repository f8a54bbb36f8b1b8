"""What the last boot left, and what follows: one table of otadata x record."""

# Each column is a word, several, or * for any, and the last one what is to be done; the first row that fits counts. A row is
# one text: as tuples of words they would take 230 bytes more of the board's files.
#
# at     boot: what otadata names runs · fallen: the bootloader passed over it
# entry  otadata's state of what it names
# phase  of the record's job
# slot   where the job's slot is: here, it runs · named, otadata names it, and it does not run · back, we came back from
#        it by hand and have not told yet · over, it runs, and how it failed was told long ago · away
# end    how the last boot ended (watchdog, soft, hard); of a job whose slot is away: known, it failed before · failed,
#        the chip was reset on trial · spent, after the last of its tries · again, a rollback · power, it went on
#        trial · lost, the switch was
_TABLE = (
    "fallen new * * soft reset",  # a switch that waits for its reset
    "fallen pending ready|trial named * damaged",
    "fallen pending * * * reset",  # the bootloader takes the entry back
    "fallen * ready|trial named * damaged",
    "fallen * * * * reclaim",
    "boot * failed back * accept",  # what was confirmed before needs no other trial
    "boot pending failed here * reset",  # torn; the bootloader goes back
    "boot new|undefined|none failed here * leave",
    "boot new|undefined|none trial here watchdog bitten",  # no bootloader goes back for us
    "boot new|pending ready|trial here * trial",
    "boot new|pending * * * stranger",  # another program switched
    "boot undefined failed over * stranger",  # torn
    # Power can tear the state, which no checksum covers, so that the bootloader takes what was never confirmed for
    # confirmed: the record knows better. The factory app has no state at all.
    "boot * ready here * trial",
    "boot undefined|none trial here * trial",
    "boot * trial here * confirmed",  # power went between the confirmation and its record
    "boot * writing|ready|trial away known fail",  # power went between the two writes of a failure
    "boot * ready|trial away failed|spent fail",
    "boot * ready|trial away again switch",  # a rollback has nothing to download
    "boot * ready|trial away power retry",  # the slot is whole: the next look goes on from it
)


def decide(at: str, entry: str, phase: str, slot: str, end: str) -> str:
    """The name of what is to be done."""
    seen = (at, entry, phase, slot, end)
    for line in _TABLE:
        row = line.split()
        if all(row[i] == "*" or seen[i] in row[i].split("|") for i in range(5)):
            return row[5]
    return "rest"  # boot, and none of these
