// Elements and words. Everything that comes from the data enters the page through `textContent` alone.
"use strict";

const gallery = (window.gallery = {});

gallery.words = (() => {
  // An element: its name with classes, attributes (null is left out), children. Text becomes text, never markup.
  function make(what, attributes = {}, ...children) {
    const [name, ...classes] = what.split(".");
    const made = document.createElement(name || "div");
    if (classes.length) made.classList.add(...classes);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  // Foreign text: whatever its direction, it cannot reach the text around it.
  function foreign(text, what = "bdi") {
    const made = make(what, { dir: "auto" });
    made.textContent = text;
    return made;
  }

  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const numbers = new Intl.NumberFormat("en");

  const number = (value) => numbers.format(value);
  const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;
  const when = (millis) => moment.format(millis);
  const about = (millis) => short.format(millis);

  // A duration in its two largest units: `3 d 4 h`, `12 min`, `40 s`.
  function span(seconds) {
    if (seconds < 9.95) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
    let rest = Math.round(seconds);
    const parts = [];
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      const whole = Math.floor(rest / size);
      rest -= whole * size;
      if (whole) parts.push(`${whole} ${unit}`);
    }
    return parts.slice(0, 2).join(" ");
  }

  function bytes(size) {
    if (size < 1000) return `${size} bytes`;
    const units = ["kB", "MB", "GB"];
    let value = size / 1000;
    while (value >= 1000 && units.length > 1) { value /= 1000; units.shift(); }
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
  }

  // Micro-units as people write them: at least two decimal places, no more than needed.
  function amount(micros) {
    const rest = String(micros % 1e6).padStart(6, "0").replace(/0+$/, "").padEnd(2, "0");
    return `${number(Math.floor(micros / 1e6))}.${rest}`;
  }
  const money = (cost) => `${amount(cost[0])} ${cost[1]}`;

  // `12.50 USD and 3.00 EUR` of many costs; empty if none is known.
  function sum(costs) {
    const sums = new Map();
    for (const cost of costs) if (cost) sums.set(cost[1], (sums.get(cost[1]) ?? 0) + cost[0]);
    return [...sums].sort().map(([currency, micros]) => money([micros, currency])).join(" and ");
  }

  const state = (name) => name.replaceAll("_", " ");

  // A word for a shell, quoted where it must be.
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
  const command = (...words) => `seedbatch ${words.join(" ")}${document.body.dataset.place}`;

  const value = (one) => (typeof one === "string" ? one : JSON.stringify(one));

  // A command or an identity, with a button that copies it.
  function copyable(text, label) {
    // A word each, so that `--flag` is not broken at its hyphens.
    const words = text.split(" ").flatMap((word, at) => [at ? " " : "", make("span", {}, word)]);
    const code = make("code", { dir: "ltr" }, ...words);
    const button = make("button.copy", { type: "button", "aria-label": `Copy ${label}` }, "Copy");
    button.addEventListener("click", async () => {
      const done = await copied(text, code);
      button.textContent = done ? "Copied" : "Select it";
      say(done ? `Copied ${label}` : "It could not be copied: it is selected");
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
    return make("span.copyable", {}, code, button);
  }

  async function copied(text, shown) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not allowed to pages that came without TLS: the older way, by a selection.
      getSelection().selectAllChildren(shown);
      return document.execCommand("copy");
    }
  }

  function say(text) {
    document.getElementById("said").textContent = text;
  }

  return { make, foreign, number, count, when, about, span, bytes, amount, money, sum, state, quoted, command, value, copyable, say };
})();
