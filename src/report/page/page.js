// The page's behaviour: sorting, the dark, one run or setting in every figure at once, figures enlarged.
// Everything can be read without it.
'use strict';
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const root = document.documentElement;
  root.classList.add('js');

  // Light and dark: what the reader's screen prefers, until the button says otherwise.
  const theme = document.querySelector('button.theme');
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : prefersDark.matches);
  const nameTheme = () => { theme.textContent = isDark() ? 'Light colours' : 'Dark colours'; };
  theme.hidden = false;
  theme.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; nameTheme(); });
  prefersDark.addEventListener('change', nameTheme);
  nameTheme();

  // Tables sort by the column whose head is pressed; what has no value stays last.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = (cell.dataset.v ?? cell.textContent).trim();
    const number = Number(text.replace(/,/g, '').replace('\u2212', '-'));
    return text === '' || text === '\u2013' ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b)));
  const sort = (table, head, column) => {
    const direction = head.ariaSort === 'ascending' ? -1 : 1;
    const rows = all('tbody tr', table).map(row => ({ row, value: valueOf(row, column) }));
    rows.sort((a, b) => (a.value === null || b.value === null
      ? (a.value === null) - (b.value === null) : direction * compare(a.value, b.value)));
    table.tBodies[0].append(...rows.map(({ row }) => row));
    all('thead th', table).forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', direction === 1 ? 'ascending' : 'descending');
  };
  for (const table of all('table.sortable')) {
    all('thead th', table).forEach((head, column) => {
      const button = make('button', { type: 'button', textContent: head.textContent });
      button.addEventListener('click', () => sort(table, head, column));
      head.replaceChildren(button);
    });
  }

  // Whose things are: a run has the settings of its row.
  const settingsOf = text => new Map((text ?? '').split('\t').filter(Boolean).map(pair => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)];
  }));
  const rows = new Map(all('#runs tr[data-run]').map(row => [row.dataset.run, row]));
  const things = all('[data-run],[data-set]').map(element => {
    const run = element.dataset.run;
    const set = settingsOf(element.dataset.set ?? rows.get(run)?.dataset.set);
    return { element, run, set, isMark: element.closest('.plot') !== null };
  });
  const thingOf = new Map(things.map(thing => [thing.element, thing]));
  const agree = (a, b) => [...a].every(([axis, value]) => !b.has(axis) || b.get(axis) === value);
  const related = (a, b) => (a.run && b.run ? a.run === b.run : a.set.size > 0 && b.set.size > 0 && agree(a.set, b.set));

  // Pointing at a row or a mark shows the same runs everywhere; a click keeps it so, Escape ends it.
  const main = document.querySelector('main');
  let kept = null;
  const show = thing => {
    main.classList.toggle('linking', thing !== null);
    for (const other of things) other.element.classList.toggle('lit', thing !== null && related(thing, other));
  };
  const under = event => {
    const element = event.target.closest?.('[data-run],[data-set]');
    return (element && thingOf.get(element)) ?? null;
  };
  const tip = make('div', { className: 'tip', hidden: true });
  tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  const metricHead = document.querySelector('#runs thead th:nth-child(2)')?.textContent ?? '';
  const describe = thing => {
    const lines = [...thing.set].map(([axis, value]) => `${axis} ${value}`);
    const row = rows.get(thing.run);
    if (row) {
      const cells = [...row.cells];
      const names = all('#runs thead th').map(head => head.textContent);
      lines.unshift(`run ${thing.run}`);
      lines.push(`seed ${cells[names.indexOf('seed')].textContent}`, `${metricHead} ${cells[1].textContent.trim()}`);
      return lines.join('\n');
    }
    const cells = things.filter(other => other.element.closest?.('#cells') && agree(thing.set, other.set));
    const mean = cells.length === 1 ? cells[0].element : null;
    if (mean) {
      const [value, half] = ['mean', '\u00b1 95 %'].map(name => {
        const column = all('#cells thead th').findIndex(head => head.textContent === name);
        return mean.cells[column].textContent;
      });
      lines.push(`${metricHead} ${value}${half === '\u2013' ? '' : ` \u00b1 ${half}`}`);
    } else {
      lines.push(`${cells.length} cells`);
    }
    return lines.join('\n');
  };
  const place = event => {
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
  };
  main.addEventListener('pointerover', event => {
    const thing = under(event);
    if (!kept) show(thing);
    tip.hidden = !thing?.isMark;
    if (thing?.isMark) { tip.textContent = describe(thing); place(event); }
  });
  main.addEventListener('pointermove', event => { if (!tip.hidden) place(event); });
  main.addEventListener('pointerleave', () => { tip.hidden = true; if (!kept) show(null); });
  main.addEventListener('focusin', event => { if (!kept) show(under(event)); });
  main.addEventListener('click', event => {
    if (event.target.closest('a,button,input,label,summary')) return;
    const thing = under(event);
    kept = thing && kept?.element !== thing.element ? thing : null;
    show(kept);
  });
  addEventListener('keydown', event => {
    if (event.key === 'Escape') { kept = null; show(null); tip.hidden = true; }
  });

  // Settings whose box is not ticked are left out of figures and tables.
  const switches = document.querySelector('.switches');
  if (switches) {
    const said = switches.querySelector('output');
    const filter = () => {
      const off = all('input:not(:checked)', switches).map(input => [input.dataset.axis, input.value]);
      for (const { element, set } of things) {
        element.classList.toggle('out', off.some(([axis, value]) => set.get(axis) === value));
      }
      const left = [...rows.values()].filter(row => !row.classList.contains('out')).length;
      said.textContent = off.length ? `${left} of ${rows.size} runs shown` : '';
    };
    switches.hidden = switches.querySelector('input') === null;
    switches.addEventListener('change', filter);
    switches.addEventListener('submit', event => event.preventDefault());
  }

  // A figure as large as the window.
  const dialog = make('dialog', { innerHTML: '<div class="bar"><p></p><button type="button">Close</button></div><div class="plot" tabindex="0" role="region"></div>' });
  dialog.setAttribute('aria-label', 'Figure');
  document.body.append(dialog);
  dialog.querySelector('button').addEventListener('click', () => dialog.close());
  const enlarge = figure => {
    const title = figure.querySelector('h3').textContent;
    dialog.querySelector('p').textContent = title;
    const plot = dialog.querySelector('.plot');
    plot.setAttribute('aria-label', title);
    plot.replaceChildren(figure.querySelector('svg').cloneNode(true));
    dialog.showModal();
  };
  for (const figure of all('figure')) {
    const button = figure.querySelector('.enlarge');
    button.hidden = false;
    button.setAttribute('aria-label', `Enlarge: ${figure.querySelector('h3').textContent}`);
    button.addEventListener('click', () => enlarge(figure));
    figure.querySelector('.plot').addEventListener('click', () => { if (innerWidth < 640) enlarge(figure); });
  }

  // Where in the contents the reader is.
  const nav = document.querySelector('nav');
  const links = new Map(all('nav a').map(link => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(entries => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !links.has(target.id)) continue;
      links.forEach(link => link.classList.remove('here'));
      const link = links.get(target.id);
      link.classList.add('here');
      nav.scrollTop = link.offsetTop - nav.clientHeight / 2;
    }
  }, { rootMargin: '0px 0px -75% 0px' });
  all('main section, main figure').forEach(part => seen.observe(part));
})();
