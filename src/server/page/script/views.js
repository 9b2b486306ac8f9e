// Views under a name: the address of what is open is saved, and saved ones are removed.
import { all, change, on, readOnly, root, tell } from "./document.js";

const save = async button => {
  const name = prompt("Name of the view");
  if (!name) return;
  const address = location.pathname.slice(root.length) + (location.search || "?");
  if (await change("/api/v1/views", { name, address })) { button.textContent = `Saved as ${name}`; tell("said"); }
};

const enable = () => {
  if (readOnly) return;
  all("[data-save-view]").forEach(button => { button.hidden = false; button.onclick = () => save(button); });
  all("[data-remove-view]").forEach(button => {
    button.hidden = false;
    button.onclick = async () => { if (await change("/api/v1/views", { name: button.dataset.removeView, remove: true })) tell("said"); };
  });
};
on("fresh", enable);
enable();
