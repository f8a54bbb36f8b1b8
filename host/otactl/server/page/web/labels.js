// Labels to print and to stick on boards: a code that leads to the board's page, its name, and its id.

import { arrange, find, make, show } from "./dom.js";
import { ask, asked, cohorts, frame } from "./frame.js";
import { follow } from "./live.js";
import { byName } from "./words.js";

const labels = new Map(); // id and name -> its element
let cohort = asked("cohort");
let fleet = null;

function label(board) {
  const key = JSON.stringify([board.id, board.name]);
  const path = encodeURIComponent(board.id);
  if (!labels.has(key)) {
    const code = make("img", { src: `/api/label/${path}.svg`, alt: "", width: 120, height: 120 });
    const words = make("div", {}, make("b", {}, board.name), make("small", {}, board.name === board.id ? "" : board.id));
    labels.set(key, make("li", {}, code, words));
  }
  return labels.get(key);
}

function draw() {
  if (!fleet?.isThere) return;
  const boards = [...fleet.boards.values()].sort(byName);
  cohorts(find("cohort"), boards, cohort);
  arrange(find("labels"), boards.filter((one) => !cohort || one.cohort === cohort).map(label));
  show(find("none"), !boards.length && !fleet.trouble);
  show(document.querySelector(".tools"), boards.length > 0);
}

find("cohort").addEventListener("change", (event) => {
  cohort = event.target.value;
  ask({ cohort });
  draw();
});
find("print").addEventListener("click", () => print());
document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
follow((found) => {
  fleet = found;
  frame(fleet, "Labels");
  draw();
});
