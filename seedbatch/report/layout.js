// Where each card of the sheet stands: decided from the jobs, the room and the wished size, and nothing else.
"use strict";

gallery.layout = (() => {
  const GAP = 20;
  const CAPTION = 62; // pixels below a frame; gallery.css gives the caption as many
  const HEADING = 64;

  // Rows with their places: a heading for each batch if there are several; takes of one job stay in one row if they fit.
  function layout(jobs, room, size) {
    const groups = groupsOf(jobs);
    const across = columns(groups, room, size);
    const cell = Math.floor((room - GAP * (across - 1)) / across);
    const frame = Math.round(cell / frameOf(jobs));
    const numbers = new Map();
    for (const job of jobs) numbers.set(job.batch, (numbers.get(job.batch) ?? 0) + 1);
    const rows = [];
    let top = 0;
    let row = null;
    let batch = null;
    for (const group of groups) {
      const name = jobs[group[0]].batch;
      if (numbers.size > 1 && name !== batch) {
        rows.push({ top, height: HEADING, batch: name, jobs: numbers.get(name) });
        top += HEADING;
        row = null;
      }
      batch = name;
      if (row && row.items.length + group.length > across) row = null;
      for (const index of group) {
        if (!row || row.items.length === across) {
          row = { top, height: frame + CAPTION + GAP, items: [] };
          rows.push(row);
          top += row.height;
        }
        row.items.push(index);
      }
    }
    return { rows, cell, frame, step: cell + GAP, height: Math.max(0, top - GAP) };
  }

  function columns(found, room, size) {
    if (room < 480) return size > 320 ? 1 : size < 200 ? 3 : 2; // on a phone
    const fit = Math.max(1, Math.round((room + GAP) / (size + GAP)));
    const takes = mostTakes(found);
    return takes > 1 && fit > takes ? fit - (fit % takes) : fit;
  }

  // If most jobs come in groups of the same number of takes, rows of whole groups leave no holes.
  function mostTakes(found) {
    const sizes = new Map();
    for (const group of found) sizes.set(group.length, (sizes.get(group.length) ?? 0) + group.length);
    const [best] = [...sizes].sort((one, other) => other[1] - one[1]);
    return best?.[0] ?? 1;
  }

  // Takes of one job follow one another.
  function groupsOf(jobs) {
    const found = [];
    jobs.forEach((job, index) => {
      const last = found.at(-1);
      const before = last && jobs[last[0]];
      if (before && before.batch === job.batch && before.base === job.base) last.push(index);
      else found.push([index]);
    });
    return found;
  }

  // Frames are as wide and high as the widest and the highest picture need when all have the same longer side.
  function frameOf(jobs) {
    let wide = 0;
    let high = 0;
    for (const job of jobs) {
      const aspect = gallery.clips.aspect(job);
      wide = Math.max(wide, Math.min(1, aspect));
      high = Math.max(high, Math.min(1, 1 / aspect));
    }
    return jobs.length ? wide / high : 1;
  }

  return layout;
})();
