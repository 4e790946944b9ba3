// One job in full: its clip, the other takes and revisions, and everything the ledger knows of it.
"use strict";

gallery.viewer = (() => {
  const { make, foreign, count, when, span, bytes, money, state, command, quoted, value, copyable } = gallery.words;
  const dialog = document.getElementById("viewer");

  let jobs = []; // what the sheet shows, in its order
  let index = 0;
  let revision = null; // an earlier revision that is looked at, or null
  let file = 0;
  let beside = false; // all takes next to each other
  let closed = () => {};

  function begin(back) {
    closed = back;
    dialog.addEventListener("keydown", steer);
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); shut(); });
    dialog.addEventListener("close", leave); // a browser may close it without asking
  }

  // At once: the event of closing comes later, and the focus would rest elsewhere meanwhile.
  function shut() {
    dialog.close();
    leave();
  }

  function leave() {
    if (!dialog.childElementCount) return;
    dialog.querySelectorAll("video").forEach(gallery.clips.release);
    gallery.clips.forget(dialog);
    dialog.replaceChildren();
    closed(index);
  }

  function open(among, at) {
    jobs = among;
    go(at);
    if (!dialog.open) dialog.showModal();
    dialog.querySelector('[data-does="close"]').focus();
  }

  function go(to) {
    index = Math.max(0, Math.min(jobs.length - 1, to));
    revision = null;
    file = 0;
    draw();
  }

  const job = () => jobs[index];
  // The job as it is, or as an earlier revision was: what a revision does not say itself is the job's.
  const NOTHING = { failure: "", reason: "", files: [], attempts: [], task: "", cost: null, stored: 0 };
  const shown = () => (revision === null ? job() : { ...job(), ...NOTHING, ...job().earlier[revision] });

  // What decides whether a job has to be drawn anew.
  const tells = (one) => JSON.stringify([one.revision, one.state, one.reason, one.files, one.attempts, one.cost]);
  const told = new WeakMap();

  function dress(button) {
    const name = button.dataset.does;
    const one = name === "pick" ? job() : siblings().map(([each]) => each).find((each) => name === `pick ${each.take}`);
    if (one) gallery.picks.dress(button, one);
  }

  function draw() {
    for (const [one] of siblings()) told.set(one, tells(one));
    const focused = document.activeElement?.dataset?.does;
    dialog.querySelectorAll("video").forEach(gallery.clips.release);
    gallery.clips.forget(dialog);
    const one = shown();
    const figures = beside ? takes() : [stand(one)];
    const stage = make("div.stage", { "data-state": one.state }, ...figures);
    share(stage, figures.length, gallery.clips.aspect(one));
    dialog.replaceChildren(top(one), stage, strips(one), facts(one));
    dialog.classList.toggle("beside", beside);
    if (focused) dialog.querySelector(`[data-does="${focused}"]:not(:disabled)`)?.focus();
    dialog.scrollTop = 0;
  }

  // So many columns and rows that each picture is large; one row, unless more of them make it much larger.
  function share(stage, pictures, aspect) {
    let best = [pictures, 1, 0];
    for (let across = pictures; across > 0; across -= 1) {
      const down = Math.ceil(pictures / across);
      const wide = Math.min((innerWidth * 0.68) / across, ((innerHeight * 0.7) / down - 34) * aspect);
      if (wide > best[2] * 1.15) best = [across, down, wide];
    }
    stage.style.setProperty("--across", String(best[0]));
    stage.style.setProperty("--down", String(best[1]));
  }

  function top(one) {
    const old = one.revision > 1 || revision !== null;
    const where = make("p.facts", {}, make("span", {}, foreign(one.batch)), make("span", {}, `${index + 1} of ${count(jobs.length, "job")}`),
      old ? make("span", {}, `revision ${one.revision}`) : null, make("span.state", { "data-state": one.state }, state(one.state)));
    const title = make("h2", { id: "viewer-title" }, foreign(one.address));
    return make("header", {}, make("div", {}, title, where), make("div.buttons", {},
      pick(job(), "pick"),
      siblings().length > 1 ? does("beside", "Takes side by side", compare, { "aria-pressed": String(beside) }) : null,
      does("back", "Previous", () => go(index - 1), { disabled: index === 0 }),
      does("on", "Next", () => go(index + 1), { disabled: index === jobs.length - 1 }),
      does("close", "Close", shut)));
  }

  const does = (name, words, action, more = {}) => make("button", { type: "button", "data-does": name, onclick: action, ...more }, words);

  const pick = (of, name) => (gallery.picks && revision === null ? gallery.picks.button(of, { "data-does": name }) : null);

  // The picture, or what there is to say and to type where there is none.
  function stand(one) {
    const found = one.files?.[file];
    if (found) return fitted(gallery.clips.full(one, found), { ...one, files: [found] }, null);
    return make("div.stand", {}, make("p.word", {}, state(one.state) + (one.failure ? `: ${state(one.failure)}` : "")),
      one.reason ? foreign(one.reason, "p") : null, ...gallery.attention.advice(one));
  }

  // The jobs changed while one of them is looked at. It is drawn anew only if it did, or one of its takes: a clip plays on.
  function renew(found, changed) {
    if (!dialog.open) return;
    const looked = job();
    const among = siblings().map(([one]) => one);
    if (found.includes(looked)) [jobs, index] = [found, found.indexOf(looked)];
    if ([looked, ...among].some((one) => changed.has(one) && tells(one) !== told.get(one))) draw();
    else for (const button of dialog.querySelectorAll(".pick")) dress(button);
  }

  function compare() {
    beside = !beside;
    draw();
  }

  const siblings = () => jobs.map((one, at) => [one, at]).filter(([one]) => one.batch === job().batch && one.base === job().base);

  function takes() {
    return siblings().map(([one, at]) => {
      const look = make("button", { type: "button", onclick: () => { beside = false; go(at); } }, `Take ${one.take}`);
      const tells = [state(one.state), one.cost ? money(one.cost) : ""].filter(Boolean).join(" · ");
      const caption = make("figcaption", {}, look, pick(one, `pick ${one.take}`), make("span", {}, tells));
      return fitted(gallery.clips.full(one, one.files?.[0], { controls: false }), one, caption);
    });
  }

  // A picture in its own ratio, so that a clip's controls end where it ends.
  function fitted(picture, one, caption) {
    picture.style.setProperty("--aspect", String(gallery.clips.aspect(one)));
    return make("figure", {}, picture, caption);
  }

  // Small pictures to go by: the files of this job, its takes, its revisions.
  function strips(one) {
    const files = (one.files ?? []).map((each, at) => frame(one, each, `file ${at + 1}`, at === file, () => { file = at; draw(); }));
    const takes_ = siblings().map(([each, at]) => frame(each, each.files?.[0], `take ${each.take}`, at === index, () => go(at)));
    const revisions = [job(), ...(job().earlier ?? [])].map((each, at) =>
      frame(each, each.files?.[0], `revision ${each.revision}`, at === (revision ?? -1) + 1, () => {
        revision = at ? at - 1 : null;
        file = 0;
        draw();
      }));
    return make("div.strips", {}, strip("Files", files), strip("Takes", takes_), strip("Revisions", revisions));
  }

  function strip(title, frames) {
    if (frames.length < 2) return null;
    return make("section.strip", { "aria-label": title }, make("h3", {}, title), make("div", {}, ...frames));
  }

  function frame(one, found, name, pressed, chosen) {
    const matte = make("span.matte", {}, gallery.clips.picture(one, found));
    return make("button", { type: "button", "aria-pressed": String(pressed), "data-does": name, onclick: chosen }, matte, make("span", {}, name));
  }

  function facts(one) {
    const found = one.files?.[file];
    const input = Object.entries(one.input ?? {}).filter(([name]) => name !== "prompt");
    return make("div.told", { tabindex: "0", role: "region", "aria-label": "What is known of it" },
      one.input?.prompt ? make("section", {}, make("h3", {}, "Prompt"), prompt(one.input.prompt)) : null,
      part("Request", [["model", foreign(one.model)], ...input.map(([name, each]) => [name, foreign(value(each))])]),
      part("Job", [
        ["state", state(one.state) + (one.failure ? ` (${state(one.failure)})` : "")],
        ["reason", one.reason ? foreign(one.reason) : null],
        ["standing", one.standing ? "no longer in the manifest" : null],
        ["cost", one.cost ? `${money(one.cost)} at most` : "no price known"],
        ["link dies", one.state === "succeeded" && one.expires ? when(one.expires) : null],
        ["tags", one.tags?.length ? foreign(one.tags.join(", ")) : null],
        ["task", one.task ? copyable(one.task, "the task id") : null],
      ]),
      gallery.picks || !one.files || one.standing ? null
        : make("section", {}, make("h3", {}, "Choose it"), copyable(command("pick", quoted(`${one.batch}/${one.address}`)), "the command")),
      make("section", {}, make("h3", {}, "The whole story"), copyable(command("show", quoted(`${one.batch}/${one.address}`)), "the command")),
      found ? part(one.files.length > 1 ? `File ${file + 1}` : "File", described(found)) : null,
      ...(one.attempts ?? []).map((attempt) => part(one.attempts.length > 1 ? `Attempt ${attempt.number}` : "Times", times(one, attempt))));
  }

  function described(found) {
    const name = foreign(found.name);
    const size = [found.size ? `${found.size[0]} × ${found.size[1]}` : "", found.seconds ? span(found.seconds) : "", bytes(found.bytes)];
    return [
      ["name", found.media ? make("a", { href: gallery.clips.source(found), download: found.name }, name) : name],
      ["size", size.filter(Boolean).join(", ")],
      ["SHA-256", copyable(found.sha256, "the SHA-256")],
      ["on disk", found.media ? null : "gone, or changed since it was stored"],
    ];
  }

  function prompt(text) {
    const made = foreign(text, "p");
    made.classList.add("prompt");
    return made;
  }

  function times(one, attempt) {
    const last = attempt === one.attempts.at(-1);
    return [
      ["sent", when(attempt.sent)],
      ["accepted", attempt.accepted ? when(attempt.accepted) : null],
      ["provider began", attempt.began ? when(attempt.began) : null],
      ["provider finished", attempt.finished ? when(attempt.finished) : null],
      ["took", attempt.took ? span(attempt.took) : null],
      ["heard of", attempt.ended ? when(attempt.ended) : null],
      ["stored", last && one.stored ? when(one.stored) : null],
      ["outcome", attempt.outcome ? state(attempt.outcome) : "open"],
      ["task", attempt.task && attempt.task !== one.task ? copyable(attempt.task, "the task id") : null],
    ];
  }

  function part(title, members) {
    const told = members.filter(([, each]) => each !== null && each !== undefined && each !== "");
    if (!told.length) return null;
    const rows = told.map(([name, each]) => make("div", {}, make("dt", {}, foreign(name)), make("dd", {}, each)));
    return make("section", {}, make("h3", {}, title), make("dl", {}, ...rows));
  }

  // Arrows leaf through the sheet, except where they move something else: a playing clip with its own controls.
  function steer(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("video, input")) return;
    const pressed = event.target.closest("button, a") !== null; // Space presses it
    const action = {
      ArrowRight: () => go(index + 1),
      ArrowLeft: () => go(index - 1),
      s: siblings().length > 1 ? compare : undefined,
      p: gallery.picks && revision === null ? () => gallery.picks.toggle(job()) : undefined,
      " ": pressed ? undefined : pause,
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function pause() {
    for (const video of dialog.querySelectorAll("video")) if (video.paused) video.play(); else video.pause();
  }

  return { begin, open, renew, current: () => (dialog.open ? job() : null) };
})();
