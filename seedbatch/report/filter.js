// Which jobs are meant: facets and free text. Within a facet either value, between facets all, of the words each.
"use strict";

gallery.filter = (() => {
  const { make, foreign, number, state } = gallery.words;
  const SHOWN = 8; // values of a facet before the rest waits behind a button

  const chosen = new Map(); // facet -> set of values
  const opened = new Set(); // facets that show all their values
  let words = [];

  // What a job has under each facet: lists of texts.
  function facets(job) {
    if (job.facets) return job.facets;
    const found = { batch: [job.batch], state: [state(job.state)], model: [job.model] };
    if (job.failure) found["failed because of"] = [state(job.failure)];
    if (gallery.picks?.has(job)) found.picked = ["picked"];
    if (job.standing) found.standing = ["no longer in the manifest"];
    if (job.tags) found.tag = job.tags;
    for (const [name, value] of Object.entries(job.axes ?? {})) (found[`${name}=`] ??= []).push(gallery.words.value(value));
    job.facets = found;
    return found;
  }

  function haystack(job) {
    job.haystack ??= [job.batch, job.address, job.input?.prompt ?? "", job.task ?? "", job.reason ?? "", ...(job.tags ?? [])]
      .join("\n").toLowerCase();
    return job.haystack;
  }

  // `ratio=16:9` asks an axis or a parameter if the job has one of that name; anything else is text.
  function meant(job, word) {
    const at = word.indexOf("=");
    if (at > 0) {
      const name = word.slice(0, at);
      const has = job.axes?.[name] ?? job.input?.[name];
      if (has !== undefined && gallery.words.value(has).toLowerCase() === word.slice(at + 1)) return true;
    }
    return haystack(job).includes(word);
  }

  function passes(job, besides) {
    const has = facets(job);
    for (const [facet, values] of chosen) {
      if (facet !== besides && !has[facet]?.some((value) => values.has(value))) return false;
    }
    return words.every((word) => meant(job, word));
  }

  const matching = (jobs) => (active() ? jobs.filter((job) => passes(job)) : jobs);
  const active = () => words.length > 0 || chosen.size > 0;

  // Counts by facet and value: of what the other facets leave, so that a number says what a click would show.
  function counts(jobs) {
    const all = new Map();
    const names = new Set(jobs.flatMap((job) => Object.keys(facets(job))));
    for (const facet of names) all.set(facet, new Map());
    for (const job of jobs) {
      const plain = passes(job);
      for (const [facet, values] of Object.entries(facets(job))) {
        const counted = all.get(facet);
        const here = plain || (chosen.has(facet) && passes(job, facet));
        for (const value of values) counted.set(value, (counted.get(value) ?? 0) + (here ? 1 : 0));
      }
    }
    return all;
  }

  function toggle(facet, value) {
    const values = chosen.get(facet) ?? new Set();
    if (!values.delete(value)) values.add(value);
    if (values.size) chosen.set(facet, values);
    else chosen.delete(facet);
  }

  function only(facet, value) {
    clear();
    chosen.set(facet, new Set([value]));
  }

  function clear() {
    chosen.clear();
    words = [];
  }

  // Words as typed; quotes keep spaces together.
  function search(text) {
    words = (text.toLowerCase().match(/"[^"]+"?|\S+/g) ?? []).map((word) => word.replaceAll('"', "")).filter(Boolean);
  }

  const FIRST = ["state", "picked", "failed because of", "batch", "tag", "model", "standing"];
  const place = (facet) => (FIRST.includes(facet) ? FIRST.indexOf(facet) : FIRST.length);

  // The rail. A facet in which all jobs agree says nothing, and is left out.
  function render(jobs, into, changed) {
    const focused = document.activeElement?.dataset?.facet && [document.activeElement.dataset.facet, document.activeElement.dataset.value];
    const all = [...counts(jobs)].filter(([facet, values]) => values.size > 1 || chosen.has(facet) || ["standing", "failed because of", "picked"].includes(facet));
    all.sort(([one], [other]) => place(one) - place(other) || (one < other ? -1 : 1));
    into.replaceChildren(...all.map(([facet, values]) => fieldset(facet, values, changed)));
    if (focused) [...into.querySelectorAll("button")].find((one) => one.dataset.facet === focused[0] && one.dataset.value === focused[1])?.focus();
  }

  function fieldset(facet, values, changed) {
    const isAxis = facet.endsWith("=");
    const sorted = [...values].sort((one, other) => (isAxis ? compare(one[0], other[0]) : other[1] - one[1] || compare(one[0], other[0])));
    const all = opened.has(facet) || sorted.length <= SHOWN + 1;
    const shown = sorted.filter(([value], index) => all || index < SHOWN || chosen.get(facet)?.has(value));
    const buttons = shown.map(([value, number_]) => option(facet, value, number_, changed));
    const more = make("button.plain.more", { type: "button", "data-facet": facet, "data-value": "" }, `All ${number(sorted.length)}`);
    more.addEventListener("click", () => { opened.add(facet); changed(); });
    const legend = make("legend", {}, foreign(isAxis ? facet.slice(0, -1) : facet));
    return make("fieldset", {}, legend, ...buttons, all ? null : more);
  }

  function option(facet, value, number_, changed) {
    const pressed = chosen.get(facet)?.has(value) ?? false;
    const button = make("button.option", { type: "button", "aria-pressed": String(pressed) }, foreign(value), make("span.number", {}, number(number_)));
    button.dataset.facet = facet;
    button.dataset.value = value;
    if (!number_ && !pressed) button.classList.add("none");
    button.addEventListener("click", () => { toggle(facet, value); changed(); });
    return button;
  }

  const compare = (one, other) => one.localeCompare(other, undefined, { numeric: true });

  // What the address keeps, so that a filtered sheet can be bookmarked and sent.
  const kept = () => [...chosen].flatMap(([facet, values]) => [...values].map((value) => [facet, value]));
  const chosenNumber = () => kept().length;

  return { matching, active, render, search, clear, only, toggle, kept, chosenNumber };
})();
