// The page: takes the data as it comes, and lets filters, sheet and views follow one another.
"use strict";

(() => {
  const { number, count, about, say } = gallery.words;
  const byId = (id) => document.getElementById(id);
  const body = document.body.dataset;
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
    restore();
    refresh();
    byId("attention-number").textContent = gallery.attention.number(jobs) || "";
    document.documentElement.dataset.ready = "true";
  }

  // How many takes each job has; what else is the same for all of its kind.
  function families() {
    const sizes = new Map();
    const key = (job) => `${job.batch}\n${job.base}`;
    for (const job of jobs) sizes.set(key(job), (sizes.get(key(job)) ?? 0) + 1);
    for (const job of jobs) job.siblings = sizes.get(key(job));
  }

  function refresh() {
    found = gallery.filter.matching(jobs);
    gallery.filter.render(jobs, byId("facets"), refresh);
    const active = gallery.filter.active();
    byId("found").textContent = active ? `${number(found.length)} of ${count(jobs.length, "job")}` : count(jobs.length, "job");
    byId("clear").hidden = !active;
    byId("facets-number").textContent = gallery.filter.chosenNumber() || "";
    if (jobs.length) {
      byId("empty").hidden = found.length > 0;
      byId("empty").textContent = "No job matches these filters.";
    }
    draw();
    keep();
  }

  function draw() {
    for (const name of ["sheet", "attention", "run"]) byId(`view-${name}`).hidden = name !== view;
    for (const button of document.querySelectorAll("[data-view]")) {
      if (button.dataset.view === view) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    document.querySelector(".size").hidden = view !== "sheet";
    if (view === "sheet") gallery.sheet.show(found);
    if (view === "attention") gallery.attention.render(byId("view-attention"), found, openJob, filterFor);
    if (view === "run") gallery.charts.render(byId("view-run"), found);
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
    if (["attention", "run"].includes(parts.get("view"))) view = parts.get("view");
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

  function keys(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, dialog")) return;
    event.preventDefault();
    byId("find").focus();
    byId("find").select();
  }

  function begin() {
    byId("written").textContent = about(Date.parse(body.written));
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
      gallery.filter.clear();
      byId("find").value = "";
      refresh();
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

  begin();
})();
