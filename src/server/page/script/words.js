// Words of a query, of columns and of groups: the names that these runs have, and behind `=` the values of one, while they are typed.
import { all, make, one, read } from "./document.js";

// What is being typed, and what it may become.
const offered = (text, options) => ({ text, options: text ? options.filter(option => option.includes(text) && option !== text).slice(0, 40) : [] });
const nameAt = pattern => before => offered(pattern.exec(before)[0], read("names") || []);
const valueAt = before => {
  const [, name, text] = /([\w./-]+)\s*(?:!?=|:|\bin\s*\()\s*("?[^\s"(),]*)$/.exec(before) || [];
  if (name === undefined) return null;
  const known = Object.entries(read("values") || {}).find(([key]) => key === name || key.endsWith("." + name));
  const options = (known ? known[1] : []).filter(option => option.includes(text) && option !== text);
  return { text, options: options.slice(0, 40) };
};

const complete = (input, offers, after) => {
  const id = "hints-" + input.id;
  const hints = make("ul", { class: "hints", id, role: "listbox", hidden: true });
  input.after(hints);
  input.setAttribute("role", "combobox"); input.setAttribute("aria-controls", id); input.setAttribute("aria-expanded", "false");
  let at = -1;
  const offer = () => offers(input.value.slice(0, input.selectionStart));
  const close = () => { hints.hidden = true; at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const take = name => {
    const end = input.selectionStart, start = end - offer().text.length;
    input.setRangeText(name + after, start, end, "end"); close(); input.focus();
  };
  const mark = () => all("li", hints).forEach((item, i) => {
    item.setAttribute("aria-selected", i === at);
    if (i === at) { item.scrollIntoView({ block: "nearest" }); input.setAttribute("aria-activedescendant", item.id); }
  });
  input.addEventListener("input", () => {
    const found = offer().options;
    hints.replaceChildren(...found.map((name, i) => make("li", {
      role: "option", id: `${id}-${i}`, "aria-selected": "false",
      onmousedown: event => { event.preventDefault(); take(name); },
    }, name)));
    at = -1; hints.hidden = !found.length; input.setAttribute("aria-expanded", !!found.length);
  });
  input.addEventListener("keydown", event => {
    if (hints.hidden) return;
    const count = hints.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault(); at = (at + (event.key === "ArrowDown" ? 1 : count - 1) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % count; mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
      event.preventDefault(); take(hints.children[at].textContent);
    } else if (event.key === "Escape") { event.stopPropagation(); close(); }
  });
  input.addEventListener("blur", close);
};

const query = one("#q");
if (query) {
  const name = nameAt(/[\w./-]*$/);
  complete(query, before => valueAt(before) || name(before), " ");
  document.addEventListener("keydown", event => {
    if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) { event.preventDefault(); query.focus(); }
  });
}
all("[data-names]").forEach(input => complete(input, nameAt(/[^,~-]*$/), ""));
