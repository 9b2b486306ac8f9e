// Series as the interface gives them: asked for, made into points to draw, and carried on with what was measured since.
import { ours, root } from "./document.js";

// Metrics that are asked for at once: an address has an end.
const AT_ONCE = 40;

// A range of metrics' series, by their names; null where there is no answer.
export const ask = async (metrics, wanted) => {
  const all = {};
  for (let at = 0; at < metrics.length; at += AT_ONCE) {
    const query = new URLSearchParams(metrics.slice(at, at + AT_ONCE).map(name => ["metric", name]));
    Object.entries(wanted).forEach(([key, value]) => { if (value !== undefined && value !== null) query.set(key, value); });
    const answer = await fetch(`${root}/api/v1/runs/${ours()}/series?${query}`).catch(() => null);
    if (!answer || !answer.ok) return null;
    Object.assign(all, (await answer.json()).series);
  }
  return all;
};

// What is not finite is a gap.
export const numbers = values => values.map(value => typeof value === "number" ? value : null);

// Points of a range: of a bucket its lowest and its highest. Where they lie is their step, or what was asked for in its place;
// points without it are not drawn.
export const points = found => {
  const { exact, buckets } = found, steps = [], values = [], places = [];
  const add = (step, value, place) => {
    if (typeof place === "number") { steps.push(step); values.push(value); places.push(place); }
  };
  if (exact) exact.steps.forEach((step, i) => add(step, exact.values[i], exact.x ? exact.x[i] : step));
  else {
    const { from, to, min, max, x_from, x_to } = buckets;
    from.forEach((step, i) => {
      add(step, min[i], x_from ? x_from[i] : step);
      if (to[i] > step) add(to[i], max[i], x_to ? x_to[i] : to[i]);
    });
  }
  return { steps, values, places };
};

// Of a whole series also how long it is and what it ends with.
export const whole = found => {
  const ends = numbers(found.exact ? found.exact.values : found.buckets.last).filter(value => value !== null);
  return { ...points(found), count: found.points, last: found.last_step, end: ends.pop(), thinned: !found.exact };
};

// A series with what came after its last step; null where that does not follow on it, so that it must be read anew.
export const carriedOn = (known, found) => {
  if (!found.exact || known.count + found.in_range !== found.points || found.first_step > known.last) return null;
  const added = whole(found);
  return {
    steps: known.steps.concat(added.steps), values: known.values.concat(added.values), places: known.places.concat(added.places),
    count: found.points, last: found.last_step, end: added.end === undefined ? known.end : added.end, thinned: known.thinned,
  };
};

// The places as numbers that rise strictly, as a chart takes them: of several points at one place none hides another.
export const rising = ({ values, places }, scale) => {
  let order = places.map((_, i) => i);
  if (places.some((place, i) => i && place < places[i - 1])) order.sort((a, b) => places[a] - places[b] || a - b);
  let before = -Infinity;
  const xs = order.map(i => {
    const x = scale(places[i]);
    before = x > before ? x : before + Math.max(Math.abs(before) * 1e-15, 1e-9);
    return before;
  });
  return [xs, order.map(i => values[i])];
};

// The steps that lie at places of a range, and one more to each side.
export const stepsWithin = (curves, scale, from, to) => {
  let least = Infinity, most = -Infinity;
  for (const { steps, places } of curves) {
    let below = -1, above = -1;
    places.forEach((place, i) => {
      const x = scale(place);
      if (x >= from && x <= to) { least = Math.min(least, steps[i]); most = Math.max(most, steps[i]); }
      if (x < from && (below < 0 || x >= scale(places[below]))) below = i;
      if (x > to && (above < 0 || x < scale(places[above]))) above = i;
    });
    [below, above].forEach(i => { if (i >= 0) { least = Math.min(least, steps[i]); most = Math.max(most, steps[i]); } });
  }
  return least <= most ? [least, most] : null;
};

// A debiased moving average.
export const smoothed = (values, weight) => {
  let mean = 0, debt = 0;
  return values.map(value => {
    if (value === null || !isFinite(value)) return value;
    mean = mean * weight + value * (1 - weight); debt = debt * weight + (1 - weight);
    return mean / debt;
  });
};
