// Points of a plane: the one that is pointed at shows its clip; the legend shows one class alone.
"use strict";
(() => {
  for (const stage of document.querySelectorAll("[data-scatter]")) {
    const picture = stage.querySelector("svg.scatter"), points = [...picture.querySelectorAll("circle")];
    const figures = [...stage.querySelectorAll("figure.moving")], hint = stage.querySelector(".hint");
    const chips = [...stage.querySelectorAll(".legend button")];
    const place = points.map((point) => [Number(point.getAttribute("cx")), Number(point.getAttribute("cy"))]);
    const order = points.map((_, number) => number).sort((one, other) => place[one][0] - place[other][0]);
    let chosen = -1;
    const choose = (number) => {
      if (number === chosen || number < 0) return;
      if (chosen >= 0) {
        figures[chosen].hidden = true;
        points[chosen].classList.remove("chosen");
      }
      chosen = number;
      hint.hidden = true;
      figures[number].hidden = false;
      points[number].classList.add("chosen");
    };
    const visible = (number) => !points[number].classList.contains("faint");
    picture.addEventListener("pointermove", (event) => {
      const box = picture.getBoundingClientRect(), scale = picture.viewBox.baseVal.width / box.width;
      const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      let near = -1, least = 20 ** 2;
      place.forEach(([cx, cy], number) => {
        const far = (cx - x) ** 2 + (cy - y) ** 2;
        if (far < least && visible(number)) [near, least] = [number, far];
      });
      choose(near);
    });
    picture.setAttribute("tabindex", "0");
    picture.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      let at = chosen < 0 ? (step > 0 ? -1 : order.length) : order.indexOf(chosen);
      do at += step; while (order[at] !== undefined && !visible(order[at]));
      if (order[at] !== undefined) choose(order[at]);
    });
    for (const chip of chips) chip.addEventListener("click", () => {
      const alone = chip.getAttribute("aria-pressed") !== "true";
      for (const other of chips) other.setAttribute("aria-pressed", String(alone && other === chip));
      for (const point of points) point.classList.toggle("faint", alone && point.dataset.label !== chip.dataset.label);
    });
  }
})();
