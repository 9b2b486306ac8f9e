// A view that stays up with the runs: the same address is asked again, and what changed of the parts marked `data-live`, each with
// an id of its own, is put in place. Rows of further pages come when their link is in view.
import { all, body, fetched, one, ours, root, tell } from "./document.js";

let appended = 0;

// What has the focus, to be found again in what takes its place.
const focused = () => {
  const at = document.activeElement, quoted = text => CSS.escape(text);
  if (!at || at === body) return null;
  if (at.id) return "#" + quoted(at.id);
  if (at.dataset.do) return `[data-do="${quoted(at.dataset.do)}"]`;
  if (at.name && at.value) return `[name="${quoted(at.name)}"][value="${quoted(at.value)}"]`;
  return at.getAttribute("href") ? `a[href="${quoted(at.getAttribute("href"))}"]` : null;
};

const exchange = (old, now) => {
  const open = all("details", old).map(part => part.open);
  old.replaceWith(document.adoptNode(now));
  all("details", now).forEach((part, i) => { part.open = !!open[i]; });
};

// Of a table with further pages on the screen only the rows of the first are put in place: the others stay.
const merge = (old, now) => {
  const heads = [old, now].map(part => (one(".runs thead", part) || { innerHTML: "" }).innerHTML);
  if (!appended || heads[0] !== heads[1]) { exchange(old, now); appended = 0; follow(); return; }
  const table = one(".runs tbody", old);
  all(".runs tbody tr", now).reverse().forEach(row => {
    const known = one(`tr[data-run="${row.dataset.run}"]`, table), adopted = document.adoptNode(row);
    if (known) known.replaceWith(adopted); else table.prepend(adopted);
  });
};

// A view whose answer takes a while comes without it first, and then with it.
const late = one("[data-later] a") !== null;
const address = () => {
  const at = new URL(location);
  if (late) at.searchParams.set("answer", "now");
  return at.href;
};

export const refresh = async () => {
  const fresh = await fetched(address());
  if (!fresh) return;
  const focus = focused();
  tell("stale");
  for (const old of all("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (now && old.innerHTML !== now.innerHTML) (one(".runs", old) ? merge : exchange)(old, now);
  }
  tell("fresh", fresh);
  const again = focus && document.activeElement === body && one(focus);
  if (again) again.focus();
};

if (window.EventSource) {
  let due = null, changes = null;
  const hear = event => {
    let run = null;
    try { run = JSON.parse(event.data).id; } catch { run = event.data; }
    if (event.type !== "behind" && run && ours() && ours() !== run) return;
    due = due || setTimeout(() => { due = null; refresh(); }, 1000);
  };
  const live = (text, away) => { const at = one(".live"); at.hidden = false; at.textContent = text; at.classList.toggle("away", away); };
  // A view that nobody looks at hears nothing: a browser opens no more than six connections to a server, for all its tabs.
  const listen = () => {
    if (document.hidden || changes) return;
    changes = new EventSource(root + "/api/v1/changes");
    ["run", "gone", "behind"].forEach(name => changes.addEventListener(name, hear));
    changes.onopen = () => live("live", false);
    changes.onerror = () => live("the server does not answer", true);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clearTimeout(due); due = null; if (changes) changes.close(); changes = null; } else { listen(); refresh(); }
  });
  listen();
}

if (late) refresh();

// The next page, when its link comes into view.
function follow() {
  const link = one("a.more");
  if (!link || !window.IntersectionObserver) return;
  let busy = false;
  new IntersectionObserver(async seen => {
    if (busy || !seen.some(entry => entry.isIntersecting)) return;
    busy = true;
    const fresh = await fetched(link.href);
    if (!fresh) { busy = false; return; }
    const rows = all(".runs tbody tr", fresh).map(row => document.adoptNode(row));
    one(".runs tbody").append(...rows); appended += rows.length;
    tell("more");
    const next = one("a.more", fresh);
    if (next) { link.href = next.href; busy = false; } else { link.remove(); }
  }, { rootMargin: "600px" }).observe(link);
}
follow();
