// Words of a query: the names that these runs have, while one is typed.
import { all, one, read } from "./document.js";

const words = read("names"), query = one("#q");
if (words && query) {
  const hints = document.createElement("ul");
  hints.className = "hints"; hints.hidden = true; hints.id = "hints"; hints.role = "listbox";
  query.after(hints);
  query.setAttribute("role", "combobox"); query.setAttribute("aria-controls", "hints"); query.setAttribute("aria-expanded", "false");
  let at = -1;
  const word = () => /[\w./-]*$/.exec(query.value.slice(0, query.selectionStart))[0];
  const close = () => { hints.hidden = true; at = -1; query.setAttribute("aria-expanded", "false"); query.removeAttribute("aria-activedescendant"); };
  const take = name => {
    const end = query.selectionStart, start = end - word().length;
    query.setRangeText(name + " ", start, end, "end"); close(); query.focus();
  };
  const mark = () => all("li", hints).forEach((item, i) => {
    item.setAttribute("aria-selected", i === at);
    if (i === at) { item.scrollIntoView({ block: "nearest" }); query.setAttribute("aria-activedescendant", item.id); }
  });
  query.addEventListener("input", () => {
    const typed = word();
    const found = typed ? words.filter(name => name.includes(typed) && name !== typed).slice(0, 40) : [];
    hints.replaceChildren(...found.map((name, i) => {
      const item = document.createElement("li");
      item.textContent = name; item.role = "option"; item.id = "hint" + i; item.setAttribute("aria-selected", "false");
      item.onmousedown = event => { event.preventDefault(); take(name); };
      return item;
    }));
    at = -1; hints.hidden = !found.length; query.setAttribute("aria-expanded", !!found.length);
  });
  query.addEventListener("keydown", event => {
    if (hints.hidden) return;
    const count = hints.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault(); at = (at + (event.key === "ArrowDown" ? 1 : count - 1) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % count; mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
      event.preventDefault(); take(hints.children[at].textContent);
    } else if (event.key === "Escape") { event.stopPropagation(); close(); }
  });
  query.addEventListener("blur", close);
  document.addEventListener("keydown", event => {
    if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) { event.preventDefault(); query.focus(); }
  });
}
