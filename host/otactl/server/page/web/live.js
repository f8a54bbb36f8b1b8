// The fleet as the server tells it (/events). An EventSource connects again by itself; where it gives up, a new one is made.

const AGAIN_MS = 2000;
const PATIENCE_MS = 40000; // the server has said nothing: it tells the time every 15 s

/** Calls `show(fleet)` whenever something has changed, and now and then, as times pass. `board`: only that one's row. */
export function follow(show, board = "") {
  const fleet = { boards: new Map(), isThere: false, link: "connecting", now: () => Date.now() / 1000 + ahead };
  const address = board ? `/events?board=${encodeURIComponent(board)}` : "/events";
  let source = null;
  let ahead = 0; // of this clock is the server's, in seconds
  let heard = Date.now();
  let isDrawn = true;

  function draw() {
    if (isDrawn) requestAnimationFrame(() => ((isDrawn = true), show(fleet)));
    isDrawn = false;
  }

  function open() {
    source?.close();
    heard = Date.now();
    source = new EventSource(address);
    source.addEventListener("clock", (event) => {
      heard = Date.now();
      ahead = Number(event.data) - heard / 1000;
      if (fleet.link !== "live") ((fleet.link = "live"), draw());
    });
    source.addEventListener("message", (event) => {
      take(fleet, JSON.parse(event.data));
      draw();
    });
    source.addEventListener("error", () => {
      fleet.link = "no connection";
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
      draw();
    });
  }

  setInterval(() => {
    if (source && Date.now() - heard > PATIENCE_MS) open();
    draw();
  }, 5000);
  // A browser has few connections for one server: a tab that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return open();
    source?.close();
    source = null;
  });
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}

function take(fleet, news) {
  const { whole, boards, ...rest } = news;
  Object.assign(fleet, rest);
  if (whole) fleet.boards.clear();
  for (const board of boards) fleet.boards.set(board.id, board);
  fleet.isThere = true;
}
