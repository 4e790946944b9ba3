// The layer that a server adds: one stream of events, folded into the page as it comes.
"use strict";

gallery.live = (() => {
  const { make, foreign, number, count, money, amount, state, about } = gallery.words;
  const REST = 1000; // milliseconds between two changes of what is seen
  const KEPT = 200; // events that are listed
  const NAMED = 2; // batches in the title
  const byId = (id) => document.getElementById(id);

  const WORDS = {
    refused: "refused", doubted: "in doubt", adopted: "adopted", extra: "a second task", miscalled: "a callback not believed",
    failed: "failed", retried: "wanted again", resubmitted: "sent again", given_up: "given up", abandoned: "abandoned", expired: "expired",
    not_fetched: "not fetched yet", throttled: "told to wait", not_sent: "not sent", completed: "completed", reused: "reused",
    superseded: "changed", surfaced: "answered late",
  };
  const BAD = ["refused", "doubted", "extra", "failed", "expired"];
  // In the order in which they stand in the bar.
  const STATES = ["completed", "failed", "expired", "abandoned", "in_doubt", "succeeded", "running", "submitting", "pending"];

  const happened = [];
  let waiting = [];
  let timer = 0;
  let ready = false;
  let progress = {};
  let wrong = "";

  function begin() {
    const source = new EventSource("events");
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("cards", take);
    on("ready", () => { flush(); ready = true; gallery.page.complete(); });
    on("events", hear);
    on("progress", (told) => { progress = told; show(); });
    on("picks", (told) => { wrong = told.wrong; gallery.page.picked(told.names); show(); });
    on("again", () => location.reload());
    source.addEventListener("open", () => link("live"));
    source.addEventListener("error", () => link("not connected: is seedbatch serve still running?"));
    gallery.picks.begin(gallery.page.renew);
  }

  function link(words) {
    byId("link").textContent = words;
    byId("link").dataset.live = String(words === "live");
  }

  // Before all are there they are shown as they come; then at most once a second, all together.
  function take(cards) {
    waiting.push(...cards);
    if (!ready) flush();
    else if (!timer) timer = setTimeout(flush, REST);
  }

  function flush() {
    timer = 0;
    const cards = waiting;
    waiting = [];
    gallery.page.fold(cards, progress.most ?? Infinity);
  }

  function hear(events) {
    happened.unshift(...events.reverse());
    happened.length = Math.min(happened.length, KEPT);
    gallery.page.heard();
  }

  // -- progress -----------------------------------------------------------------------------------------------------

  function show() {
    if (progress.none) {
      byId("empty").textContent = "There is no ledger yet. It appears here as soon as seedbatch apply makes one.";
      return;
    }
    const total = Object.values(progress.counts ?? {}).reduce((sum, each) => sum + each, 0);
    if (!total) byId("empty").textContent = "Nothing here yet: this ledger holds no job that was asked for.";
    const name = title(progress.batches ?? []);
    byId("title").textContent = name;
    document.title = `${name} · seedbatch`;
    byId("facts").replaceChildren(...facts(total).map((text) => make("span", {}, text)));
    bar(total);
    byId("going").replaceChildren(...going(total));
  }

  function title(names) {
    if (!names.length) return "Contact sheet";
    const some = names.slice(0, NAMED).join(", ");
    return names.length <= NAMED ? some : `${some} and ${names.length - NAMED} more`;
  }

  function facts(total) {
    const { counts = {}, owed = [], sandbox } = progress;
    const found = [count(total, "job"), ...STATES.filter((name) => counts[name]).map((name) => `${number(counts[name])} ${state(name)}`)];
    const costs = owed.filter(([micros]) => micros).map(money).join(" and ");
    if (costs) found.push(`${costs} at most`);
    if (sandbox) found.push("sandbox: nothing was charged");
    return found;
  }

  function bar(total) {
    const { counts = {} } = progress;
    const there = STATES.filter((name) => counts[name]);
    byId("parts").replaceChildren(...there.map((name) => {
      const part = make("span", { "data-state": name });
      part.style.flexGrow = String(counts[name]);
      return part;
    }));
    byId("parts").setAttribute("aria-label", total ? `Of ${count(total, "job")}: ${there.map((name) => `${number(counts[name])} ${state(name)}`).join(", ")}` : "Nothing yet");
  }

  function going(total) {
    const { says = [], warns = [], caps = [], most } = progress;
    const found = says.map((line) => foreign(line, "span"));
    for (const cap of caps) found.push(make("span", {}, foreign(cap.batch), `: ${[spent(cap), sent(cap)].filter(Boolean).join(", ")}`));
    if (total > most) found.push(make("span", {}, `${number(most)} of ${number(total)} jobs are shown, those that changed last: --batch narrows it`));
    for (const line of warns) found.push(make("span.wrong", {}, foreign(line)));
    if (wrong) found.push(make("span.wrong", {}, foreign(wrong)));
    return found;
  }

  const spent = ({ cost }) => cost && `${amount(cost[0][0])} of ${money(cost[1])}`;
  const sent = ({ jobs }) => jobs && `${number(jobs[0])} of ${count(jobs[1], "submission")}`;

  // -- events -------------------------------------------------------------------------------------------------------

  function render(into, open) {
    if (!happened.length) {
      into.replaceChildren(make("p.empty", {}, "Nothing happened yet."));
      return;
    }
    const rows = happened.map((one) => make("li", { "data-bad": BAD.includes(one.type) || null },
      make("time", { datetime: new Date(one.at).toISOString() }, about(one.at)), make("span.what", {}, WORDS[one.type] ?? state(one.type)),
      make("button.plain", { type: "button", onclick: () => open(one.id, one.job) }, foreign(one.job)), one.says ? foreign(one.says) : null));
    into.replaceChildren(make("section", {}, make("h2", {}, "Lately"), make("p.says", {}, "What happened, the latest first."), make("ul.happened", {}, ...rows)));
  }

  return { begin, render };
})();
