// What stands in a frame: a poster, a clip that plays while it is pointed at, or words where there is no picture.
"use strict";

gallery.clips = (() => {
  const { make, foreign, state } = gallery.words;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const PATIENCE = 140; // milliseconds of pointing before a clip begins: crossing the sheet starts none

  const isClip = (file) => (file.type ?? "").startsWith("video/");
  const source = (file) => `media/${file.media}`;

  // Width to height: of the file, else as the request asks, else wide.
  function aspect(job) {
    const [width, height] = job.files?.[0]?.size ?? [];
    if (width && height) return width / height;
    const asked = /^(\d+):(\d+)$/.exec(job.input?.ratio ?? "");
    return asked ? asked[1] / asked[2] : 16 / 9;
  }

  // The picture of a job's first file (or of the one named), or what there is to say instead.
  function picture(job, file = job.files?.[0]) {
    if (file?.poster) return poster(file);
    if (file?.media) return blank(isClip(file) ? "clip" : "image", "no poster");
    if (file) return blank("not on disk", "");
    const kept = job.earlier?.find((one) => one.files);
    return blank(state(job.state), job.failure ? state(job.failure) : kept ? `revision ${kept.revision} is there` : "");
  }

  // Drawn by ourselves, at the size shown: of images, Chromium keeps a thousand decoded ones that nobody looks at any more.
  function poster(file) {
    const made = make("canvas.poster", { width: 0, height: 0, "aria-hidden": "true", "data-poster": file.poster });
    wanted.push([made, file]);
    queueMicrotask(fetchNext);
    return made;
  }

  // A few images fetch all posters in turn, and none that went out of sight before its turn came.
  const idle = Array.from({ length: 4 }, () => new Image());
  const wanted = [];

  function fetchNext() {
    while (idle.length && wanted.length) {
      const [made, file] = wanted.shift();
      if (made.isConnected) fetchPoster(idle.pop(), made, file);
    }
  }

  async function fetchPoster(image, made, file) {
    try {
      await new Promise((done, failed) => {
        Object.assign(image, { onload: done, onerror: failed, src: `posters/${file.poster}` });
      });
      await paint(made, image);
    } catch {
      none(made, file);
    }
    Object.assign(image, { onload: null, onerror: null });
    image.removeAttribute("src");
    idle.push(image);
    fetchNext();
  }

  async function paint(made, image) {
    const fit = Math.min(made.clientWidth / image.naturalWidth, made.clientHeight / image.naturalHeight) * devicePixelRatio;
    const scale = fit > 0 ? Math.min(1, fit) : 1;
    const size = { resizeWidth: Math.ceil(image.naturalWidth * scale), resizeHeight: Math.ceil(image.naturalHeight * scale), resizeQuality: "high" };
    const bitmap = await createImageBitmap(image, size);
    if (made.isConnected) {
      Object.assign(made, { width: bitmap.width, height: bitmap.height });
      made.getContext("2d").drawImage(bitmap, 0, 0);
    }
    bitmap.close();
  }

  // A server draws a poster when it is asked for, and answers with none where there is nothing to draw.
  const none = (made, file) => made.replaceWith(blank(isClip(file) ? "clip" : "image", "no poster"));

  // Lets go of its pixels at once, not when the collector comes by.
  function forget(node) {
    for (const made of node.querySelectorAll("canvas")) Object.assign(made, { width: 0, height: 0 });
  }

  function blank(word, more) {
    return make("span.blank", {}, make("span", {}, word), more ? make("span.why", {}, foreign(more)) : null);
  }

  let playing = null;
  let waiting = 0;

  function hover(frame, file) {
    leave();
    if (still.matches || !file?.media || !isClip(file)) return;
    waiting = setTimeout(() => {
      const video = make("video", { src: source(file), "aria-hidden": "true", tabindex: "-1", disablepictureinpicture: true });
      Object.assign(video, { muted: true, loop: true, playsInline: true });
      video.addEventListener("playing", () => frame.classList.add("plays"), { once: true });
      frame.append(video);
      playing = video;
      video.play().catch(() => {}); // taken away before it began, or not playable here: the poster stays
    }, PATIENCE);
  }

  function leave() {
    clearTimeout(waiting);
    if (!playing) return;
    playing.parentElement?.classList.remove("plays");
    release(playing);
    playing.remove();
    playing = null;
  }

  // Lets go of the decoder at once, not when the collector comes by.
  function release(video) {
    video.pause();
    video.removeAttribute("src");
    video.load();
  }

  // A clip or an image in full.
  function full(job, file, { loop = true, controls = true } = {}) {
    if (!file?.media) return picture(job, file);
    if (!isClip(file)) return make("img", { src: source(file), alt: `${job.address}, the whole image` });
    const poster = file.poster ? `posters/${file.poster}` : null;
    const video = make("video", { src: source(file), controls, poster, "aria-label": `${job.address}, clip` });
    Object.assign(video, { muted: true, loop, playsInline: true, preload: "auto" });
    if (!still.matches) video.autoplay = true;
    return video;
  }

  return { isClip, source, aspect, picture, forget, hover, leave, release, full };
})();
