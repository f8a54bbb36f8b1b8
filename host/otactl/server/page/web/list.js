// The list: one line a board, with filter, sort and search, which stay in the address.

import { arrange, bar, find, make, prose, show, sign, text } from "./dom.js";
import { ask, asked, cohorts, frame, headline } from "./frame.js";
import { follow } from "./live.js";
import { rollout } from "./rollout.js";
import { ORDER, STATES, ago, byName, compareText, date, releases } from "./words.js";

const HAND = "hand"; // a filter: what needs a person

// What the list can be sorted by: the word in the address, the heading, and the order.
const COLUMNS = [
  ["state", "State", (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)],
  ["name", "Board", byName],
  ["cohort", "Cohort", (a, b) => compareText(a.cohort, b.cohort)],
  ["release", "Release", (a, b) => a.have - b.have],
  ["why", "Why", (a, b) => compareText(a.why || "\uffff", b.why || "\uffff")],
  ["signal", "Signal", (a, b) => (b.rssi ?? -999) - (a.rssi ?? -999)],
  ["seen", "Seen", (a, b) => b.seen - a.seen],
];
const FIRST = "state";

const wanted = { q: "", state: [], cohort: "", sort: FIRST };
const rows = new Map(); // id -> {line, cells}
let fleet = null;

function readAddress() {
  wanted.q = asked("q");
  wanted.state = asked("state").split(",").filter((one) => one === HAND || one in STATES);
  wanted.cohort = asked("cohort");
  wanted.sort = COLUMNS.some(([name]) => name === asked("sort").replace(/^-/, "")) ? asked("sort") : FIRST;
  find("search").value = wanted.q;
}

function change(news) {
  Object.assign(wanted, news);
  ask({ ...wanted, state: wanted.state.join(","), sort: wanted.sort === FIRST ? "" : wanted.sort });
  draw();
}

function isShown(board) {
  const { q, state, cohort } = wanted;
  const words = [board.name, board.id, board.cohort, board.product, releases(board), STATES[board.state], board.why];
  const isFound = q.toLowerCase().split(/\s+/).every((word) => words.join("\n").toLowerCase().includes(word));
  const isOfState = !state.length || state.includes(board.state) || (board.hand && state.includes(HAND));
  return isFound && isOfState && (!cohort || board.cohort === cohort);
}

function sorted(boards) {
  const name = wanted.sort.replace(/^-/, "");
  const order = COLUMNS.find(([column]) => column === name)[2];
  const turn = wanted.sort.startsWith("-") ? -1 : 1;
  return boards.sort((a, b) => turn * order(a, b) || byName(a, b));
}

function row(board) {
  let found = rows.get(board.id);
  if (!found) {
    const cells = Object.fromEntries(COLUMNS.map(([name]) => [name, make("td", { class: name, role: "cell" })]));
    const link = make("a", { href: `/board/${encodeURIComponent(board.id)}` });
    cells.name.append(link, " ", make("small"));
    found = { line: make("tr", { role: "row" }, ...Object.values(cells)), cells, link, drawn: "" };
    rows.set(board.id, found);
  }
  const drawn = JSON.stringify(board);
  if (found.drawn !== drawn) fill(found, board);
  found.drawn = drawn;
  text(found.cells.seen, ago(board.seen, fleet.now()));
  return found.line;
}

function fill({ line, cells, link }, board) {
  line.dataset.state = board.state;
  cells.state.replaceChildren(sign(board.state), " ", STATES[board.state]);
  text(link, board.name);
  text(cells.name.lastChild, board.name === board.id ? "" : board.id);
  text(cells.cohort, board.cohort);
  cells.release.replaceChildren(releases(board));
  if (board.percent !== null) cells.release.append(" ", bar(board.percent), ` ${board.percent} %`);
  prose(cells.why, board.why);
  text(cells.signal, board.rssi === null ? "" : `${board.rssi} dBm`);
  cells.seen.title = date(board.seen);
}

