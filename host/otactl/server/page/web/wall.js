// The wall: a tile a board, for a screen that a whole room sees.

import { arrange, bar, find, make, show, sign, text } from "./dom.js";
import { ask, asked, cohorts, frame, headline } from "./frame.js";
import { follow } from "./live.js";
import { STATES, byName, releases } from "./words.js";

const tiles = new Map(); // id -> its element
let cohort = asked("cohort");
let fleet = null;

function tile(board) {
  const found = tiles.get(board.id) ?? make("li", {}, make("a", { href: `/board/${encodeURIComponent(board.id)}` }));
  tiles.set(board.id, found);
  const drawn = JSON.stringify([board.name, board.state, board.percent, board.why, releases(board)]);
  if (found.dataset.drawn === drawn) return found;
  found.dataset.drawn = drawn;
  found.dataset.state = board.state;
  found.firstChild.title = board.why;
  found.firstChild.replaceChildren(
    make("span", { class: "state" }, sign(board.state), STATES[board.state]),
    make("b", {}, board.name),
    board.percent === null ? make("span", { class: "release" }, releases(board)) : bar(board.percent),
  );
  return found;
}

function draw() {
  if (!fleet?.isThere) return;
  const boards = [...fleet.boards.values()].sort(byName);
  for (const id of tiles.keys()) if (!fleet.boards.has(id)) tiles.delete(id);
  headline(fleet);
  cohorts(find("cohort"), boards, cohort);
  arrange(find("tiles"), boards.filter((one) => !cohort || one.cohort === cohort).map(tile));
  show(find("none"), !boards.length && !fleet.trouble);
}

find("cohort").addEventListener("change", (event) => {
  cohort = event.target.value;
  ask({ cohort });
  draw();
});
follow((found) => {
  fleet = found;
  frame(fleet, fleet.headline || "Wall");
  draw();
});
