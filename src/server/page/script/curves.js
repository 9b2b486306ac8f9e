// Curves of a run: a panel for the metrics of one name, smoothed, on a logarithmic axis, and exact at any zoom.
import { body, on, one, ours, read, root } from "./document.js";
import { isDark } from "./theme.js";

const HUES = [["#00619a", "#4aa8e0"], ["#a83f00", "#f2843c"], ["#2e7d32", "#7bc67e"], ["#7b3fa0", "#c79ae0"], ["#8a6d00", "#d8b73c"]];
const place = one(".curves"), data = read("curves");
if (place && data && window.uPlot) {
  const panels = one(".panels", place), smooth = one("[data-smooth]", place), log = one("[data-log]", place);
  // A canvas takes no light-dark(): an element in that colour says what it comes to.
  const colour = name => { const probe = document.createElement("i"); probe.className = "probe"; probe.style.color = `var(${name})`; body.append(probe); const rgb = getComputedStyle(probe).color; probe.remove(); return rgb; };
  const smoothed = (values, weight) => {
    let mean = 0, debt = 0;
    return values.map(value => {
      if (value === null || !isFinite(value)) return value;
      mean = mean * weight + value * (1 - weight); debt = debt * weight + (1 - weight);
      return mean / debt;
    });
  };
  const number = value => value === null || value === undefined ? "\u2013" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(5));
  // What the interface says of a range as points: each bucket's lowest and highest.
  const points = found => {
    if (!found) return {};
    if (found.exact) return { steps: found.exact.steps, values: found.exact.values };
    const steps = [], values = [], { from, to, min, max } = found.buckets;
    from.forEach((step, i) => {
      steps.push(step); values.push(min[i]);
      if (to[i] > step) { steps.push(to[i]); values.push(max[i]); }
    });
    return { steps, values };
  };
  const numbers = values => values.map(value => typeof value === "number" ? value : null);
  const drawable = panels => panels.map(panel => ({ ...panel, curves: panel.curves.map(curve => ({ ...curve, ...points(curve.series) })) }));
  let shown = drawable(data), plots = [], many = false;
  const draw = () => {
    place.hidden = !shown.length;
    plots.forEach(plot => plot.destroy()); plots = [];
    panels.replaceChildren();
    const weight = +smooth.value, [text, line] = [colour("--muted"), colour("--line")];
    for (const { name, curves } of many ? shown : shown.slice(0, 24)) {
      const box = document.createElement("div"), head = document.createElement("h3");
      box.className = "panel"; head.textContent = name; box.append(head); panels.append(box);
      const series = [{ label: "step" }];
      const lines = curves => curves.flatMap(curve => {
        const raw = numbers(curve.values), [first, last] = [curve.steps[0], curve.steps[curve.steps.length - 1]];
        const floors = (curve.floors || []).map(([, value]) => first === last ? [[first], [value]] : [[first, last], [value, value]]);
        return [[curve.steps, raw], ...(weight ? [[curve.steps, smoothed(raw, weight)]] : []), ...floors];
      });
      curves.forEach((curve, i) => {
        const hue = HUES[i % HUES.length][+isDark()], few = curve.values.length < 40;
        series.push({ label: curve.name, stroke: weight ? hue + "55" : hue, width: 1.5, points: { show: few && !weight, size: 5 }, spanGaps: false, value: (_, v) => number(v) });
        if (weight) {
          series.push({ label: curve.name + " smoothed", stroke: hue, width: 2, points: { show: false }, spanGaps: true, value: (_, v) => number(v) });
        }
        for (const [fact] of curve.floors || []) {
          series.push({ label: fact, stroke: text, dash: [6, 4], width: 1, points: { show: false }, spanGaps: true, value: (_, v) => number(v) });
        }
      });
      const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
      const positive = curves.every(curve => curve.values.every(value => typeof value !== "number" || value > 0));
      // Of a curve that was thinned, the part that is looked at is asked for again, with its exact extrema.
      const thinned = curves.filter(curve => curve.series.buckets);
      let asked = "", away = null;
      const look = plot => {
        const { min, max } = plot.scales.x, range = `${Math.floor(min)}-${Math.ceil(max)}`;
        if (!thinned.length || range === asked || !ours()) return;
        asked = range; clearTimeout(away);
        away = setTimeout(async () => {
          const metrics = thinned.map(curve => "metric=" + encodeURIComponent(curve.name)).join("&");
          const address = `${root}/api/v1/runs/${ours()}/series?${metrics}&from=${Math.floor(min)}&to=${Math.ceil(max)}&points=1000`;
          const answer = await fetch(address).catch(() => null);
          if (!answer || !answer.ok || range !== asked) return;
          const found = (await answer.json()).series;
          const zoomed = curves.map(curve => ({ ...curve, ...points(found[curve.name]) }));
          plot.setData(uPlot.join(lines(zoomed)), false); plot.redraw();
        }, 150);
      };
      const plot = new uPlot({
        hooks: { setScale: [(plot, key) => { if (key === "x") look(plot); }] },
        width: Math.max(260, box.clientWidth - 20), height: 240, series,
        axes: [{ ...axis }, { ...axis, size: 64, values: (_, ticks) => ticks.map(tick => tick === null ? "" : number(tick)) }],
        scales: { x: { time: false }, y: { distr: log.checked && positive ? 3 : 1 } },
        cursor: { sync: { key: "steps" } },
      }, uPlot.join(lines(curves)), box);
      plots.push(plot);
      const last = ({ series: { exact, buckets } }) => number(numbers(exact ? exact.values : buckets.last).filter(value => value !== null).pop());
      const canvas = one("canvas", box);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", curves.map(curve => `${curve.name}: ${curve.series.points} points, the last ${last(curve)}`).join("; "));
      const odd = curves.reduce((count, curve) => count + curve.values.filter(value => typeof value !== "number").length, 0);
      if (odd) {
        const note = document.createElement("p");
        note.className = "odd"; note.textContent = `${odd} of the values drawn are not finite: gaps`; box.append(note);
      }
    }
    if (!many && shown.length > 24) {
      const rest = document.createElement("button");
      rest.type = "button"; rest.textContent = `${shown.length - 24} more`; rest.onclick = () => { many = true; draw(); };
      panels.append(rest);
    }
  };
  on("fresh", fresh => { const now = read("curves", fresh); if (now) { shown = drawable(now); draw(); } });
  smooth.oninput = log.onchange = draw;
  on("theme", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  draw();
}
