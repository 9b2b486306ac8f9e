// Curves of a run: a panel for the metrics of one name, over steps, tokens or time, smoothed, on a logarithmic axis, exact at any
// zoom, and carried on while the run is. All panels show one range.
import { body, make, on, one, read } from "./document.js";
import { ask, carriedOn, numbers, points, rising, smoothed, stepsWithin, whole } from "./series.js";
import { isDark } from "./theme.js";
import { readView, view, writeView } from "./view.js";

const HUES = [["#00619a", "#4aa8e0"], ["#a83f00", "#f2843c"], ["#2e7d32", "#7bc67e"], ["#7b3fa0", "#c79ae0"], ["#8a6d00", "#d8b73c"]];
// Points of a curve from afar, those of a part that is looked at, and those from which on a curve is thinned again.
const AFAR = 600, NEAR = 1000, LONG = 2400;
const KEYS = "Arrow keys move along, plus and minus zoom, 0 shows the whole run";

const place = one(".curves"), brought = read("curves");
if (place && brought && window.uPlot) start();

function start() {
  const panels = one(".panels", place), over = one("[data-over]", place), reset = one("[data-whole]", place);
  const smooth = one("[data-smooth]", place), log = one("[data-log]", place), range = one("[data-range]", place);
  // What is known of each metric that is shown, by name; `near` is the part of it that is looked at.
  const known = new Map();
  let layout = [], drawn = [], many = false;

  // A canvas takes no light-dark(): an element in that colour says what it comes to.
  const colour = name => { const probe = document.createElement("i"); probe.className = "probe"; probe.style.color = `var(${name})`; body.append(probe); const rgb = getComputedStyle(probe).color; probe.remove(); return rgb; };
  const number = value => value === null || value === undefined ? "\u2013" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(5));
  const plain = value => value === null || value === undefined ? "\u2013" : value.toLocaleString("en", { maximumFractionDigits: 3 });
  const short = value => value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 6 });
  const duration = secs => {
    if (secs === null || secs === undefined) return "\u2013";
    const [unit, name] = Math.abs(secs) < 120 ? [1, "s"] : Math.abs(secs) < 7200 ? [60, "min"] : Math.abs(secs) < 172800 ? [3600, "h"] : [86400, "d"];
    return `${+(secs / unit).toPrecision(4)} ${name}`;
  };
  // Hours and minutes, below the first of a day its date; of days there are dates alone.
  const two = value => String(value).padStart(2, "0");
  const day = date => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const times = (_, ticks, __, ___, apart) => {
    let before = "";
    return ticks.map(tick => {
      const date = new Date(tick * 1000), its = day(date), isNew = its !== before;
      before = its;
      if (apart >= 86400) return its;
      const time = `${two(date.getHours())}:${two(date.getMinutes())}${apart < 60 ? ":" + two(date.getSeconds()) : ""}`;
      return isNew ? time + "\n" + its : time;
    });
  };
  const clock = secs => secs === null || secs === undefined ? "\u2013" : `${day(new Date(secs * 1000))} ${new Date(secs * 1000).toTimeString().slice(0, 8)}`;

  // What the curves lie over: what the interface is asked for, how that becomes a place on the axis, and how it is said.
  const axes = {
    step: { asks: undefined, scale: step => step, said: plain, axis: { space: 80 } },
    elapsed: {
      asks: "time", scale: ms => (ms - (brought.started || 0)) / 1000, said: duration,
      axis: { space: 70, values: (_, ticks) => ticks.map(duration), incrs: [0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 432000, 864000] },
    },
    clock: { asks: "time", scale: ms => ms / 1000, said: clock, axis: { space: 90, values: times } },
  };
  const laid = () => axes[view.x] || { asks: view.x, scale: value => value, said: plain, axis: { space: 70, values: (_, ticks) => ticks.map(short) } };
  const isZoomed = () => view.from !== null;
  const offered = () => over ? [...over.options].map(option => option.value) : ["step"];

  // The lines of a panel, as the chart takes them: raw, smoothed, and floors.
  const lines = curves => uPlot.join(curves.flatMap(({ name, floors }) => {
    const curve = known.get(name), { scale } = laid();
    const [xs, values] = rising(isZoomed() && curve.near || curve, scale), raw = numbers(values);
    const [first, last] = [xs[0], xs[xs.length - 1]];
    // Of a single point the floor is drawn as wide as what it was measured over.
    const from = first === last ? (view.x === "clock" ? first - 60 : Math.min(0, first - 1)) : first;
    const flat = value => !xs.length ? [[], []] : [[from, last], [value, value]];
    return [[xs, raw], ...(view.smooth ? [[xs, smoothed(raw, view.smooth)]] : []), ...floors.map(([, value]) => flat(value))];
  }));

  const tell = panel => {
    const canvas = one("canvas", panel.box), odd = one(".odd", panel.box);
    canvas.setAttribute("aria-label", panel.curves.map(({ name }) => {
      const { count, end } = known.get(name);
      return `${name}: ${count} points, the last ${number(end)}`;
    }).join("; "));
    const gaps = panel.curves.reduce((sum, { name }) => sum + known.get(name).values.filter(value => typeof value !== "number").length, 0);
    odd.textContent = gaps ? `${gaps} of the values drawn are not finite: gaps` : ""; odd.hidden = !gaps;
    const none = panel.curves.filter(({ name }) => !known.get(name).steps.length && known.get(name).count).map(({ name }) => name);
    const bare = one(".bare", panel.box);
    bare.textContent = none.length ? `${none.join(", ")}: no point has a place on this axis` : ""; bare.hidden = !none.length;
  };

  // Puts what is known now into a panel that is there; a range that was chosen stays.
  const fill = panel => {
    if (isZoomed()) {
      panel.plot.setData(lines(panel.curves), false);
      panel.plot.setScale("x", { min: view.from, max: view.to });
    } else panel.plot.setData(lines(panel.curves), true);
    tell(panel);
  };
  const fillAll = () => drawn.forEach(fill);

  const draw = () => {
    place.hidden = !layout.length;
    drawn.forEach(({ plot }) => plot.destroy()); drawn = [];
    panels.replaceChildren();
    const [text, line] = [colour("--muted"), colour("--line")], { said, axis } = laid();
    const made = shown(layout).map(({ name, curves }) => {
      const chart = make("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `${name}. ${KEYS}`, title: KEYS });
      const box = make("div", { class: "panel" }, make("h3", {}, name), chart, make("p", { class: "odd", hidden: true }), make("p", { class: "bare quiet", hidden: true }));
      return { name, curves, chart, box };
    });
    panels.append(...made.map(({ box }) => box));
    // Asked once: the page is laid out anew for each question.
    const width = made.length ? Math.max(240, made[0].chart.clientWidth) : 0;
    for (const { name, curves, chart, box } of made) {
      const series = [{ label: over ? over.selectedOptions[0].text : "steps", value: (_, x) => said(x) }];
      const value = (_, v) => number(v);
      curves.forEach(({ name, floors }, i) => {
        const hue = HUES[i % HUES.length][+isDark()], few = known.get(name).steps.length < 40;
        series.push({ label: name, stroke: view.smooth ? hue + "55" : hue, width: 1.5, points: { show: few && !view.smooth, size: 5 }, spanGaps: false, value });
        if (view.smooth) series.push({ label: name + " smoothed", stroke: hue, width: 2, points: { show: false }, spanGaps: true, value });
        for (const [fact] of floors) series.push({ label: fact, stroke: text, dash: [6, 4], width: 1, points: { show: false }, spanGaps: true, value });
      });
      const look = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
      const isPositive = curves.every(({ name }) => known.get(name).values.every(value => typeof value !== "number" || value > 0));
      const plot = new uPlot({
        width, height: 240, series,
        axes: [{ ...look, ...axis }, { ...look, size: 64, values: (_, ticks) => ticks.map(tick => tick === null ? "" : Math.abs(tick) >= 1e4 ? short(tick) : number(tick)) }],
        scales: { x: { time: view.x === "clock" }, y: { distr: view.log && isPositive ? 3 : 1 } },
        cursor: { sync: { key: "steps" }, drag: { setScale: false }, bind: { dblclick: () => () => { see(null, null); return null; } } },
        hooks: { setSelect: [chosen] },
      }, lines(curves), chart);
      const panel = { name, curves, box, plot };
      chart.onkeydown = event => key(event, panel);
      one("canvas", chart).setAttribute("role", "img");
      drawn.push(panel);
      if (isZoomed()) plot.setScale("x", { min: view.from, max: view.to });
      tell(panel);
    }
    const rest = layout.length - shown(layout).length;
    if (rest) panels.append(make("button", { type: "button", onclick: more }, `${rest} more`));
  };

  const shown = panels => many ? panels : panels.slice(0, brought.at_first);
  const more = async () => {
    const names = layout.flatMap(({ curves }) => curves).map(({ name }) => name).filter(name => !known.has(name));
    if (await readWhole(names)) { many = true; draw(); lookCloser(); }
  };

  const chosen = plot => {
    const { left, width } = plot.select;
    if (width > 2) see(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  };

  // Shows a range of all curves, or all of them.
  const see = (from, to) => {
    const was = isZoomed();
    if (from === null && !was) return;
    [view.from, view.to] = [from, to];
    if (isZoomed() && was) drawn.forEach(({ plot }) => plot.setScale("x", { min: from, max: to }));
    else { known.forEach(curve => { curve.near = null; }); fillAll(); }
    say(); writeView(); lookCloser();
  };
  const say = () => {
    reset.hidden = !isZoomed();
    const { said } = laid();
    range.textContent = isZoomed() ? `${said(view.from)} to ${said(view.to)}` : "";
  };

  // Of curves that were thinned, the part that is looked at is asked for again, with its exact extrema.
  let away = null, asked = 0;
  const lookCloser = () => {
    clearTimeout(away);
    const number = ++asked;
    if (isZoomed()) away = setTimeout(async () => {
      const thinned = drawn.flatMap(({ curves }) => curves).map(({ name }) => name).filter(name => known.get(name).thinned);
      const { asks, scale } = laid();
      const steps = view.x === "step" ? [Math.floor(view.from), Math.ceil(view.to)]
        : stepsWithin(thinned.map(name => known.get(name)), scale, view.from, view.to);
      if (!thinned.length || !steps) return;
      const found = await ask(thinned, { from: steps[0], to: steps[1], points: NEAR, x: asks });
      if (!found || number !== asked) return;
      Object.entries(found).forEach(([name, series]) => { known.get(name).near = points(series); });
      drawn.filter(({ curves }) => curves.some(({ name }) => name in found)).forEach(fill);
    }, 60);
  };

  // Arrow keys move along, plus and minus zoom, 0 shows all.
  const key = (event, { plot }) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = plot.scales.x, xs = plot.data[0], span = max - min, middle = (min + max) / 2;
    const shift = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key], zoom = { "+": 0.5, "=": 0.5, "-": 2, "_": 2 }[event.key];
    if (!shift && !zoom && !["0", "Home"].includes(event.key)) return;
    event.preventDefault();
    if (min === null || !xs.length) return;
    const [least, most] = extent();
    if (shift && isZoomed()) {
      const by = shift < 0 ? Math.max(shift * span, Math.min(least - min, 0)) : Math.min(shift * span, Math.max(most - max, 0));
      if (by) see(min + by, max + by);
    } else if (zoom) {
      const half = span * zoom / 2, [from, to] = [Math.max(least, middle - half), Math.min(most, middle + half)];
      if (from <= least && to >= most) see(null, null);
      else if (to > from) see(from, to);
    } else if (!shift) see(null, null);
  };
  const extent = () => {
    const { scale } = laid();
    let [least, most] = [Infinity, -Infinity];
    known.forEach(({ places }) => { for (const place of places) { const x = scale(place); least = Math.min(least, x); most = Math.max(most, x); } });
    return [least, most];
  };

  // Every curve anew, as it is seen from afar.
  const readWhole = async names => {
    const found = await ask(names, { points: AFAR, x: laid().asks });
    if (!found) return false;
    Object.entries(found).forEach(([name, series]) => known.set(name, whole(series)));
    return true;
  };

  // What was measured since: only that is asked for, unless it does not follow on what is known.
  const catchUp = async now => {
    const anew = [], since = new Map();
    for (const { name, points, last } of shown(now.panels).flatMap(({ curves }) => curves)) {
      const curve = known.get(name);
      if (!curve || curve.steps.length > LONG) anew.push(name);
      else if (curve.count !== points || curve.last !== last) since.set(curve.last, [...since.get(curve.last) || [], name]);
    }
    for (const [last, names] of since) {
      const found = await ask(names, { from: last + 1, points: AFAR, x: laid().asks });
      for (const name of names) {
        const more = found && found[name] && carriedOn(known.get(name), found[name]);
        if (more) known.set(name, { ...more, near: known.get(name).near }); else anew.push(name);
      }
    }
    if (anew.length && !await readWhole(anew)) return;
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const named = panels => panels.map(({ name, curves }) => [name, curves.map(({ name, floors }) => [name, floors])]);
    const isSame = same(named(layout), named(now.panels));
    layout = now.panels;
    const moved = new Set([...anew, ...[...since.values()].flat()]);
    if (isSame) drawn.filter(({ curves }) => curves.some(({ name }) => moved.has(name))).forEach(fill); else draw();
    if (since.size || anew.length) lookCloser();
  };
  let busy = false, next = null;
  on("fresh", async fresh => {
    next = read("curves", fresh) || next;
    while (next && !busy) {
      const now = next;
      busy = true; next = null;
      await catchUp(now).finally(() => { busy = false; });
    }
  });

  // Takes over what the address says, of what this run offers.
  const adopt = async () => {
    const before = view.x;
    if (!readView()) return;
    if (!offered().includes(view.x)) { view.x = "step"; view.from = view.to = null; }
    smooth.value = view.smooth; log.checked = view.log;
    if (over) over.value = view.x;
    known.forEach(curve => { curve.near = null; });
    if (view.x !== before && !await readWhole([...known.keys()])) view.x = before;
    draw(); say(); lookCloser();
  };

  if (over) over.onchange = async () => {
    const before = view.x;
    view.x = over.value; view.from = view.to = null;
    if (!await readWhole([...known.keys()])) { view.x = before; over.value = before; }
    draw(); say(); writeView();
  };
  smooth.oninput = () => {
    const was = !!view.smooth;
    view.smooth = +smooth.value;
    if (was === !!view.smooth) fillAll(); else draw();
    writeView();
  };
  log.onchange = () => { view.log = log.checked; draw(); writeView(); };
  reset.onclick = () => { see(null, null); };
  on("theme", draw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    const wide = drawn.length ? Math.max(240, one(".chart", drawn[0].box).clientWidth) : 0;
    drawn.forEach(({ plot }) => plot.setSize({ width: wide, height: 240 }));
  });
  addEventListener("hashchange", adopt);

  layout = brought.panels;
  shown(layout).forEach(({ curves }) => curves.forEach(({ name, series }) => known.set(name, whole(series))));
  place.hidden = !layout.length;
  adopt();
}
