// Draws the events of maskel watch as they come: people on one scale, and what each of them does.
"use strict";
(() => {
  const { make } = window.maskel;
  const live = document.querySelector("[data-live]"), state = document.querySelector(".state");
  const bones = live.dataset.live.split(" ").filter(Boolean).map((bone) => bone.split("-").map(Number));
  const scene = live.querySelector(".scene"), list = live.querySelector(".people"), WIDTH = 480, HEIGHT = 320, MARGIN = 24;
  const picture = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "people as they move" });
  scene.append(picture);
  const colours = new Map(), cards = new Map();
  const colour = (id) => { if (!colours.has(id)) colours.set(id, (colours.size % 6) + 1); return colours.get(id); };
  let box = null; // what was seen so far, which slowly shrinks to what is seen now

  function draw(frame) {
    const points = frame.people.flatMap((person) => person.joints.filter(Boolean));
    state.textContent = `${frame.time.toFixed(1)} s, ${frame.people.length + frame.more} people` +
      (frame.more ? `, ${frame.more} of them not drawn` : "");
    if (!points.length) { picture.replaceChildren(); return; }
    const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
    const seen = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    box = box ? seen.map((value, side) => {
      const outer = side % 2 ? Math.max(value, box[side]) : Math.min(value, box[side]);
      return outer + (value - outer) * 0.02;
    }) : seen;
    const [left, right, low, high] = box;
    const scale = Math.min((WIDTH - 2 * MARGIN) / Math.max(right - left, 1e-9), (HEIGHT - 2 * MARGIN) / Math.max(high - low, 1e-9));
    const place = ([x, y]) => `${(WIDTH / 2 + (x - (left + right) / 2) * scale).toFixed(1)} ${(HEIGHT - MARGIN - (y - low) * scale).toFixed(1)}`;
    picture.replaceChildren(...frame.people.map((person, number) => {
      const { joints } = person, top = joints.filter(Boolean).sort((one, other) => other[1] - one[1])[0];
      const parts = [
        make("path", { class: "bones", d: bones.filter(([one, other]) => joints[one] && joints[other])
          .map(([one, other]) => `M${place(joints[one])}L${place(joints[other])}`).join("") }),
        make("path", { class: "joints", d: joints.filter(Boolean).map((joint) => `M${place(joint)}h0`).join("") }),
      ];
      if (person.id !== null && top) {
        const [x, y] = place(top).split(" ").map(Number);
        parts.push(make("text", { x, y: y - 8, class: "middle" }, person.id));
      }
      return make("g", { class: `person person-${colour(person.id ?? `#${number + 1}`)}` }, ...parts);
    }));
  }

  function answer({ person, sure, end, best }) {
    if (!cards.has(person)) {
      const card = make("div", { class: `card person-${colour(person)}` });
      cards.set(person, card);
      list.append(card);
      if (cards.size > 32) {
        const [oldest, gone] = cards.entries().next().value;
        cards.delete(oldest);
        gone.remove();
      }
    }
    const rows = best.map(([name, share]) => make("div", { class: "row" },
      make("span", {}, name), make("meter", { min: 0, max: 1, value: share, "aria-label": name }),
      make("span", { class: "count" }, `${Math.round(100 * share)} %`)));
    cards.get(person).replaceChildren(
      make("strong", {}, sure ? best[0][0] : `unsure: ${best[0][0]}?`),
      make("span", { class: "note" }, ` person ${person}, until ${end.toFixed(1)} s`), ...rows);
  }

  const events = new EventSource("/events");
  events.onmessage = (event) => {
    const content = JSON.parse(event.data);
    if ("people" in content) draw(content); else answer(content);
  };
  events.addEventListener("end", () => { events.close(); state.textContent = "The stream has ended."; });
  events.onerror = () => { state.textContent = "Not connected. Is maskel watch still running?"; };
})();
