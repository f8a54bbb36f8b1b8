// A rollout: its stages, what has become of the boards in each, and the three things that a person may do.

import { arrange, find, make, prose, show, text } from "./dom.js";
import { act } from "./token.js";

const MAY_PAUSE = ["running", "soaking"];
const NEXT = {
  halted: "No further board gets it. Publish a mended release and `otactl rollout start` that, or `otactl rollout abort`.",
};
const SEGMENTS = ["confirmed", "rolled_back", "held", "offered", "rest"];
const TOLD = [
  ["confirmed", "confirmed"],
  ["rolled_back", "rolled back"],
  ["held", "to try again"],
];

export function rollout(view) {
  show(find("rollout"), Boolean(view));
  if (!view) return;
  text(find("rollout-title"), `Rollout of ${view.version}`);
  text(find("rollout-state"), view.state);
  find("rollout-state").dataset.state = view.state;
  const why = [view.why, NEXT[view.state]].filter(Boolean).join(". ");
  prose(find("rollout-why"), why);
  show(find("rollout-why"), Boolean(why));
  show(find("pause"), MAY_PAUSE.includes(view.state));
  show(find("resume"), view.state === "paused");
  show(find("abort"), !view.over && !view.static); // that takes the release key
  find("rollout").dataset.version = view.version;
  const drawn = JSON.stringify(view.stages);
  const stages = find("stages");
  if (stages.dataset.drawn !== drawn) {
    stages.dataset.drawn = drawn;
    arrange(stages, view.stages.map(stage));
  }
  show(stages, !view.over);
}

function stage(one) {
  const offered = Math.max(0, one.given - one.confirmed - one.rolled_back - one.held);
  const counts = { ...one, offered, rest: one.boards - one.given };
  const segments = make("div", { class: "share", "aria-hidden": "true" });
  for (const name of SEGMENTS.filter((name) => counts[name] > 0)) {
    const segment = make("span", { class: name });
    segment.style.flexGrow = counts[name]; // by script: the page's policy has no style in markup
    segments.append(segment);
  }
  const told = TOLD.filter(([name]) => one[name]).map(([name, word]) => `${one[name]} ${word}`);
  const boards = one.boards ? `${one.given} of ${one.boards} offered` : "no board that is known";
  return make(
    "li",
    { "data-state": one.state },
    make("div", { class: "stage-head" }, make("b", {}, one.label), " ", make("span", {}, one.state)),
    segments,
    make("p", {}, [boards, ...told].join(" · ")),
  );
}

/** Whether a person means it; what is not the answer by hand, Escape too, is no. */
function sure(version) {
  const dialog = find("sure");
  text(find("sure-title"), `Abort the rollout of ${version}?`);
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (value) => (dialog.close(), resolve(value));
    dialog.querySelector("form").onsubmit = (event) => (event.preventDefault(), end(true));
    find("stay").onclick = () => end(false);
    dialog.oncancel = (event) => (event.preventDefault(), end(false));
  });
}

for (const action of ["pause", "resume", "abort"]) {
  find(action).addEventListener("click", async () => {
    show(find("refused"), false);
    const { version } = find("rollout").dataset; // as it was when the button was pressed
    if (action === "abort" && !(await sure(version))) return;
    try {
      const answer = await act(`/api/rollout/${action}?version=${encodeURIComponent(version)}`);
      if (answer) rollout(answer.rollout);
    } catch (error) {
      text(find("refused"), error.message);
      show(find("refused"), true);
    }
  });
}
