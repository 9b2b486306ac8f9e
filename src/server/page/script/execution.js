// Stopping, resuming and retrying, where the server was started to execute; and a view of a sweep that is at work is looked at anew.
import { all, body, change, make, on, one } from "./document.js";
import { picked } from "./choice.js";
import { refresh } from "./live.js";

const WORDS = { stop: "Asked to stop: a checkpoint is saved first.", resume: "Set going again.", retry: "Set going again." };

const tell = (button, words) => {
  const at = button.parentElement;
  const said = one(".said", at) || at.appendChild(make("output", { class: "said quiet" }));
  said.textContent = words;
};

const act = async button => {
  const { execute, experiment } = button.dataset;
  const what = experiment === undefined ? { do: execute, runs: picked() } : { do: execute, experiment };
  if (what.runs && !what.runs.length) return alert("Choose runs first.");
  button.disabled = true;
  tell(button, "\u2026");
  const done = await change("/api/v1/execution", what);
  button.disabled = false;
  tell(button, done ? WORDS[execute] : "");
  // What was set going prepares before it is seen at work.
  if (done) [1000, 4000, 12000].forEach(later => setTimeout(refresh, later));
};

const enable = () => {
  if (!("executes" in body.dataset)) return;
  all(".execute").forEach(part => { part.hidden = !one("[data-execute]", part); });
  all("[data-execute]").forEach(button => { button.onclick = () => act(button); });
};
on("fresh", enable);
enable();

// The end of a sweep, and the time that it has left, are no change of a run.
setInterval(() => { if (!document.hidden && one("[data-running]")) refresh(); }, 10000);
