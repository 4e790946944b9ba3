// What needs a person: failures by reason, what is in doubt, what is at risk, each with the command to type.
"use strict";

gallery.attention = (() => {
  const { make, foreign, count, when, money, sum, state, command, quoted, copyable, span } = gallery.words;
  const DAY = 86_400_000;
  const SHOWN = 12; // jobs of a group before the sheet shows the rest

  // What each class of failure means, and whether sending it again can help.
  const MEANS = {
    moderation: ["Moderation refused it. Unchanged it would be refused again: change the prompt in the manifest, then apply.", false],
    invalid: ["The provider does not accept the request as it is: change it in the manifest, then apply.", false],
    credits: ["The account had no credits left. Once it has, want it again.", true],
    provider: ["The provider failed; another try may succeed.", true],
    timeout: ["The provider gave up after its own time limit.", true],
    cancelled: ["The task was cancelled at the provider.", true],
    no_output: ["The task succeeded and offered no file.", true],
    lost: ["A person said that no task exists.", true],
    expired: ["The links were dead before the files were fetched.", true],
    abandoned: ["A person gave it up.", true],
  };

  const AGAIN = "The next apply of the manifest sends it again.";

  const risks = (job) => job.state === "succeeded" && job.expires && job.expires - Date.now() < DAY;
  const kind = (job) => job.failure || job.state;
  const held = (job) => ["failed", "expired", "abandoned"].includes(job.state);
  const address = (job) => quoted(`${job.batch}/${job.address}`);
  const number = (jobs) => jobs.filter((job) => held(job) || job.state === "in_doubt" || risks(job)).length;

  // What to type about one job: a list of lines, empty where there is nothing to do.
  function advice(job) {
    if (job.state === "in_doubt") return doubtful(job);
    if (job.state === "succeeded") return [typed(command("collect"), "the command")];
    if (job.state === "running" || job.state === "submitting") return [typed(command("collect", "--watch"), "the command")];
    if (!held(job)) return [];
    const [means, again] = MEANS[kind(job)] ?? ["", true];
    return [make("p", {}, means), ...(again ? [typed(command("retry", address(job)), "the command"), make("p", {}, AGAIN)] : [])];
  }

  function doubtful(job) {
    return [
      make("p", {}, "It may have been accepted and charged, and is never sent again by itself. Look at that time in the provider’s console."),
      make("dl.ways", {}, ...[
        ["A task is there", "--task-id ID"], ["There is none: its money is free again", "--lost"], ["Send it again; it may be billed twice", "--resubmit"],
      ].map(([says, flag]) => make("div", {}, make("dt", {}, says), make("dd", {}, copyable(command("resolve", address(job), flag), "the command"))))),
    ];
  }

  const typed = (text, label) => make("p", {}, copyable(text, label));

  function render(into, jobs, open, filter) {
    const groups = [...failures(jobs)].map(([, group]) => failed(group, open, filter));
    const doubts = jobs.filter((job) => job.state === "in_doubt");
    const dying = jobs.filter(risks).sort((one, other) => one.expires - other.expires);
    const parts = [
      doubts.length ? section("In doubt", `${count(doubts.length, "job")} may have been accepted and charged${owed(doubts)}.`, ...doubts.slice(0, SHOWN).map((job) => doubt(job, open)), more(doubts, "in_doubt", filter)) : null,
      dying.length ? section("At risk", `${count(dying.length, "result")} not on disk, and the link dies within a day.`, typed(command("collect"), "the command"), listed(dying, open, (job) => dies(job)), null) : null,
      groups.length ? section("Failed", `${count([...failures(jobs).values()].flat().length, "job")} held until you say otherwise.`, ...groups) : null,
    ].filter(Boolean);
    into.replaceChildren(...(parts.length ? parts : [make("p.empty", {}, "Nothing waits for a person: nothing failed, nothing is in doubt, nothing is at risk.")]));
  }

  const owed = (jobs) => (sum(jobs.map((job) => job.cost)) ? `; ${sum(jobs.map((job) => job.cost))} may be owed for them` : "");
  const dies = (job) => (job.expires < Date.now() ? `died ${when(job.expires)}` : `in ${span((job.expires - Date.now()) / 1000)}, ${when(job.expires)}`);

  function failures(jobs) {
    const found = new Map();
    for (const job of jobs.filter(held)) {
      const key = JSON.stringify([kind(job), job.reason ?? ""]);
      found.set(key, [...(found.get(key) ?? []), job]);
    }
    return new Map([...found].sort((one, other) => other[1].length - one[1].length));
  }

  function failed(group, open, filter) {
    const [first] = group;
    const [means, again] = MEANS[kind(first)] ?? ["", true];
    const batches = [...new Set(group.map((job) => job.batch))];
    const select = first.state === "failed" ? `state:failed,reason:${first.failure}` : `state:${first.state}`;
    const what = group.length === 1 ? [address(first)] : ["--select", quoted(batches.length === 1 ? `${select},batch:${batches[0]}` : select)];
    return make("article.group", {},
      make("h3", {}, make("span.number", {}, String(group.length)), ` ${state(kind(first))}`),
      first.reason ? foreign(first.reason, "p") : null,
      make("p.means", {}, means),
      again ? typed(command("retry", ...what), "the command") : null,
      again ? make("p.means", {}, AGAIN) : null,
      listed(group.slice(0, SHOWN), open, (job) => [job.task ?? "", job.cost ? money(job.cost) : ""].filter(Boolean).join(" · ")),
      more(group, first.state, filter));
  }

  function doubt(job, open) {
    return make("article.group", {}, listed([job], open, () => [job.attempts?.at(-1) ? `sent ${when(job.attempts.at(-1).sent)}` : "", job.cost ? money(job.cost) : ""].filter(Boolean).join(" · ")),
      job.reason ? foreign(job.reason, "p") : null, ...doubtful(job));
  }

  function listed(jobs, open, tells) {
    return make("ul.jobs", {}, ...jobs.map((job) => make("li", {},
      make("button.plain", { type: "button", onclick: () => open(job) }, foreign(`${job.batch}/${job.address}`)),
      make("span.tells", {}, foreign(tells(job))), make("bdi.prompt", {}, job.input?.prompt ?? ""))));
  }

  function more(jobs, name, filter) {
    if (jobs.length <= SHOWN) return null;
    return make("button.plain", { type: "button", onclick: () => filter("state", state(name)) }, `All ${jobs.length} in the sheet`);
  }

  const section = (title, says, ...children) => make("section", {}, make("h2", {}, title), make("p.says", {}, says), ...children.filter(Boolean));

  return { render, number, advice };
})();
