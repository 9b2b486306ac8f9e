// What the page does beyond HTML: the theme, words while a query is typed, what is said about runs, curves, and views that stay
// up with the runs. Every part finds what it needs in the document or does nothing.
"use strict";
(() => {
  const body = document.body, root = body.dataset.root, readOnly = "readOnly" in body.dataset;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector, from = document) => from.querySelector(selector);
  const read = id => { const at = document.getElementById(id); return at ? JSON.parse(at.textContent) : null; };

  // Theme: the system's unless it was chosen.
  const theme = one("button.theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  const redraw = [];
  const chosen = () => localStorage.getItem("theme") || (dark.matches ? "dark" : "light");
  const dress = () => {
    document.documentElement.dataset.theme = chosen();
    theme.textContent = chosen() === "dark" ? "Light" : "Dark";
    redraw.forEach(draw => draw());
  };
  theme.hidden = false;
  theme.onclick = () => { localStorage.setItem("theme", chosen() === "dark" ? "light" : "dark"); dress(); };
  dark.onchange = dress;

  // Words of a query: the names that these runs have, while one is typed.
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

  // What people say about runs.
  const say = async change => {
    const answer = await fetch(root + "/api/v1/labels", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(change),
    }).catch(() => null);
    if (!answer) { alert("The server does not answer; nothing was changed."); return false; }
    if (!answer.ok) { alert((await answer.json().catch(() => ({}))).message || answer.statusText); return false; }
    return true;
  };
  const ours = one("h1[data-run]");
  const picked = () => ours ? [ours.dataset.run] : all("tbody input[name=run]:checked").map(box => box.value);
  const act = async what => {
    const runs = picked();
    if (!runs.length) return alert("Choose runs first.");
    const change = { runs };
    if (what === "tag" || what === "untag") {
      const tag = prompt(what === "tag" ? "Tag" : "Take away the tag");
      if (!tag) return;
      change[what === "tag" ? "add" : "remove"] = [tag];
    } else if (what === "name") {
      const name = prompt("Name", (one("h1 .name") || { textContent: "" }).textContent);
      if (name === null) return;
      change.name = name;
    } else if (what === "note") change.note = one("#note").value;
    else change.trash = what === "trash";
    if (await say(change)) {
      if (what === "trash" && !ours) undo(runs);
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
  document.addEventListener("change", event => {
    if (event.target.matches("[data-all]")) all("tbody input[name=run]").forEach(box => { box.checked = event.target.checked; });
  });

  // A view that stays up: the same address is asked again and the parts that changed are put in place.
  const LIVE = [".progress", ".answer", ".grid", "h1[data-run]", ".labels", ".short", "#metrics", "#settings", "#lineage", "#facts"];
  let appended = 0;
  // What has the focus, to be found again in what takes its place.
  const focused = () => {
    const at = document.activeElement, quoted = text => CSS.escape(text);
    if (!at || at === body) return null;
    if (at.id) return "#" + quoted(at.id);
    if (at.dataset.do) return `[data-do="${quoted(at.dataset.do)}"]`;
    if (at.name && at.value) return `[name="${quoted(at.name)}"][value="${quoted(at.value)}"]`;
    return at.getAttribute("href") ? `a[href="${quoted(at.getAttribute("href"))}"]` : null;
  };
  const found = fresh => {
    const [old, now] = [one("#found"), one("#found", fresh)];
    if (!old || !now || old.innerHTML === now.innerHTML) return;
    const heads = [old, now].map(part => (one(".runs thead", part) || { innerHTML: "" }).innerHTML);
    if (!appended || heads[0] !== heads[1]) {
      old.replaceWith(document.adoptNode(now)); appended = 0; follow();
      return;
    }
    // Further pages are on the screen: their rows stay, those of the first are put in place.
    const table = one(".runs tbody", old);
    all(".runs tbody tr", now).reverse().forEach(row => {
      const known = one(`tr[data-run="${row.dataset.run}"]`, table), adopted = document.adoptNode(row);
      if (known) known.replaceWith(adopted); else table.prepend(adopted);
    });
  };
  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const focus = focused();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const kept = new Set(picked());
    for (const selector of LIVE) {
      const [old, now] = [one(selector), one(selector, fresh)];
      if (old && now && old.innerHTML !== now.innerHTML) {
        const open = all("details", old).map(part => part.open);
        old.replaceWith(document.adoptNode(now));
        all("details", now).forEach((part, i) => { part.open = !!open[i]; });
      }
    }
    found(fresh);
    all("tbody input[name=run]").forEach(box => { box.checked = kept.has(box.value); });
    const data = fresh.getElementById("curves");
    if (data && curves) curves(JSON.parse(data.textContent));
    enable();
    const again = focus && document.activeElement === body && one(focus);
    if (again) again.focus();
  };
  if (window.EventSource) {
    let due = null, changes = null;
    const shown = id => !ours || ours.dataset.run === id;
    const hear = event => {
      let run = null;
      try { run = JSON.parse(event.data).id; } catch { run = event.data; }
      if (event.type !== "behind" && run && !shown(run)) return;
      due = due || setTimeout(() => { due = null; refresh(); }, 1000);
    };
    const live = (text, away) => { const at = one(".live"); at.hidden = false; at.textContent = text; at.classList.toggle("away", away); };
    // A view that nobody looks at hears nothing: a browser opens no more than six connections to a server, for all its tabs.
    const listen = () => {
      if (document.hidden || changes) return;
      changes = new EventSource(root + "/api/v1/changes");
      ["run", "gone", "behind"].forEach(name => changes.addEventListener(name, hear));
      changes.onopen = () => live("live", false);
      changes.onerror = () => live("the server does not answer", true);
    };
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { clearTimeout(due); due = null; if (changes) changes.close(); changes = null; } else { listen(); refresh(); }
    });
    listen();
  }

  // The next page, when its link comes into view.
  function follow() {
    const link = one("a.more");
    if (!link || !window.IntersectionObserver) return;
    let busy = false;
    new IntersectionObserver(async seen => {
      if (busy || !seen.some(entry => entry.isIntersecting)) return;
      busy = true;
      const answer = await fetch(link.href).catch(() => null);
      if (!answer || !answer.ok) { busy = false; return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const rows = all(".runs tbody tr", fresh).map(row => document.adoptNode(row));
      one(".runs tbody").append(...rows); appended += rows.length;
      const next = one("a.more", fresh);
      if (next) { link.href = next.href; busy = false; } else { link.remove(); }
    }, { rootMargin: "600px" }).observe(link);
  }
  follow();

  // MLflow's clients print addresses of its own page: the run is here.
  const run = /^#\/experiments\/\d+\/runs\/(\w+)/.exec(location.hash);
  if (run) location.replace(`${root}/runs/${run[1]}`);

  // Curves.
  const HUES = [["#00619a", "#4aa8e0"], ["#a83f00", "#f2843c"], ["#2e7d32", "#7bc67e"], ["#7b3fa0", "#c79ae0"], ["#8a6d00", "#d8b73c"]];
  const place = one(".curves"), data = read("curves");
  let curves = null;
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
      const isDark = chosen() === "dark", weight = +smooth.value, [text, line] = [colour("--muted"), colour("--line")];
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
          const hue = HUES[i % HUES.length][+isDark], few = curve.values.length < 40;
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
          if (!thinned.length || range === asked || !ours) return;
          asked = range; clearTimeout(away);
          away = setTimeout(async () => {
            const metrics = thinned.map(curve => "metric=" + encodeURIComponent(curve.name)).join("&");
            const address = `${root}/api/v1/runs/${ours.dataset.run}/series?${metrics}&from=${Math.floor(min)}&to=${Math.ceil(max)}&points=1000`;
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
    curves = fresh => { shown = drawable(fresh); draw(); };
    smooth.oninput = log.onchange = draw;
    redraw.push(draw);
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  }
  dress();
  enable();
})();
