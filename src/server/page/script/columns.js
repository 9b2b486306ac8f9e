// The columns of the table: which are shown and in which order. Whatever is chosen is in the address, so that a link is a view.
import { all, make, on, one, read } from "./document.js";
import { refresh } from "./live.js";

const field = one("#columns"), box = one("#chooser");
const table = () => read("table") || { columns: [], metrics: [] };
let shown = table().columns;

// What is there already is put in its place at once.
const arrange = columns => {
  const order = columns.map(name => shown.indexOf(name));
  if (order.includes(-1)) return;
  for (const row of all(".runs tr")) {
    const cells = [...row.cells], first = cells.length - shown.length;
    row.replaceChildren(...cells.slice(0, first), ...order.map(at => cells[first + at]));
  }
};

// Shows these columns, and gives the focus to what is found by `focus` once they are in their place.
const go = async (columns, focus) => {
  arrange(columns);
  shown = columns;
  const address = new URL(location);
  if (columns.length) address.searchParams.set("columns", columns.join(",")); else address.searchParams.delete("columns");
  address.searchParams.delete("after");
  history.pushState(null, "", address);
  field.value = columns.join(",");
  build();
  await refresh();
  if (focus) one(focus)?.focus();
};
const without = name => shown.filter(other => other !== name);
const moved = (name, to) => {
  const rest = without(name);
  rest.splice(Math.max(0, Math.min(rest.length, to)), 0, name);
  return rest;
};
const head = name => `th[data-column="${CSS.escape(name)}"] a`;
const item = (name, act) => `#chooser [data-name="${CSS.escape(name)}"] [data-act="${act}"]`;

// Those that are shown, in their order; below them all that there are, to be ticked.
const build = () => {
  if (!box) return;
  const button = (name, act, text, label, columns) => make("button", {
    type: "button", "data-act": act, "aria-label": `${label} ${name}`, title: label, onclick: () => go(columns, item(name, act)),
  }, text);
  one("ol", box).replaceChildren(...shown.map((name, at) => make("li", { "data-name": name },
    button(name, "before", "\u2190", "Move to the left:", moved(name, at - 1)),
    button(name, "after", "\u2192", "Move to the right:", moved(name, at + 1)),
    make("bdi", {}, name),
    button(name, "away", "\u00d7", "Remove", without(name)))));
  const wanted = one("input[type=search]", box).value.trim().toLowerCase();
  const curves = table().metrics.map(name => "~" + name);
  const names = [...curves, ...(read("names") || [])].filter(name => name.toLowerCase().includes(wanted));
  one(".names", box).replaceChildren(...names.slice(0, 200).map(name => make("li", {}, make("label", {},
    make("input", {
      type: "checkbox", checked: shown.includes(name), value: name,
      onchange: event => go(event.target.checked ? [...shown, name] : without(name), `#chooser input[value="${CSS.escape(name)}"]`),
    }), make("bdi", {}, name.startsWith("~") ? `curve of ${name.slice(1)}` : name)))));
  one(".more-names", box).textContent = names.length > 200 ? `${names.length - 200} more: type a part of their names` : "";
};

if (box && field && one("#found")) {
  box.hidden = false;
  box.append(
    make("ol", { "aria-label": "Shown columns" }),
    make("p", { class: "quiet" }, "Headings can be dragged; with the keyboard: Shift with the arrow keys, and Delete."),
    make("label", { for: "which" }, "Choose columns"),
    make("input", { type: "search", id: "which", placeholder: "a part of a name", autocomplete: "off", oninput: () => build() }),
    make("ul", { class: "names choices" }), make("p", { class: "quiet more-names" }));
  // Enter in the filter looks for nothing but columns.
  one("#which").addEventListener("keydown", event => { if (event.key === "Enter") event.preventDefault(); });
  build();
  on("fresh", () => { shown = table().columns; if (!box.contains(document.activeElement)) build(); });
  addEventListener("popstate", async () => {
    field.value = new URL(location).searchParams.get("columns") || "";
    await refresh(); build();
  });
}

// Headings are dragged with the pointer, and moved with the keyboard.
let dragged = null;
const aim = at => all("th[data-column]").forEach(heading => heading.toggleAttribute("data-goal", heading === at));
const heading = event => event.target.closest?.("th[data-column]");
document.addEventListener("dragstart", event => {
  const at = heading(event);
  if (!at) return;
  dragged = at.dataset.column;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", dragged);
});
document.addEventListener("dragover", event => {
  const at = dragged && heading(event);
  aim(at);
  if (at) event.preventDefault();
});
document.addEventListener("drop", event => {
  const at = dragged && heading(event);
  if (!at || at.dataset.column === dragged) return;
  event.preventDefault();
  go(moved(dragged, shown.indexOf(at.dataset.column)));
});
document.addEventListener("dragend", () => { dragged = null; aim(null); });
document.addEventListener("keydown", event => {
  const at = heading(event);
  if (!at) return;
  const name = at.dataset.column, place = shown.indexOf(name);
  const to = { ArrowLeft: place - 1, ArrowRight: place + 1 }[event.key];
  if (event.shiftKey && to !== undefined) {
    event.preventDefault();
    if (to >= 0 && to < shown.length) go(moved(name, to), head(name));
  } else if (event.key === "Delete" && shown.length > 1) {
    event.preventDefault();
    go(without(name), head(shown[place + 1] || shown[place - 1]));
  }
});

// Curves that a view did not wait for: it is asked again as long as they become fewer.
let left = Infinity;
const rest = () => {
  const now = all("[data-later]").length;
  if (now && now < left) setTimeout(refresh, 300);
  left = now || Infinity;
};
on("fresh", rest);
rest();
