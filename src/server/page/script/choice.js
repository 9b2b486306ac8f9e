// The runs that are chosen: the one that the page is about, or those whose boxes are ticked.
import { all, on, ours } from "./document.js";

const boxes = () => all("tbody input[name=run]");
export const picked = () => ours() ? [ours()] : boxes().filter(box => box.checked).map(box => box.value);

// What was ticked stays ticked when rows are put in place anew.
let kept = new Set();
on("stale", () => { kept = new Set(picked()); });
on("fresh", () => boxes().forEach(box => { box.checked = kept.has(box.value); }));

document.addEventListener("change", event => {
  if (event.target.matches("[data-all]")) boxes().forEach(box => { box.checked = event.target.checked; });
});
