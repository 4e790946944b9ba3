// The run and its cost, drawn from the jobs that the filters leave.
"use strict";

gallery.charts = (() => {
  const { make, foreign, count, when, span, money, sum, number, state } = gallery.words;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDEST = 960;
  const LANES = 240; // more jobs than these are drawn as areas alone

  let wide = WIDEST; // units of a chart are pixels, so that its words are as large as all others

  function svg(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  const chart = (title, height, ...children) => svg("svg", { viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": title, class: "chart" }, ...children);

  function text(x, y, words, attributes = {}) {
    const made = svg("text", { x, y, ...attributes });
    made.textContent = words;
    return made;
  }

  function render(into, jobs) {
    wide = Math.min(WIDEST, into.clientWidth || WIDEST);
    const tries = jobs.flatMap((job) => [job, ...(job.earlier ?? [])].flatMap((one) => (one.attempts ?? []).map((attempt, at, all) =>
      ({ job, model: one.model, batch: job.batch, stored: at === all.length - 1 ? one.stored : 0, ...attempt }))));
    if (!tries.length) {
      into.replaceChildren(make("p.empty", {}, "Nothing was sent yet."));
      return;
    }
    into.replaceChildren(timeline(tries), latency(tries), cost(jobs));
  }

  const section = (title, says, ...children) => make("section", {}, make("h2", {}, title), make("p.says", {}, says), ...children.filter(Boolean));

  // -- the run: when each was sent, finished, stored ---------------------------------------------------------------

  function timeline(tries) {
    const moments = tries.flatMap((one) => [one.sent, one.finished ?? one.ended, one.stored]).filter(Boolean);
    const [from, to] = [Math.min(...spread(moments)), Math.max(...spread(moments), Math.min(...spread(moments)) + 1000)];
    const x = (at) => 8 + ((at - from) / (to - from)) * (wide - 16);
    const says = `${count(tries.length, "submission")}, from ${when(from)} on for ${span((to - from) / 1000)}.`;
    const few = tries.length <= LANES;
    return section("Timeline", says, area(tries, x, from, to), legend(few ? kinds(tries) : SUMS),
      few ? drawLanes(tries, x, from, to) : drawSums(tries, x, from, to));
  }

  const spread = (values) => [values.reduce((one, other) => Math.min(one, other)), values.reduce((one, other) => Math.max(one, other))];
  const done = (one) => one.finished ?? one.ended;

  const KINDS = [["at", "at the provider"], ["wait", "finished, not stored yet"], ["kept", "stored"], ["lost", "ended without a file"]];
  const SUMS = [["sent", "sent"], ["finished", "finished"], ["stored", "stored"]];

  const kinds = (tries) => (tries.some(doubtful) ? [...KINDS, ["doubt", "in doubt"]] : KINDS);
  const legend = (told) => make("ul.legend", {}, ...told.map(([kind, words]) => make("li", { "data-kind": kind }, words)));

  const doubtful = (one) => !one.outcome && one.job.state === "in_doubt";

  // How many are at the provider at each moment, as an area.
  function area(tries, x, from, to) {
    const height = 132;
    const steps = 240;
    const levels = new Array(steps + 1).fill(0);
    const step = (at) => Math.max(0, Math.min(steps, Math.round(((at - from) / (to - from)) * steps)));
    for (const one of tries) {
      if (doubtful(one)) continue;
      for (let at = step(one.sent); at <= step(done(one) ?? to); at += 1) levels[at] += 1;
    }
    const most = Math.max(1, ...levels);
    const y = (level) => height - 24 - (level / most) * (height - 48);
    const points = levels.map((level, at) => `${x(from + ((to - from) * at) / steps).toFixed(1)},${y(level).toFixed(1)}`);
    return make("figure", {}, chart(`At most ${most} at the provider at once`, height,
      svg("path", { d: `M${x(from)},${y(0)} L${points.join(" L")} L${x(to)},${y(0)} Z`, class: "at" }),
      svg("line", { x1: 8, x2: wide - 8, y1: y(0), y2: y(0), class: "axis" }),
      text(8, 14, `${number(most)} at once at most`, { class: "note" }), ...ticks(x, from, to, height - 6)));
  }

  function ticks(x, from, to, y) {
    const close = to - from < 2 * 86_400_000;
    const form = new Intl.DateTimeFormat(undefined, close ? { timeStyle: to - from < 600_000 ? "medium" : "short" } : { month: "short", day: "numeric" });
    return (wide < 600 ? [0, 1] : [0, 0.25, 0.5, 0.75, 1]).map((part) => {
      const at = from + (to - from) * part;
      return text(x(at), y, form.format(at), { class: "tick", "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" });
    });
  }

  // A line for each submission: at the provider, waiting to be fetched, stored.
  function drawLanes(tries, x, from, to) {
    const thick = Math.max(3, Math.min(12, Math.floor(480 / tries.length)));
    const step = thick + Math.max(1, Math.round(thick / 3));
    const sorted = [...tries].sort((one, other) => one.sent - other.sent);
    const bars = sorted.flatMap((one, row) => {
      const y = 4 + row * step;
      const end = done(one) ?? to;
      const bar = (kind, begin, until) => svg("rect", { x: x(begin).toFixed(1), y, width: Math.max(1, x(until) - x(begin)).toFixed(1), height: thick, class: kind, rx: 1 });
      const name = svg("title", {});
      name.textContent = `${one.batch}/${one.job.address}: ${one.took ? span(one.took) : one.outcome ?? "open"}`;
      const parts = [bar(doubtful(one) ? "doubt" : "at", one.sent, end)];
      if (one.stored) parts.push(bar("wait", end, one.stored), svg("circle", { cx: x(one.stored).toFixed(1), cy: y + thick / 2, r: Math.min(4, thick / 2 + 1), class: "kept" }));
      else if (one.outcome) parts.push(svg("path", { d: cross(x(end), y + thick / 2, Math.min(4, thick / 2 + 1)), class: "lost" }));
      return [svg("g", {}, name, ...parts)];
    });
    return make("figure", {}, chart("One line for each submission, in the order they were sent", 8 + sorted.length * step, ...bars));
  }

  // How many were sent, had finished and were stored at each moment: the room between the lines is waiting.
  function drawSums(tries, x, from, to) {
    const height = 220;
    const y = (part) => height - 8 - part * (height - 24);
    const lines = SUMS.map(([kind]) => {
      const moments = tries.map((one) => (kind === "finished" ? done(one) : one[kind])).filter(Boolean).sort((one, other) => one - other);
      const step = Math.max(1, Math.floor(moments.length / 400));
      const points = moments.filter((_, at) => at % step === 0 || at === moments.length - 1)
        .map((at, place) => `${x(at).toFixed(1)},${y(Math.min(moments.length, place * step + 1) / tries.length).toFixed(1)}`);
      return points.length ? svg("path", { d: `M${x(from)},${y(0)} L${points.join(" L")}`, class: `sum ${kind}` }) : null;
    });
    return make("figure", {}, chart("How many were sent, had finished and were stored, over time", height,
      svg("line", { x1: 8, x2: wide - 8, y1: y(0), y2: y(0), class: "axis" }), text(8, 12, number(tries.length), { class: "tick" }), ...lines));
  }

  const cross = (x, y, r) => `M${(x - r).toFixed(1)},${(y - r).toFixed(1)} l${2 * r},${2 * r} m0,${-2 * r} l${-2 * r},${2 * r}`;

  // -- how long it took, by model ----------------------------------------------------------------------------------

  function latency(tries) {
    const took = new Map();
    for (const one of tries) if (one.took) took.set(one.model, [...(took.get(one.model) ?? []), one.took]);
    if (!took.size) return section("Waiting", "No task has ended yet.");
    const most = Math.max(...[...took.values()].map((all) => all.reduce((one, other) => Math.max(one, other))));
    return section("Waiting", "How long the provider took for a task, by its own clock.",
      ...[...took].sort((one, other) => other[1].length - one[1].length).map(([model, seconds]) => spreadOf(model, seconds, most)));
  }

  // A small histogram with its median: where most lie, and how far the slow ones are.
  function spreadOf(model, seconds, most) {
    const sorted = [...seconds].sort((one, other) => one - other);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    const bins = new Array(48).fill(0);
    for (const one of sorted) bins[Math.min(47, Math.floor((one / most) * 48))] += 1;
    const high = Math.max(...bins);
    const x = (value) => 8 + (value / most) * (wide - 16);
    const width = (wide - 16) / 48;
    const says = sorted.length === 1 ? `1 task: ${span(sorted[0])}`
      : `${count(sorted.length, "task")}: half within ${span(at(0.5))}, nine in ten within ${span(at(0.9))}, the slowest ${span(sorted.at(-1))}`;
    return make("figure", {}, make("figcaption", {}, foreign(model), make("span", {}, says)), chart(says, 96,
      ...bins.map((each, bin) => (each ? svg("rect", { x: (8 + bin * width + 1).toFixed(1), y: (72 - (each / high) * 64).toFixed(1), width: (width - 2).toFixed(1), height: ((each / high) * 64).toFixed(1), class: "at" }) : null)),
      svg("line", { x1: 8, x2: wide - 8, y1: 72, y2: 72, class: "axis" }),
      svg("line", { x1: x(at(0.5)), x2: x(at(0.5)), y1: 4, y2: 76, class: "median" }),
      text(8, 90, "0 s", { class: "tick" }), text(wide - 8, 90, span(most), { class: "tick", "text-anchor": "end" })));
  }

  // -- what it cost, by batch and model ----------------------------------------------------------------------------

  function cost(jobs) {
    const all = jobs.flatMap((job) => [job, ...(job.earlier ?? [])].map((one) => ({ ...one, batch: job.batch })));
    const priced = all.filter((one) => one.cost);
    if (!priced.length) return section("Cost", "No price is known for any of these: a price table in seedbatch.toml tells it, see docs/money.md.");
    const unpriced = all.filter((one) => !one.cost && one.attempts).length;
    const kept = priced.filter((one) => one.state === "completed").length;
    const says = [`${sum(priced.map((one) => one.cost))} at most`, unpriced ? `and ${count(unpriced, "job")} of unknown price` : "",
      kept ? `for ${count(kept, "stored result")}` : ""].filter(Boolean).join(", ");
    return section("Cost", `${says}.`, table("By state", priced, (one) => state(one.state)),
      table("By batch", priced, (one) => one.batch), table("By model", priced, (one) => one.model));
  }

  function table(title, priced, by) {
    const sums = new Map();
    for (const one of priced) {
      const key = JSON.stringify([by(one), one.cost[1]]);
      const [micros, jobs] = sums.get(key) ?? [0, 0];
      sums.set(key, [micros + one.cost[0], jobs + 1]);
    }
    const rows = [...sums].map(([key, [micros, jobs]]) => [...JSON.parse(key), micros, jobs]).sort((one, other) => other[2] - one[2]);
    if (rows.length < 2 && title !== "By state") return null; // says what the sum said
    const most = rows[0][2] || 1;
    return make("table.costs", {}, make("caption", {}, title), make("thead", {}, make("tr", {}, ...["", "Jobs", "On average", "At most", ""].map((head) => (head ? make("th", { scope: "col" }, head) : make("td"))))),
      make("tbody", {}, ...rows.slice(0, 24).map(([name, currency, micros, jobs]) => make("tr", {}, make("th", { scope: "row" }, foreign(name)), make("td", {}, number(jobs)),
        make("td", {}, money([average(micros, jobs), currency])), make("td", {}, money([micros, currency])),
        make("td.bar", {}, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { x: 0, y: 0, width: ((micros / most) * 100).toFixed(2), height: 8, class: "at" })))))));
  }

  // To a hundredth, or to what is left of one where that would be nothing.
  function average(micros, jobs) {
    const exact = micros / jobs;
    return exact >= 1e4 ? Math.round(exact / 1e4) * 1e4 : Math.round(exact);
  }

  return { render };
})();
