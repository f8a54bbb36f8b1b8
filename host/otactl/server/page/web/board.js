// One board: its slots, what it says of itself, and what became of it here.

import { bar, find, make, prose, show, sign, text } from "./dom.js";
import { frame } from "./frame.js";
import { follow } from "./live.js";
import { STATES, ago, date, releases, span } from "./words.js";

const id = decodeURIComponent(location.pathname.split("/").at(-1));
let drawn = "";

const kib = (bytes) => `${Math.round(bytes / 1024)} KiB free`;

// What is told of a board: the word, and its value, null where it did not say.
const FACTS = [
  ["release", (board) => releases(board)],
  ["cohort", (board) => board.cohort],
  ["product", (board) => board.product || null],
  ["last job", (board) => board.phase],
  ["up for", (board) => (board.uptime === null ? null : span(board.uptime))],
  ["memory", (board) => (board.heap === null ? null : kib(board.heap))],
  ["signal", (board) => (board.rssi === null ? null : `${board.rssi} dBm`)],
  ["address", (board) => board.peer],
  ["first heard", (board) => date(board.first_seen)],
];

function head(board, now) {
  find("sign").replaceChildren(sign(board.state));
  find("board").dataset.state = board.state;
  text(find("name"), board.name);
  text(find("id"), board.name === board.id ? "" : board.id);
  const percent = board.percent === null ? "" : ` · ${board.percent} %`;
  text(find("state"), `${STATES[board.state]}${percent} · seen ${ago(board.seen, now)}`);
  prose(find("why"), board.why);
  show(find("why"), Boolean(board.why));
}

function slot(one) {
  return make(
    "li",
    { class: one.runs ? "runs" : "other" },
    make("p", { class: "note" }, one.runs ? "the slot that runs" : "the other slot"),
    make("b", {}, one.release || "not known"),
    make("p", {}, one.what),
    one.percent === null ? null : make("p", {}, bar(one.percent), ` ${one.percent} %`),
  );
}

function line(event) {
  const text = make("p");
  prose(text, event.text);
  return make(
    "li",
    { "data-event": event.event },
    make("time", { datetime: new Date(event.at * 1000).toISOString() }, date(event.at)),
    text,
  );
}

async function details(fleet) {
  const answer = await fetch(`/api/board/${encodeURIComponent(id)}`);
  if (!answer.ok) return;
  const { board, slots, events } = await answer.json();
  head(board, fleet.now());
  find("slots").replaceChildren(...slots.map(slot));
  const facts = FACTS.map(([word, value]) => [word, value(board)]).filter(([, value]) => value !== null);
  find("facts").replaceChildren(...facts.map(([word, value]) => make("div", {}, make("dt", {}, word), make("dd", {}, value))));
  find("history").replaceChildren(...events.map(line));
}

follow((fleet) => {
  const board = fleet.boards.get(id);
  frame(fleet, board ? board.name : "Board");
  if (!fleet.isThere) return;
  show(find("board"), Boolean(board));
  show(find("unknown"), !board && !fleet.trouble);
  if (!board) return;
  head(board, fleet.now());
  const now = JSON.stringify(board);
  if (drawn === now) return;
  drawn = now;
  details(fleet).catch(() => (drawn = "")); // the server has gone: asked again with the next news
}, id);
