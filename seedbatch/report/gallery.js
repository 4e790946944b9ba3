// The page: takes the data as it comes, and lets filters, sheet and views follow one another.
"use strict";

(() => {
  const { number, count, about, say } = gallery.words;
  const byId = (id) => document.getElementById(id);
  const body = document.body.dataset;
  const isLive = body.live !== undefined;
  const VIEWS = ["sheet", "attention", "run", ...(isLive ? ["events"] : [])];
  const more = body.more ? body.more.split(" ") : [];
  const jobs = [];
  let found = [];
  let view = "sheet";

  // What each script of data calls; its jobs are shown as soon as they are here.
  gallery.receive = (text) => {
    for (const job of JSON.parse(text)) jobs.push(job);
    if (jobs.length < Number(body.total)) {
      if (!found.length) first();
      load();
    } else {
      complete();
    }
  };

  // A live page is told of jobs again and again: a new one joins the others, a known one becomes what it is now.
  const known = new Map();
  function fold(cards, most) {
    const changed = new Set();
    let added = false;
    for (const card of cards) {
      const key = `${card.batch}\n${card.base}\n${card.take}`;
      const job = known.get(key);
      if (!job && known.size >= most) continue;
      if (!job) {
        known.set(key, card);
        jobs.push(card);
        added = true;
      } else if (card.revision >= job.revision) {
        for (const name of Object.keys(job)) delete job[name];
        Object.assign(job, card);
        changed.add(job);
      }
    }
    if (added) jobs.sort(inOrder);
    if (body.filled) renew(changed);
    else if (jobs.length && !found.length) first();
  }

  const inOrder = (one, other) => compare(one.batch, other.batch) || one.at - other.at || compare(one.base, other.base) || one.take - other.take;
  const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

  // Shows what changed and leaves the rest as it is: what is looked at, played, or has the focus.
  function renew(changed) {
    for (const job of changed) delete job.facets;
    if (!body.filled) return;
    families();
    refresh(new Set(changed));
    number_();
  }

  function picked(names) {
    renew(gallery.picks.hold(names, jobs));
  }

  function load() {
    const script = document.createElement("script");
    script.src = more.shift();
    script.addEventListener("error", () => { byId("found").textContent = `${script.src} is missing: write the report again.`; });
    document.body.append(script);
  }

  // The first jobs stand there while the others are read; nothing is counted yet.
  function first() {
    found = jobs.slice();
    families();
    gallery.sheet.show(found);
  }

  function complete() {
    families();
    if (body.filled) {
      refresh(new Set());
    } else {
      restore();
      refresh();
    }
    body.filled = "true";
    number_();
    document.documentElement.dataset.ready = "true";
  }

  function number_() {
    byId("attention-number").textContent = gallery.attention.number(jobs) || "";
  }

  // How many takes each job has; what else is the same for all of its kind.
  function families() {
    const sizes = new Map();
    const key = (job) => `${job.batch}\n${job.base}`;
    for (const job of jobs) sizes.set(key(job), (sizes.get(key(job)) ?? 0) + 1);
    for (const job of jobs) job.siblings = sizes.get(key(job));
  }

  function refresh(changed = null) {
    found = gallery.filter.matching(jobs);
    gallery.filter.render(jobs, byId("facets"), () => refresh());
    const active = gallery.filter.active();
    byId("found").textContent = active ? `${number(found.length)} of ${count(jobs.length, "job")}` : count(jobs.length, "job");
    byId("clear").hidden = !active;
    byId("facets-number").textContent = gallery.filter.chosenNumber() || "";
    if (jobs.length) {
      byId("empty").hidden = found.length > 0;
      byId("empty").textContent = "No job matches these filters.";
    }
    draw(changed);
    if (changed) gallery.viewer.renew(found, changed);
    keep();
  }

  function draw(changed = null) {
    for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
    for (const button of document.querySelectorAll("[data-view]")) {
      if (button.dataset.view === view) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    document.querySelector(".size").hidden = view !== "sheet";
    if (view === "sheet" && changed) gallery.sheet.renew(found, changed);
    else if (view === "sheet") gallery.sheet.show(found);
    else if (!changed) VIEW[view](byId(`view-${view}`));
    else if (changed.size) steadily(byId(`view-${view}`), VIEW[view]);
  }

  const VIEW = {
    attention: (into) => gallery.attention.render(into, found, openJob, filterFor),
    run: (into) => gallery.charts.render(into, found),
    events: (into) => gallery.live.render(into, openNamed),
  };

  // Draws anew without taking the focus from who is in the middle of it.
  function steadily(into, render) {
    const buttons = () => [...into.querySelectorAll("button")];
    const at = buttons().indexOf(document.activeElement);
    const words = document.activeElement?.textContent;
    render(into);
    if (at < 0) return;
    const now = buttons();
    const same = now.filter((one) => one.textContent === words);
    (same.find((one) => now.indexOf(one) >= at) ?? same.at(-1) ?? now[Math.min(at, now.length - 1)])?.focus({ preventScroll: true });
  }

  function heard() {
    if (view === "events") steadily(byId("view-events"), VIEW.events);
  }

  // An event names a revision; the job may have another by now, or not be among those that are shown.
  function openNamed(id, name) {
    const job = jobs.find((one) => one.id === id) ?? jobs.find((one) => `${one.batch}/${one.address}` === name);
    if (!job) say("This job is not among those that are shown");
    else if (found.includes(job)) openJob(job);
    else {
      clear();
      openJob(job);
    }
  }

  function show(name) {
    view = name;
    draw();
    scrollTo({ top: 0, behavior: "instant" });
    keep();
  }

  function openJob(job) {
    before = document.activeElement;
    gallery.viewer.open(found, found.indexOf(job));
    keep();
  }
  let before = null;

  function closed(index) {
    if (view === "sheet") gallery.sheet.focus(index);
    else if (before?.isConnected) before.focus();
    keep();
  }

  function filterFor(facet, value) {
    gallery.filter.only(facet, value);
    view = "sheet";
    byId("find").value = "";
    refresh();
    scrollTo({ top: 0, behavior: "instant" });
  }

  // The address keeps view, filters and the open job, so that what is seen can be bookmarked and sent.
  function keep() {
    const parts = new URLSearchParams();
    if (view !== "sheet") parts.set("view", view);
    if (byId("find").value) parts.set("find", byId("find").value);
    for (const [facet, value] of gallery.filter.kept()) parts.append("is", JSON.stringify([facet, value]));
    const open = gallery.viewer.current();
    if (open) parts.set("job", `${open.batch}/${open.address}`);
    const hash = parts.toString();
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  }

  function restore() {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (VIEWS.includes(parts.get("view"))) view = parts.get("view");
    byId("find").value = parts.get("find") ?? "";
    gallery.filter.search(byId("find").value);
    for (const text of parts.getAll("is")) {
      try {
        const [facet, value] = JSON.parse(text);
        gallery.filter.toggle(String(facet), String(value));
      } catch { /* an address that somebody cut short */ }
    }
    const name = parts.get("job");
    const job = name && jobs.find((one) => `${one.batch}/${one.address}` === name);
    if (job) queueMicrotask(() => openJob(found.includes(job) ? job : found[0]));
  }

  function clear() {
    gallery.filter.clear();
    byId("find").value = "";
    refresh();
  }

  function keys(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, dialog")) return;
    event.preventDefault();
    byId("find").focus();
    byId("find").select();
  }

  function begin() {
    if (!isLive) byId("written").textContent = about(Date.parse(body.written));
    gallery.sheet.begin((index) => openJob(found[index]));
    gallery.viewer.begin(closed);
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => show(button.dataset.view));
    byId("find").addEventListener("input", () => { gallery.filter.search(byId("find").value); refresh(); });
    byId("find").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || view !== "sheet") return;
      event.preventDefault(); // or it would press the card that has the focus then
      gallery.sheet.focus(0);
    });
    byId("clear").addEventListener("click", () => {
      clear();
      byId("find").focus();
      say("Filters cleared");
    });
    byId("size").addEventListener("input", () => gallery.sheet.resize(Number(byId("size").value)));
    byId("facets-toggle").addEventListener("click", () => {
      const open = byId("facets-toggle").getAttribute("aria-expanded") !== "true";
      byId("facets-toggle").setAttribute("aria-expanded", String(open));
      byId("facets").classList.toggle("shown", open);
    });
    addEventListener("keydown", keys);
  }

  gallery.page = { fold, complete, renew, picked, heard };
  begin();
  // The layer of a live page is the last script: it is there when all are.
  if (isLive) addEventListener("DOMContentLoaded", () => gallery.live.begin(), { once: true });
})();
