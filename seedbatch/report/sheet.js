// The contact sheet: only what is in view is in the page, however many jobs there are.
"use strict";

gallery.sheet = (() => {
  const { make, foreign, count, money, state, span } = gallery.words;
  const REST = 90; // milliseconds without a jump
  const BEYOND = 700; // pixels above and below the window that are drawn ahead

  const root = document.getElementById("sheet");
  const list = make("ul.cards", { role: "list" });
  const headings = make("div.headings");
  const nodes = new Map(); // index of a job -> its element
  let jobs = [];
  let rows = [];
  let current = 0; // the one card that Tab reaches; arrows move it
  let size = 260;
  let width = 0;
  let open = () => {};

  function begin(opener) {
    open = opener;
    root.append(headings, list);
    addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(() => { if (root.clientWidth !== width) arrange(); }).observe(root);
    list.addEventListener("click", (event) => { if (!event.target.closest(".pick")) choose(event.target.closest(".card")); });
    list.addEventListener("keydown", steer);
    list.addEventListener("focusin", (event) => { current = at(event.target.closest(".card")) ?? current; mark(); });
    list.addEventListener("pointerover", (event) => point(event));
    list.addEventListener("pointerleave", gallery.clips.leave);
  }

  function show(found) {
    jobs = found;
    current = Math.min(current, Math.max(0, jobs.length - 1));
    arrange();
  }

  // The same sheet after some jobs changed, came or went: cards stay where they can, with their pictures and the focus.
  function renew(found, changed) {
    const there = [...nodes].map(([index, node]) => [jobs[index], node]);
    const focused = document.activeElement?.closest?.(".card") ? document.activeElement : null;
    const now = jobs[current];
    jobs = found;
    current = Math.max(0, jobs.indexOf(now));
    nodes.clear();
    for (const [job, node] of there) {
      const index = jobs.indexOf(job);
      if (index < 0) {
        drop(node);
        continue;
      }
      nodes.set(index, node);
      node.dataset.index = String(index);
      node.setAttribute("aria-setsize", String(jobs.length));
      node.setAttribute("aria-posinset", String(index + 1));
      if (changed.has(job)) dress(node, job);
    }
    plan();
    for (const [index, node] of nodes) node.style.transform = place(...position(index));
    const sorted = [...nodes].sort((one, other) => one[0] - other[0]).map(([, node]) => node);
    if (sorted.some((node, at_) => node !== list.children[at_])) list.append(...sorted);
    draw();
    if (focused?.isConnected) focused.focus({ preventScroll: true });
    else if (focused) (nodes.get(current) ?? list.firstElementChild)?.querySelector("button").focus({ preventScroll: true });
  }

  function resize(to) {
    size = to;
    const anchor = firstInView();
    arrange();
    if (anchor > 0) reveal(anchor, "start");
  }

  function arrange() {
    if (!root.clientWidth) return;
    plan();
    for (const index of nodes.keys()) discard(index);
    draw();
  }

  function plan() {
    width = root.clientWidth;
    const made = gallery.layout(jobs, width, size);
    rows = made.rows;
    root.style.height = `${made.height}px`;
    list.style.setProperty("--cell", `${made.cell}px`);
    list.style.setProperty("--frame", `${made.frame}px`);
    place = (row, column) => `translate(${column * made.step}px, ${row.top}px)`;
  }
  let place = () => "";

  const offset = () => root.getBoundingClientRect().top + scrollY;

  // The first row that ends below a height, by halving.
  function rowAt(height) {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].top + rows[middle].height < height) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function draw() {
    if (!root.clientWidth) return;
    const top = scrollY - offset() - BEYOND;
    const bottom = top + innerHeight + 2 * BEYOND;
    const wanted = new Map();
    const titles = [];
    for (let at_ = rowAt(top); at_ < rows.length && rows[at_].top < bottom; at_ += 1) {
      if (rows[at_].items) rows[at_].items.forEach((index, column) => wanted.set(index, [rows[at_], column]));
      else titles.push(heading(rows[at_]));
    }
    const focused = at(document.activeElement?.closest?.(".card"));
    if (focused !== null) wanted.set(focused, position(focused)); // what has the focus stays, wherever it scrolls
    for (const index of nodes.keys()) if (!wanted.has(index)) discard(index);
    let next = null;
    for (const [index, [row, column]] of [...wanted].sort((one, other) => other[0] - one[0])) {
      let node = nodes.get(index);
      if (!node) {
        node = card(jobs[index], index);
        node.style.transform = place(row, column);
        nodes.set(index, node);
        list.insertBefore(node, next);
      }
      next = node;
    }
    headings.replaceChildren(...titles);
    mark();
    picture();
  }

  // Whoever races through thousands of posters sees none of them: pictures wait until the sheet comes to rest.
  function picture() {
    const races = Math.abs(scrollY - passed) > innerHeight;
    passed = scrollY;
    clearTimeout(resting);
    if (races) resting = setTimeout(fill, REST);
    else fill();
  }
  let passed = 0;
  let resting = 0;

  function fill() {
    for (const [index, node] of nodes) {
      const matte = node.querySelector(".matte");
      if (!matte.childElementCount) matte.append(gallery.clips.picture(jobs[index]));
    }
  }

  function discard(index) {
    drop(nodes.get(index));
    nodes.delete(index);
  }

  function drop(node) {
    gallery.clips.forget(node);
    node.remove();
  }

  function position(index) {
    const row = rows.find((one) => one.items?.includes(index));
    return [row, row.items.indexOf(index)];
  }

  function heading(row) {
    const title = make("h2", {}, foreign(row.batch), make("span.facts", {}, count(row.jobs, "job")));
    title.style.transform = `translateY(${row.top}px)`;
    return title;
  }

  function card(job, index) {
    const button = make("button.open", { type: "button", tabindex: "-1" });
    button.append(make("span.matte"), make("span.caption"));
    const node = make("li.card", { "aria-setsize": String(jobs.length), "aria-posinset": String(index + 1) }, button);
    if (gallery.picks) node.append(gallery.picks.button(job, { tabindex: "-1" }));
    node.dataset.index = String(index);
    dress(node, job);
    return node;
  }

  // What a card says of its job as it is now. A picture that is still the right one stays.
  function dress(node, job) {
    node.dataset.state = job.state;
    node.querySelector(".open").setAttribute("aria-label", told(job));
    node.querySelector(".caption").replaceWith(caption(job));
    const matte = node.querySelector(".matte");
    const picture = matte.querySelector(".poster");
    if (picture ? picture.dataset.poster !== job.files?.[0]?.poster : matte.childElementCount) {
      gallery.clips.forget(matte);
      matte.replaceChildren();
    }
    if (gallery.picks) {
      node.classList.toggle("picked", gallery.picks.has(job));
      gallery.picks.dress(node.querySelector(".pick"), job);
    }
  }

  function caption(job) {
    const takes = job.siblings > 1 ? `take ${job.take}` : "";
    const marks = [
      job.state === "completed" ? "" : state(job.state) + (job.failure ? `: ${state(job.failure)}` : ""),
      job.standing ? "left the manifest" : "",
      gallery.picks?.has(job) ? "picked" : "",
      takes,
      job.revision > 1 ? `revision ${job.revision}` : "",
      (job.files?.length ?? 0) > 1 ? count(job.files.length, "file") : "",
      job.files?.[0]?.seconds ? span(job.files[0].seconds) : "",
      job.cost ? money(job.cost) : "",
    ].filter(Boolean);
    const axes = Object.values(job.axes ?? {}).map(gallery.words.value).join(" · ");
    const line = make("span.marks");
    marks.forEach((mark_, index) => line.append(make(index === 0 && job.state !== "completed" ? "span.state" : "span", {}, mark_)));
    const second = axes ? foreign(axes) : make("bdi.prompt", {}, job.input?.prompt ?? "");
    return make("span.caption", {}, make("span.name", {}, foreign(name(job))), second, line);
  }

  // The key without its axes, which stand on a line of their own.
  function name(job) {
    const bracket = job.base.indexOf("[");
    return job.axes && bracket > 0 ? job.base.slice(0, bracket) : job.base;
  }

  function told(job) {
    const words = [job.address, state(job.state), job.failure && state(job.failure), job.standing && "no longer in the manifest",
      gallery.picks?.has(job) && "picked"];
    return words.filter(Boolean).join(", ");
  }

  const at = (node) => (node ? Number(node.dataset.index) : null);

  function choose(node) {
    if (!node) return;
    gallery.clips.leave();
    open(at(node));
  }

  function point(event) {
    if (event.pointerType === "touch") return;
    const matte = event.target.closest(".card")?.querySelector(".matte");
    if (!matte || matte === pointed) return;
    pointed = matte;
    matte.closest(".card").addEventListener("pointerleave", () => { gallery.clips.leave(); pointed = null; }, { once: true });
    gallery.clips.hover(matte, jobs[at(matte.closest(".card"))].files?.[0]);
  }
  let pointed = null;

  // Arrows go from card to card, Home and End to the ends, Page keys by a window.
  function steer(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "p") gallery.picks?.toggle(jobs[at(event.target.closest(".card"))]);
    const to = { ArrowRight: next(1), ArrowLeft: next(-1), ArrowDown: below(1), ArrowUp: below(-1), Home: 0, End: jobs.length - 1,
      PageDown: below(rowsInView()), PageUp: below(-rowsInView()) }[event.key];
    if (to === undefined || event.target.closest("button") === null) return;
    event.preventDefault();
    const column = ["ArrowDown", "ArrowUp", "PageDown", "PageUp"].includes(event.key) ? goal() : null;
    focus(to);
    kept = column;
  }

  // The column that Up and Down keep to, also across rows that are shorter.
  const goal = () => kept ?? position(current)[1];
  let kept = null;

  const next = (by) => Math.max(0, Math.min(jobs.length - 1, current + by));
  const rowsInView = () => Math.max(1, Math.floor(innerHeight / (rows.find((row) => row.items)?.height ?? innerHeight)));

  function below(by) {
    const [row] = position(current);
    const real = rows.filter((one) => one.items);
    const target = real[Math.max(0, Math.min(real.length - 1, real.indexOf(row) + by))];
    return target.items[Math.min(goal(), target.items.length - 1)];
  }

  function focus(index) {
    if (index < 0 || index >= jobs.length) return;
    current = index;
    kept = null;
    reveal(index, "nearest");
    draw();
    nodes.get(index)?.querySelector("button").focus({ preventScroll: true });
  }

  // Scrolls so that a card can be seen whole, with a little air.
  function reveal(index, where) {
    const [row] = position(index);
    const top = offset() + row.top;
    const head = 72;
    if (where === "start" || top < scrollY + head) scrollTo({ top: Math.max(0, top - head), behavior: "instant" });
    else if (top + row.height > scrollY + innerHeight) scrollTo({ top: top + row.height - innerHeight + 8, behavior: "instant" });
  }

  function firstInView() {
    const row = rows.slice(rowAt(scrollY - offset())).find((one) => one.items);
    return row ? row.items[0] : 0;
  }

  // Tab reaches one card: the current one, or the first that is drawn where that one is far away.
  function mark() {
    const reached = nodes.has(current) ? current : Math.min(...nodes.keys());
    for (const [index, node] of nodes) for (const button of node.querySelectorAll("button")) button.tabIndex = index === reached ? 0 : -1;
  }

  return { begin, show, renew, resize, focus, arrange, name, told };
})();
