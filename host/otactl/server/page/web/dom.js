// Elements by hand. Whatever a board says is text: it only ever becomes `textContent`.

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

/** An element with classes, attributes, and children, which are elements or text. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((one) => one !== null));
  return made;
}

/** The sign of a state, for eyes: its word is always beside it. */
export function sign(state) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "sign");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/page/signs.svg#${state}`);
  made.append(use);
  return made;
}

/** A sentence of ours, with what stands in `backticks` as code. */
export function prose(node, sentence) {
  if (node.textContent === sentence.replaceAll("`", "")) return;
  node.replaceChildren(...sentence.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part)));
}

/** Set a text only where it is another one: a selection in it stays. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function show(node, isShown) {
  node.hidden = !isShown;
}

/** Let `parent` have exactly these children, in this order; those that stay are not taken out. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const old of [...parent.children]) if (!wanted.has(old)) old.remove();
  let here = parent.firstElementChild;
  for (const child of children) {
    if (child === here) here = here.nextElementSibling;
    else parent.insertBefore(child, here);
  }
}

/** A download as a bar, with its number for ears. */
export function bar(percent) {
  return make("progress", { max: 100, value: percent, "aria-label": `${percent} %` });
}
