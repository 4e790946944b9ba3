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
    dialog.addEventListener("close", () => {
      dialog.querySelectorAll("video").forEach(gallery.clips.release);
      dialog.replaceChildren();
      closed(index);
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  function open(among, at) {
    jobs = among;
    go(at);
    if (!dialog.open) dialog.showModal();
    dialog.querySelector(".close").focus();
  }

  function go(to) {
    index = Math.max(0, Math.min(jobs.length - 1, to));
    revision = null;
    file = 0;
    draw();
  }

  const job = () => jobs[index];
  // The job as it is, or as an earlier revision was: what a revision does not say itself is the job's.
  const shown = () => (revision === null ? job() : { ...job(), failure: "", reason: "", files: [], attempts: [], task: "", cost: null, stored: 0, ...job().earlier[revision] });

  function draw() {
    const focused = document.activeElement?.dataset?.does;
    dialog.querySelectorAll("video").forEach(gallery.clips.release);
    const one = shown();
    dialog.replaceChildren(top(one), make("div.stage", {}, ...(beside ? takes() : [stand(one)])), strips(one), facts(one));
    dialog.classList.toggle("beside", beside);
    if (focused) dialog.querySelector(`[data-does="${focused}"]:not(:disabled)`)?.focus();
    dialog.scrollTop = 0;
  }

  function top(one) {
    const title = make("h2", { id: "viewer-title" }, foreign(one.address));
    const where = make("p.facts", {}, make("span", {}, foreign(one.batch)), make("span", {}, `${index + 1} of ${count(jobs.length, "job")}`),
      one.revision > 1 || revision !== null ? make("span", {}, `revision ${one.revision}`) : null, make("span.state", { "data-state": one.state }, state(one.state)));
    const several = siblings().length > 1;
    return make("header", {}, make("div", {}, title, where), make("div.buttons", {},
      several ? make("button", { type: "button", "data-does": "beside", "aria-pressed": String(beside), onclick: compare }, "Takes side by side") : null,
      make("button", { type: "button", "data-does": "back", disabled: index === 0, onclick: () => go(index - 1) }, "Previous"),
      make("button", { type: "button", "data-does": "on", disabled: index === jobs.length - 1, onclick: () => go(index + 1) }, "Next"),
      make("button.close", { type: "button", "data-does": "close", onclick: () => dialog.close() }, "Close")));
  }

  // The picture, or what there is to say and to type where there is none.
  function stand(one) {
    const found = one.files?.[file];
    if (found) return make("figure", {}, gallery.clips.full(one, found));
    return make("div.stand", {}, make("p.word", {}, state(one.state) + (one.failure ? `: ${state(one.failure)}` : "")),
      one.reason ? foreign(one.reason, "p") : null, ...gallery.attention.advice(one));
  }

  function compare() {
    beside = !beside;
    draw();
  }

  const siblings = () => jobs.map((one, at) => [one, at]).filter(([one]) => one.batch === job().batch && one.base === job().base);

  function takes() {
    return siblings().map(([one, at]) => {
      const look = make("button", { type: "button", onclick: () => { beside = false; go(at); } }, `Take ${one.take}`);
      const picture = one.files?.[0] ? gallery.clips.full(one, one.files[0], { controls: false }) : make("div.stand", {}, gallery.clips.picture(one));
      return make("figure.take", {}, picture, make("figcaption", {}, look, make("span", {}, [state(one.state), one.cost ? money(one.cost) : ""].filter(Boolean).join(" · "))));
    });
  }

  // Small pictures to go by: the files of this job, its takes, its revisions.
  function strips(one) {
    const several = siblings();
    const revisions = [job(), ...(job().earlier ?? [])];
    return make("div.strips", {},
      (one.files?.length ?? 0) > 1 ? strip("Files", one.files.map((each, at) => frame(one, each, `file ${at + 1}`, at === file, () => { file = at; draw(); }))) : null,
      several.length > 1 ? strip("Takes", several.map(([each, at]) => frame(each, each.files?.[0], `take ${each.take}`, at === index, () => go(at)))) : null,
      revisions.length > 1 ? strip("Revisions", revisions.map((each, at) => frame(each, each.files?.[0], `revision ${each.revision}`,
        at - 1 === (revision ?? -1), () => { revision = at ? at - 1 : null; file = 0; draw(); }))) : null);
  }

  const strip = (title, frames) => make("section.strip", { "aria-label": title }, make("h3", {}, title), make("div", {}, ...frames));

  function frame(one, found, name, pressed, chosen) {
    const button = make("button", { type: "button", "aria-pressed": String(pressed), "data-does": name }, make("span.matte", {}, gallery.clips.picture(one, found)), make("span", {}, name));
    button.addEventListener("click", chosen);
    return button;
  }

  function facts(one) {
    const found = one.files?.[file];
    return make("div.told", {},
      one.input?.prompt ? make("section", {}, make("h3", {}, "Prompt"), prompt(one.input.prompt)) : null,
      part("Request", [["model", foreign(one.model)], ...Object.entries(one.input ?? {}).filter(([name]) => name !== "prompt").map(([name, each]) => [name, foreign(value(each))])]),
      part("Job", [
        ["state", state(one.state) + (one.failure ? ` (${state(one.failure)})` : "")],
        ["reason", one.reason ? foreign(one.reason) : null],
        ["standing", one.standing ? "no longer in the manifest" : null],
        ["cost", one.cost ? `${money(one.cost)} at most` : "no price known"],
        ["link dies", one.state === "succeeded" && one.expires ? when(one.expires) : null],
        ["tags", one.tags?.length ? foreign(one.tags.join(", ")) : null],
        ["task", one.task ? copyable(one.task, "the task id") : null],
        ["story", copyable(command("show", quoted(`${one.batch}/${one.address}`)), "the command")],
      ]),
      ...(one.files?.length ? [part(one.files.length > 1 ? `File ${file + 1}` : "File", [
        ["name", found.media ? make("a", { href: gallery.clips.source(found), download: found.name }, foreign(found.name)) : foreign(found.name)],
        ["size", [found.size ? `${found.size[0]} × ${found.size[1]}` : "", found.seconds ? span(found.seconds) : "", bytes(found.bytes)].filter(Boolean).join(", ")],
        ["SHA-256", copyable(found.sha256, "the SHA-256")],
        ["on disk", found.media ? null : "gone, or changed since it was stored"],
      ])] : []),
      ...(one.attempts ?? []).map((attempt) => part(one.attempts.length > 1 ? `Attempt ${attempt.number}` : "Times", times(one, attempt))));
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
    return make("section", {}, make("h3", {}, title), make("dl", {}, ...told.map(([name, each]) => make("div", {}, make("dt", {}, foreign(name)), make("dd", {}, each)))));
  }

  // Arrows leaf through the sheet, except where they move something else: a playing clip with its own controls.
  function steer(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("video, input")) return;
    const does = { ArrowRight: () => go(index + 1), ArrowLeft: () => go(index - 1), Home: () => go(0), End: () => go(jobs.length - 1),
      s: () => siblings().length > 1 && compare(), " ": () => (event.target.closest("button, a") ? null : pause()) }[event.key];
    if (!does || (event.key === " " && event.target.closest("button, a"))) return;
    event.preventDefault();
    does();
  }

  function pause() {
    for (const video of dialog.querySelectorAll("video")) if (video.paused) video.play(); else video.pause();
  }

  return { begin, open, current: () => (dialog.open ? job() : null) };
})();
