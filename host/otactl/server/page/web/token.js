// What the page may only do with the token that the server has printed. It stays in this tab, and goes to no other origin.

import { find, text } from "./dom.js";

const KEY = "token";
const IN_ADDRESS = "#token="; // as `otactl serve` prints it: no browser sends what is behind # to a server

if (location.hash.startsWith(IN_ADDRESS)) {
  sessionStorage.setItem(KEY, decodeURIComponent(location.hash.slice(IN_ADDRESS.length)));
  history.replaceState(null, "", location.pathname + location.search);
}

/** Do what needs the token, which is asked for. Returns the answer, null where the person leaves it; throws the server's words. */
export async function act(path) {
  let title = "The token of this server";
  for (;;) {
    const token = sessionStorage.getItem(KEY) ?? (await typed(title));
    if (token === null) return null;
    const answer = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    if (answer.ok) {
      sessionStorage.setItem(KEY, token);
      return answer.json();
    }
    if (answer.status !== 401) throw new Error((await answer.text()).trim());
    sessionStorage.removeItem(KEY);
    title = "That was not the token";
  }
}

/** What a person types; null: they leave it. */
function typed(title) {
  const dialog = find("ask");
  const input = find("token");
  text(find("ask-title"), title);
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (value) => (dialog.close(), resolve(value));
    dialog.querySelector("form").onsubmit = (event) => (event.preventDefault(), end(input.value.trim()));
    find("leave").onclick = () => end(null);
    dialog.oncancel = (event) => (event.preventDefault(), end(null));
  });
}
