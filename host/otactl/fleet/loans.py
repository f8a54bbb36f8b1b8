"""What people read of boards that are lent, so that none is left behind."""

from collections.abc import Mapping
from contextlib import suppress

from otactl.errors import UsageError
from otactl.fleet import borrowing, lending
from otactl.fleet.names import Names
from otactl.fleet.store import FILE, Store
from otactl.workspace.workspace import Workspace

LENT, SILENT, RETURNING = "lent", "silent", "returning"
_WORDS = {
    LENT: "lent to `otactl dev --wifi`: {}",
    SILENT: "lent to a `dev --wifi` that is silent; `otactl dev --wifi --back` gives back: {}",
    RETURNING: "given back, and not come back yet; a reset makes them look: {}",
}


def states(store: Store) -> dict[str, str]:
    """Each board that does not run what its channel has for it, by its id: `lent`, `silent` (its loop has said nothing for five
    minutes) or `returning`."""
    now = store.now()
    found = {}
    for one in borrowing.outstanding(store):
        found[one.board] = RETURNING if one.back else LENT if now <= one.until else SILENT
    return found


def lines(found: Mapping[str, str], called: Mapping[str, str]) -> list[str]:
    """A line for each of the states(). `called`: the boards' names by their ids."""
    told = []
    for state, words in _WORDS.items():
        if names := sorted(called.get(board, board) for board, its in found.items() if its == state):
            told.append(words.format(", ".join(names)))
    return told


def before_a_release(place: Workspace) -> list[str]:
    """What is to be said where a channel comes to name a release: which boards do not get it at once."""
    if not (place.root / FILE).exists():
        return []
    with suppress(UsageError), Store(place.root / FILE) as store:  # a damaged memory keeps nobody from publishing
        names = Names(place.root)
        if boards := [names.of(one.board)[0] for one in lending.under_way(store)]:
            told = (
                f"{', '.join(boards)}: lent to `otactl dev --wifi`, and offered this when given back (Ctrl-C there, or `otactl dev "
                "--wifi --back`), or an hour after that command has ended without it"
            )
            return [told]
    return []
