// Ranges of a comparison: what is outside of them is left out of all figures and tables. They are drawn on the axes of the parallel
// coordinates, or typed. A cell is in or out as a whole, by its settings and its mean; the address keeps the ranges.
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);
const make = (name, attributes = {}, ...content) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
};

const settings = text => new Map((text || "").split("\t").filter(Boolean).map(pair => {
  const at = pair.indexOf("=");
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const agree = (a, b) => [...a].every(([axis, value]) => !b.has(axis) || b.get(axis) === value);

const metric = one("#runs thead th:nth-child(2)")?.textContent ?? "";
const meanAt = all("#cells thead th").findIndex(head => head.textContent === "mean");
const number = text => text.trim() === "" || text === "\u2013" ? NaN : Number(text.replace(/,/g, "").replace("\u2212", "-"));
const cells = all("#cells tbody tr[data-set]").map(row => {
  const set = settings(row.dataset.set);
  return { set, text: row.dataset.set, mean: number(row.cells[meanAt].textContent), isIn: true };
});
const ofRow = new Map(all("#runs tr[data-run]").map(row => [row.dataset.run, settings(row.dataset.set)]));
const things = all("[data-run],[data-set]").map(element => {
  const set = element.dataset.set === undefined ? ofRow.get(element.dataset.run) : settings(element.dataset.set);
  return { element, set: set || new Map() };
});

// An axis has numbers or words; the metric is the last.
const value = (cell, name) => name === metric ? cell.mean : cell.set.get(name);
const names = [...new Set(cells.flatMap(cell => [...cell.set.keys()])), metric];
const isNumeric = name => cells.every(cell => { const v = value(cell, name); return v === undefined || typeof v === "number" || Number.isFinite(number(v)); });
const numeric = new Set(names.filter(isNumeric));
const asNumber = (cell, name) => { const v = value(cell, name); return typeof v === "string" ? number(v) : v; };

// By name: { low, high } or { words }.
const ranges = new Map();
const passes = (cell, [name, range]) => {
  if (range.words) return range.words.includes(value(cell, name));
  const v = asNumber(cell, name);
  return v >= (range.low ?? -Infinity) && v <= (range.high ?? Infinity);
};

const form = make("form", { class: "ranges", "aria-label": "Ranges" });
const said = make("output", {});
// What is downloaded is drawn by the server, which knows nothing of ranges.
const whole = make("p", { class: "quiet", hidden: "" }, "These files hold all cells, whatever the ranges.");
one(".exports details")?.append(whole);
const apply = () => {
  cells.forEach(cell => { cell.isIn = [...ranges].every(range => passes(cell, range)); });
  const left = cells.filter(cell => cell.isIn);
  for (const { element, set } of things) {
    element.classList.toggle("cut", ranges.size > 0 && set.size > 0 && !left.some(cell => agree(set, cell.set)));
  }
  said.textContent = ranges.size ? `${left.length} of ${cells.length} cells are within; means stay those of all their runs` : "";
  one(".clear", form).hidden = !ranges.size;
  whole.hidden = !ranges.size;
  show();
  const address = new URL(location);
  address.searchParams.delete("range");
  for (const [name, { low, high, words }] of ranges) {
    address.searchParams.append("range", `${name}=${words ? words.join("|") : `${low ?? ""}..${high ?? ""}`}`);
  }
  if (address.href !== location.href) history.replaceState(null, "", address);
};
const set = (name, range) => {
  if (range && (range.words || range.low !== undefined || range.high !== undefined)) ranges.set(name, range); else ranges.delete(name);
  apply();
};

// Fields and words say what the ranges are.
const show = () => {
  for (const input of all("input", form)) {
    if (input === document.activeElement) continue;
    input.value = ranges.get(input.dataset.axis)?.[input.dataset.end] ?? "";
  }
  for (const part of all("[data-words]", form)) {
    const words = ranges.get(part.dataset.words)?.words;
    part.hidden = !words;
    part.textContent = words ? `${part.dataset.words}: ${words.join(", ")} \u00d7` : "";
  }
  drawn.forEach(axis => axis.show());
};

const build = () => {
  for (const name of names) {
    if (!numeric.has(name)) {
      const away = make("button", { type: "button", "data-words": name, hidden: "" });
      away.addEventListener("click", () => set(name, null));
      form.append(away);
      continue;
    }
    const known = cells.map(cell => asNumber(cell, name)).filter(Number.isFinite);
    if (new Set(known).size < 2) continue;
    const field = (end, label, placeholder) => {
      const input = make("input", { type: "number", step: "any", "data-axis": name, "data-end": end, placeholder, "aria-label": `${name} ${label}` });
      input.addEventListener("input", () => {
        const typed = input.value === "" ? undefined : Number(input.value);
        set(name, { ...ranges.get(name), [end]: typed });
      });
      return input;
    };
    form.append(make("fieldset", {}, make("legend", {}, name),
      field("low", "at least", Math.min(...known)), " to ", field("high", "at most", Math.max(...known))));
  }
  const clear = make("button", { type: "button", class: "clear", hidden: "" }, "Clear ranges");
  clear.addEventListener("click", () => { ranges.clear(); apply(); });
  form.append(clear, said);
  form.addEventListener("submit", event => event.preventDefault());
};

// The axes of the parallel coordinates: long upright lines that are nobody's; where a cell crosses one follows from its line.
const drawn = [];
const SVG = "http://www.w3.org/2000/svg";
const points = line => line.getAttribute("points").trim().split(/\s+/).map(pair => pair.split(",").map(Number));
const axesOf = svg => {
  const rulers = all("polyline", svg).filter(line => !line.closest("[data-set]")).map(points)
    .filter(line => line.length === 2 && line[0][0] === line[1][0] && Math.abs(line[0][1] - line[1][1]) > svg.viewBox.baseVal.height / 3);
  const rulersLeftToRight = rulers.sort((a, b) => a[0][0] - b[0][0]);
  const below = Math.max(...rulers.flat().map(point => point[1]));
  const plain = text => text.replace(/\s/g, "");
  return rulersLeftToRight.map(([[x, y0], [, y1]], at) => {
    const label = all("text", svg).filter(text => Number(text.getAttribute("x")) === x && Number(text.getAttribute("y")) > below);
    const name = plain(label.map(text => text.textContent).join(""));
    const isLast = at === rulers.length - 1;
    return { x, top: Math.min(y0, y1), bottom: Math.max(y0, y1), name: isLast ? metric : names.find(known => plain(known) === name) };
  }).filter(axis => axis.name !== undefined);
};
const crossing = (line, x) => {
  for (let i = 1; i < line.length; i++) {
    const [[ax, ay], [bx, by]] = [line[i - 1], line[i]];
    if (ax <= x && x <= bx) return bx === ax ? ay : ay + (by - ay) * (x - ax) / (bx - ax);
  }
  return NaN;
};

const brush = (svg, axis, width) => {
  const lines = new Map(all("[data-set] polyline", svg).map(line => [line.closest("[data-set]").dataset.set, points(line)]));
  const at = cells.map(cell => ({ cell, y: lines.has(cell.text) ? crossing(lines.get(cell.text), axis.x) : NaN }));
  const rect = kind => {
    const element = document.createElementNS(SVG, "rect");
    element.setAttribute("class", kind);
    element.setAttribute("x", axis.x - width / 2); element.setAttribute("width", width);
    return element;
  };
  const extent = (element, low, high) => { element.setAttribute("y", low); element.setAttribute("height", Math.max(0, high - low)); };
  const hit = rect("hit"), seen = rect("brushed");
  extent(hit, axis.top, axis.bottom);
  svg.append(seen, hit);
  const place = event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return Math.max(axis.top, Math.min(axis.bottom, point.y));
  };
  const within = (low, high) => at.filter(({ y }) => y >= low && y <= high).map(({ cell }) => cell);
  const wanted = (low, high) => {
    const found = within(low, high);
    if (!numeric.has(axis.name)) return { words: [...new Set(found.map(cell => value(cell, axis.name)))] };
    const numbers = found.map(cell => asNumber(cell, axis.name)).filter(Number.isFinite);
    // Where there is nothing, nothing is left.
    return numbers.length ? { low: Math.min(...numbers), high: Math.max(...numbers) } : { words: [] };
  };
  let start = null;
  hit.addEventListener("pointerdown", event => { start = place(event); hit.setPointerCapture(event.pointerId); event.preventDefault(); });
  hit.addEventListener("pointermove", event => {
    if (start === null) return;
    const end = place(event);
    extent(seen, Math.min(start, end), Math.max(start, end));
  });
  hit.addEventListener("pointerup", event => {
    if (start === null) return;
    const end = place(event), [low, high] = [Math.min(start, end), Math.max(start, end)];
    start = null;
    // A press without a way takes the range away.
    set(axis.name, high - low < (axis.bottom - axis.top) / 100 ? null : wanted(low, high));
  });
  hit.addEventListener("pointercancel", () => { start = null; show(); });
  hit.addEventListener("click", event => event.stopPropagation());
  return { show: () => {
    const range = ranges.get(axis.name);
    const ys = range ? at.filter(({ cell, y }) => Number.isFinite(y) && passes(cell, [axis.name, range])).map(({ y }) => y) : [];
    const margin = (axis.bottom - axis.top) / 60;
    if (ys.length) extent(seen, Math.min(...ys) - margin, Math.max(...ys) + margin); else extent(seen, 0, 0);
  } };
};

if (cells.length > 1) {
  build();
  const figure = one("#figure-parallel-coordinates"), svg = figure && one(".plot svg", figure);
  if (svg) {
    const axes = axesOf(svg), gap = axes.length > 1 ? axes[1].x - axes[0].x : 400;
    drawn.push(...axes.map(axis => brush(svg, axis, Math.min(gap / 3, 260))));
    one(".plot", figure).before(form);
    form.prepend(make("p", { class: "note" }, "Drag along an axis to keep a range of it, here and in all other figures and tables."));
  } else one("#figures")?.querySelector("figure")?.before(form);
  for (const text of new URL(location).searchParams.getAll("range")) {
    const at = text.indexOf("="), name = text.slice(0, at), [low, high] = text.slice(at + 1).split("..");
    const end = text => text === "" || !Number.isFinite(Number(text)) ? undefined : Number(text);
    if (!names.includes(name)) continue;
    ranges.set(name, high === undefined ? { words: text.slice(at + 1).split("|") } : { low: end(low), high: end(high) });
  }
  apply();
}

// The theme that was chosen in the other views, and theirs that is chosen here.
const dress = one("button.theme"), style = document.documentElement;
const chosen = localStorage.getItem("theme");
const isDark = () => style.dataset.theme ? style.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
if (dress && chosen && (chosen === "dark") !== isDark()) dress.click();
dress?.addEventListener("click", () => localStorage.setItem("theme", isDark() ? "dark" : "light"));
