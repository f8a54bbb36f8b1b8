"""The pages of an NVS partition: their order, the free ones, and making room.

One page is always kept free. When all others are full, what still counts on the page with the
most erased entries moves to the free one, and that page is erased.
Source: ESP-IDF nvs_flash/src/nvs_pagemanager.cpp.
"""

from vboard.flash.nor import SECTOR, Flash
from vboard.flash.nvs_item import ENTRY_COUNT, Item, Kind, NvsError, Status
from vboard.flash.nvs_page import Page, PageState


class Pages:
    """used: pages with items by age, the last of them takes new ones; free: the others."""

    def __init__(self, flash: Flash, offset: int, size: int) -> None:
        """Mounts `size` bytes of flash, and mends what a power cut left.

        Raises NvsError when there is no page to spare or a newer format wrote one.
        """
        pages = [Page(flash, base) for base in range(offset, offset + size, SECTOR)]
        for page in pages:
            page.load()
        idle = (PageState.UNINITIALIZED, PageState.CORRUPT)
        self.count = len(pages)
        self.free = [page for page in pages if page.state in idle]
        self.used = [page for page in pages if page.state not in idle]
        self.used.sort(key=lambda page: page.sequence)
        if not self.used:
            self._next_sequence = 0
            self._activate()
            return
        self._next_sequence = self.used[-1].sequence + 1
        self._drop_older_double()
        self._finish_move()
        if not self.free:
            raise NvsError.of(Status.NO_FREE_PAGES)

    @property
    def current(self) -> Page:
        return self.used[-1]

    def find(
        self, namespace: int, key: bytes, kind: int | None = None, chunk: int | None = None
    ) -> tuple[Page, int, Item] | None:
        """The oldest item that matches, with its page and first entry."""
        for page in self.used:
            index = page.find(namespace, key, kind, chunk)
            if index is not None:
                return page, index, page.items[index]
        return None

    def next_page(self) -> None:
        """Goes on to another page. Raises NvsError when nothing can be given up for it."""
        if self.current.state == PageState.ACTIVE:
            self.current.mark(PageState.FULL)
        if len(self.free) >= 2:
            self._activate()
            return
        if not self.free:
            raise NvsError.of(Status.INVALID_STATE)
        emptiest = min(self.used, key=lambda page: page.used)
        if emptiest.used == ENTRY_COUNT:
            raise NvsError.of(Status.NOT_ENOUGH_SPACE)
        emptiest.mark(PageState.FREEING)
        self._move(emptiest)

    def _drop_older_double(self) -> None:
        """A cut between writing a value and erasing the old one gives the newest item a double."""
        *earlier, last = self.used
        if not last.items:
            return
        item = list(last.items.values())[-1]
        kinds = [item.kind] + [Kind.OLD_BLOB] * (item.kind == Kind.BLOB_INDEX)
        for kind in kinds:
            for page in earlier:
                if page.state == PageState.FREEING:
                    continue
                index = page.find(item.namespace, item.key, kind, item.chunk)
                if index is not None:
                    page.erase_item(index)
                    return

    def _finish_move(self) -> None:
        """After a cut while a page was emptied: throw the half-made copy away and copy again."""
        for page in self.used:
            if page.state == PageState.FREEING:
                copy = self.current
                if copy.state == PageState.ACTIVE:
                    copy.erase()
                    self.used.remove(copy)
                    self.free.append(copy)
                self._move(page)
                return

    def _move(self, page: Page) -> None:
        self._activate()
        page.copy_to(self.current)
        page.erase()
        self.used.remove(page)
        self.free.append(page)

    def _activate(self) -> None:
        if not self.free:
            raise NvsError.of(Status.NOT_ENOUGH_SPACE)
        page = self.free[0]
        if page.state == PageState.CORRUPT:
            page.erase()
        self.free.pop(0)
        self.used.append(page)
        page.sequence = self._next_sequence
        self._next_sequence += 1
