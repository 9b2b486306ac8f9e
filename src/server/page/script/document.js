// What every part works with: the document, where the server is, and who wants to hear of what.
const server = document.querySelector("[data-root]").dataset;
export const body = document.body, root = server.root, readOnly = "readOnly" in server;
export const all = (selector, from = document) => [...from.querySelectorAll(selector)];
export const one = (selector, from = document) => from.querySelector(selector);

// Data that the page brings, as the server wrote it.
export const read = (id, from = document) => {
  const at = from.getElementById(id);
  return at ? JSON.parse(at.textContent) : null;
};

// The run that this page is about, if it is about one.
export const ours = () => (one("h1[data-run]") || { dataset: {} }).dataset.run;

// An element with its attributes and what is in it.
export const make = (name, attributes = {}, ...content) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element[key] = value;
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...content);
  return element;
};

// Who is told, and of what: another theme; parts that are about to be put in place anew; that they were, with the document that
// was fetched; rows that were added; and that somebody said something that the page may show.
const listeners = { theme: [], stale: [], fresh: [], more: [], said: [] };
export const on = (what, listener) => listeners[what].push(listener);
export const tell = (what, ...news) => listeners[what].forEach(listener => listener(...news));

// Asks our own interface to change something; says what was wrong.
export const change = async (path, what) => {
  const answer = await fetch(root + path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(what),
  }).catch(() => null);
  if (!answer) { alert("The server does not answer; nothing was changed."); return null; }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) { alert(said.message || answer.statusText); return null; }
  return said;
};

// A page of the server as a document of its own, to be put in place of what is here: without what the view asks for itself.
export const fetched = async address => {
  const answer = await fetch(address, { headers: { accept: "text/html", "x-ablate-part": "live" } }).catch(() => null);
  return answer && answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
};
