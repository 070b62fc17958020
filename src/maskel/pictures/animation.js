// Skeletons that move. A stage holds figures; maskel.pictures.animation says what their attributes mean.
"use strict";
(() => {
  const HEIGHT = 200, MARGIN = 12, WIDEST = 420, NARROWEST = 120;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const known = new Map(); // figure -> Skeleton

  // The name of SVG's elements looks like an address; the browser knows it, so that no page holds any address.
  const SVG = Object.assign(document.createElement("p"), { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;
  function make(name, attributes, ...content) {
    const drawn = ["svg", "path", "g", "circle", "line", "text"].includes(name);
    const node = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...content);
    return node;
  }

  function decode(text, width) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return width === 2 ? new Uint16Array(bytes.buffer) : bytes;
  }

  const numbers = (text) => text.split(" ").map(Number);

  class Skeleton {
    constructor(figure) {
      const about = figure.dataset, stage = figure.closest("[data-bones]");
      this.figure = figure;
      this.width = Number(about.width);
      this.values = decode(about.joints, this.width);
      this.gone = 256 ** this.width - 1;
      [this.layers, this.kept, this.joints, this.axes] = numbers(about.shape);
      this.names = about.layers ? about.layers.split(" ") : Array(this.layers).fill("body");
      this.low = numbers(about.low);
      this.size = numbers(about.size);
      this.step = Number(about.step);
      this.frames = Number(about.frames);
      this.first = Number(about.first);
      this.rate = Number(about.rate);
      this.hidden = about.hidden ? decode(about.hidden, 1) : null;
      this.weights = about.weights ? decode(about.weights, 1) : null;
      this.bones = stage.dataset.bones.split(" ").filter(Boolean).map((bone) => bone.split("-").map(Number));
      this.side = stage.dataset.view === "side" && this.axes === 3;
      this.position = Number(about.start || 0);
      this.playing = !calm && this.frames > 1;
      this.speed = Number(stage.dataset.speed || 1);
      this.seen = true;
      this.build();
      figure.addEventListener("seek", (event) => this.seek(event.detail, true));
      this.draw();
    }

    build() {
      const across = Math.max(this.size[0], this.axes === 3 ? this.size[2] : 0);
      const scale = Math.min((HEIGHT - 2 * MARGIN) / (this.size[1] || 1e-9), (WIDEST - 2 * MARGIN) / (across || 1e-9));
      this.scale = scale;
      this.across = Math.max(across * scale + 2 * MARGIN, NARROWEST);
      const name = this.figure.dataset.name || "clip";
      const box = `0 0 ${this.across.toFixed(1)} ${HEIGHT}`;
      this.paths = this.names.map((layer, number) =>
        make("g", { class: layer === "body" ? `person person-${(number % 6) + 1}` : layer },
          make("path", { class: "bones" }), make("path", { class: "joints" }), make("path", { class: "hollow" })));
      this.rings = this.weights ? Array.from({ length: this.joints }, () => make("circle", { class: "weight" })) : [];
      const floor = make("path", { class: "ground", d: `M4 ${HEIGHT - 6}H${(this.across - 4).toFixed(1)}` });
      this.picture = make("svg", { viewBox: box, preserveAspectRatio: "xMidYMax", role: "img", "aria-label": `moving skeleton, ${name}` },
        floor, ...this.rings, ...this.paths);
      this.button = make("button", { type: "button", class: "play" });
      this.range = make("input",
        { type: "range", min: 0, max: Math.max(this.frames - 1, 0), step: 1, value: 0, "aria-label": `frame, ${name}` });
      this.time = make("output", {});
      this.button.addEventListener("click", () => this.play(!this.playing));
      this.range.addEventListener("input", () => this.seek(Number(this.range.value), true));
      this.figure.prepend(this.picture, make("div", { class: "controls" }, this.button, this.range, this.time));
      this.play(this.playing);
    }

    play(wish) {
      this.playing = wish;
      this.button.textContent = wish ? "❚❚" : "▶";
      this.button.setAttribute("aria-label", wish ? "pause" : "play");
      if (wish) start();
    }

    seek(position, stop) {
      this.position = Math.min(Math.max(position, 0), Math.max(this.frames - 1, 0));
      if (stop && this.playing) this.play(false);
      this.draw();
    }

    advance(seconds) {
      const end = Math.max(this.frames - 1, 1), next = this.position + seconds * this.rate * this.speed;
      this.position = next > end ? 0 : next;
      this.draw();
    }

    // Coordinates of a joint in the picture, between the two kept frames around the position; null where missing.
    place(layer, joint, before, after, share) {
      const at = ((layer * this.kept + before) * this.joints + joint) * this.axes;
      const to = ((layer * this.kept + after) * this.joints + joint) * this.axes;
      if (this.values[at] === this.gone) return null;
      const blend = this.values[to] === this.gone ? 0 : share;
      const value = (axis) => (this.values[at + axis] * (1 - blend) + this.values[to + axis] * blend) * this.step;
      const axis = this.side ? 2 : 0;
      const x = this.across / 2 + (value(axis) - this.size[axis] / 2) * this.scale;
      return [x, HEIGHT - MARGIN - value(1) * this.scale];
    }

    draw() {
      const exact = this.frames > 1 ? (this.position * (this.kept - 1)) / (this.frames - 1) : 0;
      const before = Math.min(Math.floor(exact), this.kept - 1), after = Math.min(before + 1, this.kept - 1);
      const nearest = Math.round(exact), share = exact - before;
      const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
      const body = [];
      for (let layer = 0; layer < this.layers; layer++) {
        const places = [];
        for (let joint = 0; joint < this.joints; joint++) places.push(this.place(layer, joint, before, after, share));
        const [bones, joints, hollow] = this.paths[layer].children;
        if (this.names[layer] === "body") {
          if (layer === 0) body.push(...places);
          bones.setAttribute("d", this.bones.filter(([one, other]) => places[one] && places[other])
            .map(([one, other]) => `M${point(places[one])}L${point(places[other])}`).join(""));
          const hides = (joint) => layer === 0 && this.hidden && this.hidden[nearest * this.joints + joint];
          const dots = (wish) => places.map((place, joint) =>
            place && Boolean(hides(joint)) === wish ? `M${point(place)}h0` : "").join("");
          joints.setAttribute("d", dots(false));
          hollow.setAttribute("d", dots(true));
        } else {
          const ends = places.map((place, joint) => (place && body[joint] ? [body[joint], place] : null)).filter(Boolean);
          bones.setAttribute("d", ends.map(([from, to]) => `M${point(from)}L${point(to)}`).join(""));
          joints.setAttribute("d", ends.map(([, to]) => `M${point(to)}h0`).join(""));
        }
      }
      this.rings.forEach((ring, joint) => {
        const weight = this.weights[nearest * this.joints + joint] / 255, place = body[joint];
        ring.setAttribute("r", place ? (9 * Math.sqrt(weight)).toFixed(1) : 0);
        if (place) { ring.setAttribute("cx", place[0].toFixed(1)); ring.setAttribute("cy", place[1].toFixed(1)); }
      });
      const frame = Math.round(this.position);
      this.range.value = frame;
      const seconds = "seconds" in this.figure.dataset ? `${(this.position / this.rate).toFixed(1)} s` : "";
      this.time.textContent = seconds || `${this.first + frame}`;
      this.figure.dispatchEvent(new CustomEvent("frame", { detail: this.position }));
    }
  }

  let running = false, last = 0;
  function start() {
    if (running) return;
    running = true;
    last = performance.now();
    requestAnimationFrame(tick);
  }
  function tick(now) {
    const seconds = Math.min(Math.max(now - last, 0) / 1000, 0.1); // the first frame may be older than the start
    last = now;
    let any = false;
    for (const skeleton of known.values()) {
      if (!skeleton.playing) continue;
      any = true;
      if (skeleton.seen && !skeleton.figure.hidden) skeleton.advance(seconds);
    }
    running = any;
    if (any) requestAnimationFrame(tick);
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !known.has(target)) {
        const skeleton = new Skeleton(target);
        known.set(target, skeleton);
        if ("paused" in target.closest("[data-bones]").dataset) skeleton.play(false);
        if (skeleton.playing) start();
      }
      if (known.has(target)) known.get(target).seen = isIntersecting;
    }
  }, { rootMargin: "100px" });

  function bar(stage) {
    const inside = () => [...known.values()].filter((skeleton) => stage.contains(skeleton.figure));
    const all = make("button", { type: "button", class: "all" });
    const say = () => { all.textContent = "paused" in stage.dataset ? "Play all" : "Pause all"; };
    if (calm) stage.dataset.paused = "";
    say();
    all.addEventListener("click", () => {
      if ("paused" in stage.dataset) delete stage.dataset.paused; else stage.dataset.paused = "";
      for (const skeleton of inside()) skeleton.play(!("paused" in stage.dataset));
      say();
    });
    const speed = make("select", {}, ...[0.25, 0.5, 1, 2, 4].map((value) => new Option(`${value} ×`, value)));
    speed.value = "1";
    speed.addEventListener("change", () => {
      stage.dataset.speed = speed.value;
      for (const skeleton of inside()) skeleton.speed = Number(speed.value);
    });
    const several = stage.querySelectorAll("figure.moving").length > 1;
    const parts = [...(several ? [all] : []), make("label", {}, "Speed ", speed)];
    if (stage.querySelector("figure.moving")?.dataset.shape.endsWith(" 3")) {
      const view = make("select", {}, new Option("front", "front"), new Option("side", "side"));
      view.addEventListener("change", () => {
        stage.dataset.view = view.value;
        for (const skeleton of inside()) {
          skeleton.side = view.value === "side";
          skeleton.draw();
        }
      });
      parts.push(make("label", {}, "View ", view));
    }
    stage.prepend(make("div", { class: "toolbar" }, ...parts));
  }

  for (const stage of document.querySelectorAll("[data-bones]")) bar(stage);
  for (const figure of document.querySelectorAll("figure.moving")) watcher.observe(figure);
  window.maskel = { make, known };
})();
