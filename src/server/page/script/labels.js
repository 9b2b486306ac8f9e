// What people say about runs: tags, names, notes, the trash and the way back.
import { all, body, change, make, on, one, ours, readOnly } from "./document.js";
import { refresh } from "./live.js";
import { picked } from "./choice.js";

const say = what => change("/api/v1/labels", what);

// What was done, in words, and the way back: the server says what undoes it. It is no part of what is put in place anew.
const done = (words, steps) => {
  one(".undo")?.remove();
  if (!steps.length) return;
  const box = make("div", { class: "undo", role: "status" }, make("span", {}, words),
    make("button", { type: "button", onclick: async () => {
      for (const step of steps) if (!await say(step)) return;
      box.remove(); refresh();
    } }, "Undo"),
    make("button", { type: "button", "aria-label": "Close", onclick: () => box.remove() }, "\u00d7"));
  body.append(box);
};

const count = runs => runs.length === 1 ? "1 run" : `${runs.length} runs`;

const tell = async (words, what) => {
  const said = await say(what);
  if (!said) return;
  done(`${words}: ${count(what.runs)}`, said.undo || []);
  await refresh();
};

const act = async what => {
  const runs = picked();
  if (!runs.length) return alert("Choose runs first.");
  // The way back is that of the last change, and of no other.
  one(".undo")?.remove();
  if (what === "tag" || what === "untag") {
    // As on the command line, a comma ends a tag.
    const typed = prompt(what === "tag" ? "Tags, with commas between them" : "Take away the tags");
    const tags = (typed || "").split(",").map(tag => tag.trim()).filter(Boolean), words = tags.join(", ");
    if (tags.length) await tell(what === "tag" ? `Tagged \u201c${words}\u201d` : `Took away \u201c${words}\u201d`, { runs, [what === "tag" ? "add" : "remove"]: tags });
  } else if (what === "name") {
    const name = prompt("Name", (one("h1 .name") || { textContent: "" }).textContent);
    if (name !== null) await tell("Named", { runs, name });
  } else if (what === "note") {
    const note = ours() ? one("#note").value : prompt(`The note of ${count(runs)}, in place of what they have`);
    if (note !== null) await tell(note ? "Noted" : "Note taken away", { runs, note });
  } else await tell(what === "trash" ? "Deleted" : "Restored", { runs, trash: what === "trash" });
};

const enable = () => {
  if (readOnly) return;
  all(".bulk").forEach(part => { part.hidden = false; });
  all("[data-do]").forEach(button => { button.hidden = false; button.onclick = () => act(button.dataset.do); });
  const note = one("#note");
  if (note) note.readOnly = false;
  all(".tag[data-tag]").forEach(tag => {
    if (one("button", tag)) return;
    tag.append(make("button", {
      type: "button", "aria-label": `Take away ${tag.dataset.tag}`,
      onclick: () => tell(`Took away \u201c${tag.dataset.tag}\u201d`, { runs: picked(), remove: [tag.dataset.tag] }),
    }, "\u00d7"));
  });
};
on("fresh", enable);
on("said", refresh);
enable();
