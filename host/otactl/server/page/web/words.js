// What the page calls things.

// A board's states, what needs a person first (otactl/fleet/table.py).
export const STATES = {
  "rolled-back": "rolled back",
  refused: "refused",
  silent: "silent",
  "on-hold": "tries again",
  "on-trial": "on trial",
  updating: "updating",
  behind: "behind",
  current: "up to date",
};
export const ORDER = Object.keys(STATES);

const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const isNamed = (board) => board.name !== board.id;
const byId = (a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)); // hexadecimal: no numbers to sort by

/** desk-2 before desk-10, and those that nobody has named last. */
export function byName(a, b) {
  if (isNamed(a) && isNamed(b)) return natural.compare(a.name, b.name) || byId(a, b);
  return isNamed(b) - isNamed(a) || byId(a, b);
}
export const compareText = natural.compare;

const UNITS = [
  [86400, "day", "days"],
  [3600, "h", "h"],
  [60, "min", "min"],
  [1, "s", "s"],
];

/** Seconds in words: 42 s, 3 min, 2 h, 1 day. */
export function span(seconds) {
  const [size, one, many] = UNITS.find(([unit]) => seconds >= unit) ?? UNITS.at(-1);
  const count = Math.max(0, Math.floor(seconds / size));
  return `${count} ${count === 1 ? one : many}`;
}

/** A moment, seen from `now`; both in seconds. */
export function ago(then, now) {
  return now - then < 5 ? "just now" : `${span(now - then)} ago`;
}

export function date(then) {
  return new Date(then * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** What a board runs, and what it is to come to where that is another release. */
export function releases(board) {
  const runs = board.version || "not known";
  return board.offered > board.have && board.newest ? `${runs} → ${board.newest}` : runs;
}
