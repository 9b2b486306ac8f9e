// What people say about runs: tags, names, notes, the trash and the way back.
import { all, change, on, one, ours, readOnly } from "./document.js";
import { refresh } from "./live.js";
import { picked } from "./choice.js";

const say = what => change("/api/v1/labels", what);

const act = async what => {
  const runs = picked();
  if (!runs.length) return alert("Choose runs first.");
  const wanted = { runs };
  if (what === "tag" || what === "untag") {
    const tag = prompt(what === "tag" ? "Tag" : "Take away the tag");
    if (!tag) return;
    wanted[what === "tag" ? "add" : "remove"] = [tag];
  } else if (what === "name") {
    const name = prompt("Name", (one("h1 .name") || { textContent: "" }).textContent);
    if (name === null) return;
    wanted.name = name;
  } else if (what === "note") wanted.note = one("#note").value;
  else wanted.trash = what === "trash";
  if (await say(wanted)) {
    if (what === "trash" && !ours()) undo(runs);
    await refresh();
  }
};

const undo = runs => {
  const box = document.createElement("button");
  box.type = "button"; box.textContent = `Undo: ${runs.length} deleted`;
  box.onclick = async () => { if (await say({ runs, trash: false })) { box.remove(); refresh(); } };
  one(".actions").append(box);
};

const enable = () => {
  if (readOnly) return;
  all(".bulk").forEach(part => { part.hidden = false; });
  all("[data-do]").forEach(button => { button.hidden = false; button.onclick = () => act(button.dataset.do); });
  const note = one("#note");
  if (note) note.readOnly = false;
  all(".tag[data-tag]").forEach(tag => {
    if (one("button", tag)) return;
    const away = document.createElement("button");
    away.type = "button"; away.textContent = "\u00d7"; away.setAttribute("aria-label", `Take away ${tag.dataset.tag}`);
    away.onclick = async () => { if (await say({ runs: picked(), remove: [tag.dataset.tag] })) refresh(); };
    tag.append(away);
  });
};
on("fresh", enable);
enable();
