// What is the same in all views: whose boards they are, whether the stream runs, what is wrong with the server's own files.

import { find, make, show, text } from "./dom.js";
import { compareText } from "./words.js";

export function frame(fleet, title) {
  text(find("product"), fleet.product ?? "");
  text(find("link"), fleet.link);
  find("link").className = fleet.link === "live" ? "live" : "lost";
  text(find("trouble"), fleet.trouble ?? "");
  show(find("trouble"), Boolean(fleet.trouble));
  const whole = fleet.product ? `${title} · ${fleet.product}` : title;
  if (document.title !== whole) document.title = whole;
}

/** All boards in a line, which does not break before a dot. */
export function headline(fleet) {
  text(find("headline"), fleet.headline.replaceAll(" · ", "\u00a0· "));
}

/** The choice of a cohort, which is there where there are several. `chosen`: its name, "" for all. */
export function cohorts(select, boards, chosen) {
  const names = [...new Set([...boards].map((one) => one.cohort))].sort(compareText);
  if (chosen && !names.includes(chosen)) names.push(chosen);
  show(select.parentElement, names.length > 1 || Boolean(chosen));
  const known = [...select.options].map((one) => one.value).slice(1);
  if (!select.options.length || names.join("\n") !== known.join("\n")) {
    select.replaceChildren(make("option", { value: "" }, "all"), ...names.map((one) => make("option", { value: one }, one)));
  }
  select.value = chosen;
}

/** A word of the address behind `?`. */
export const asked = (name) => new URLSearchParams(location.search).get(name) ?? "";

/** Keep words in the address, so that it can be sent to somebody; those that are empty are left out. */
export function ask(words) {
  const query = new URLSearchParams(Object.entries(words).filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}