function heads() {
  const made = COLUMNS.map(([name, word]) => {
    const button = make("button", { type: "button" }, word);
    button.addEventListener("click", () => change({ sort: wanted.sort === name ? `-${name}` : name }));
    return make("th", { scope: "col", class: name, role: "columnheader" }, button);
  });
  find("heads").replaceChildren(...made);
  const both = COLUMNS.flatMap(([name, word]) => [
    make("option", { value: name }, word.toLowerCase()),
    make("option", { value: `-${name}` }, `${word.toLowerCase()}, the other way`),
  ]);
  find("sort").replaceChildren(...both);
}

function chips(boards) {
  const counts = new Map([[HAND, boards.filter((one) => one.hand).length]]);
  for (const state of ORDER) counts.set(state, boards.filter((one) => one.state === state).length);
  const made = [...counts].filter(([state, count]) => count || wanted.state.includes(state)).map(([state, count]) => {
    const id = `chip-${state}`;
    const chip = find(id) ?? make("button", { type: "button", id, "data-state": state });
    const word = state === HAND ? "need a hand" : STATES[state];
    if (chip.dataset.count !== String(count)) {
      chip.replaceChildren(...(state === HAND ? [] : [sign(state), " "]), `${word} ${count}`);
    }
    chip.dataset.count = count;
    chip.setAttribute("aria-pressed", wanted.state.includes(state));
    chip.onclick = () => {
      const others = wanted.state.filter((one) => one !== state);
      change({ state: others.length < wanted.state.length ? others : [...others, state] });
    };
    return chip;
  });
  arrange(find("chips"), made);
}

function share(boards) {
  const made = ORDER.toReversed().map((state) => {
    const id = `share-${state}`;
    const segment = find(id) ?? make("span", { id, "data-state": state });
    segment.style.flexGrow = boards.filter((one) => one.state === state).length;
    return segment;
  });
  arrange(find("share"), made.filter((one) => Number(one.style.flexGrow)));
}

function draw() {
  if (!fleet?.isThere) return;
  const boards = [...fleet.boards.values()];
  for (const id of rows.keys()) if (!fleet.boards.has(id)) rows.delete(id);
  headline(fleet);
  rollout(fleet.rollout);
  chips(boards);
  share(boards);
  cohorts(find("cohort"), boards, wanted.cohort);
  find("sort").value = wanted.sort;
  for (const [at, [name]] of COLUMNS.entries()) {
    const direction = { [name]: "ascending", [`-${name}`]: "descending" }[wanted.sort];
    find("heads").children[at].setAttribute("aria-sort", direction ?? "none");
  }
  const shown = sorted(boards.filter(isShown));
  arrange(find("boards"), shown.map(row));
  const all = shown.length === boards.length;
  text(find("count"), `${all ? "" : `${shown.length} of `}${boards.length} ${boards.length === 1 ? "board" : "boards"}`);
  show(find("none"), !boards.length && !fleet.trouble);
  show(find("nobody"), boards.length > 0 && !shown.length);
  show(find("share"), boards.length > 0);
  show(document.querySelector(".below"), boards.length > 0);
  show(document.querySelector(".tools"), boards.length > 0);
  show(document.querySelector("table.boards"), shown.length > 0);
}

heads();
readAddress();
find("search").addEventListener("input", (event) => change({ q: event.target.value.trim() }));
find("cohort").addEventListener("change", (event) => change({ cohort: event.target.value }));
find("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
find("all").addEventListener("click", () => {
  find("search").value = "";
  change({ q: "", state: [], cohort: "" });
});
document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
addEventListener("popstate", () => (readAddress(), draw()));
addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !isTyping) (event.preventDefault(), find("search").focus());
});
follow((found) => {
  fleet = found;
  frame(fleet, fleet.headline || "Boards");
  draw();
});
