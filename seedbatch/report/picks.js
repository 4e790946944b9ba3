// What is picked, on a page that has a server: the server writes the file that `seedbatch pick` writes.
"use strict";

gallery.picks = (() => {
  const { make, say } = gallery.words;
  const SHOWN = 8000; // milliseconds that it stays to be read why nothing was changed

  let names = new Set();
  let changed = () => {};

  // Without other takes, `river` is `river#1`.
  const name = (job) => `${job.batch}/${job.address.replace(/#1$/, "")}`;
  const has = (job) => names.has(name(job));
  const offered = (job) => Boolean(job.files) && (!job.standing || has(job));

  // What the files hold now; those of the jobs that are told otherwise than before.
  function hold(now, jobs) {
    const before = names;
    names = new Set(now);
    return jobs.filter((job) => before.has(name(job)) !== names.has(name(job)));
  }

  async function toggle(job) {
    if (!job || !offered(job)) return;
    const picked = !has(job);
    const wrong = await order({ id: job.id, picked });
    if (wrong) {
      notice(wrong);
      return;
    }
    if (picked) names.add(name(job));
    else names.delete(name(job));
    changed([job]);
    say(picked ? `Picked ${job.address}` : `No longer picked: ${job.address}`);
  }

  // Nothing, or why nothing was changed.
  async function order(words) {
    try {
      const answer = await fetch("picks", { method: "POST", body: JSON.stringify(words), headers: { "Content-Type": "application/json", "X-Seedbatch": "pick" } });
      return answer.ok ? (await answer.json()).wrong : `The server refused it (${answer.status}).`;
    } catch {
      return "The server does not answer: is seedbatch serve still running?";
    }
  }

  // Over the page, or over the job that is open: what lies behind that cannot be read.
  function notice(words) {
    const told = make("p.notice", { role: "alert" });
    told.textContent = `Nothing was changed: ${words}`;
    document.querySelectorAll(".notice").forEach((one) => one.remove());
    (document.querySelector("dialog[open]") ?? document.body).append(told);
    setTimeout(() => told.remove(), SHOWN);
  }

  const words = (job) => (has(job) ? "Picked" : "Pick");

  function button(job, attributes = {}) {
    const made = make("button.pick", { type: "button", ...attributes });
    dress(made, job);
    made.addEventListener("click", (event) => { event.stopPropagation(); toggle(job); });
    return made;
  }

  function dress(made, job) {
    made.hidden = !offered(job);
    made.textContent = words(job);
    made.setAttribute("aria-pressed", String(has(job)));
    made.setAttribute("aria-label", `Pick ${job.address}`);
  }

  const begin = (told) => { changed = told; };

  return { begin, has, hold, toggle, button, dress };
})();
