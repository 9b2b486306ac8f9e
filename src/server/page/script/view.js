// What is seen of the curves, kept in the address behind its `#`, so that a link is a view: what they lie over, from where to
// where, smoothed how much, on which axis.
const AXES = /^(?:x|from|to|smooth|log)$/;

export const view = { x: "step", from: null, to: null, smooth: 0, log: false };

const number = text => text !== null && text !== "" && isFinite(text) ? +text : null;

// Reads the address; whether it spoke of curves at all.
export const readView = () => {
  const said = new URLSearchParams(location.hash.slice(1));
  if (![...said.keys()].every(key => AXES.test(key))) return false;
  view.x = said.get("x") || "step";
  [view.from, view.to] = [number(said.get("from")), number(said.get("to"))];
  if (view.from === null || view.to === null || view.from >= view.to) view.from = view.to = null;
  view.smooth = Math.min(Math.max(number(said.get("smooth")) || 0, 0), 0.98);
  view.log = said.has("log");
  return true;
};

let due = null;
const write = () => {
  due = null;
  const said = new URLSearchParams();
  if (view.x !== "step") said.set("x", view.x);
  if (view.from !== null) { said.set("from", +view.from.toPrecision(12)); said.set("to", +view.to.toPrecision(12)); }
  if (view.smooth) said.set("smooth", view.smooth);
  if (view.log) said.set("log", "yes");
  const text = said.toString().replaceAll("%2F", "/");
  history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
};

// Puts the view into the address, after the last of many changes: browsers refuse a hundred of them at once.
export const writeView = () => { clearTimeout(due); due = setTimeout(write, 200); };
