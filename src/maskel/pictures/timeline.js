// One moment for the skeleton, the bars and the curves of a person: each follows the others.
"use strict";
(() => {
  const { make } = window.maskel;
  for (const person of document.querySelectorAll("[data-span]")) {
    const [low, high] = person.dataset.span.split(" ").map(Number);
    const figure = person.querySelector("figure.moving"), plot = person.querySelector("[data-plot]");
    const chart = plot.querySelector("svg");
    if (!figure) continue;
    const first = Number(figure.dataset.first), rate = Number(figure.dataset.rate), said = person.querySelector(".now");
    const [names, values, times] = ["names", "values", "times"].map((key) => JSON.parse(plot.dataset[key]));
    const cursors = [...person.querySelectorAll("svg.lane")].map((lane) => {
      const line = make("line", { class: "cursor", y1: 0, y2: 18 });
      lane.append(line);
      return (share) => { line.setAttribute("x1", `${100 * share}%`); line.setAttribute("x2", `${100 * share}%`); };
    });
    const moment = (share) => low + share * (high - low);
    const seek = (share) => figure.dispatchEvent(
      new CustomEvent("seek", { detail: moment(Math.min(Math.max(share, 0), 1)) - first }));
    const drag = (target, shareOf) => {
      target.classList.add("seeks");
      target.addEventListener("pointerdown", (event) => {
        target.setPointerCapture(event.pointerId);
        seek(shareOf(event));
      });
      target.addEventListener("pointermove", (event) => { if (event.buttons) seek(shareOf(event)); });
    };
    for (const lane of person.querySelectorAll("svg.lane"))
      drag(lane, (event) => (event.clientX - lane.getBoundingClientRect().left) / lane.getBoundingClientRect().width);
    if (chart) {
      const [left, right, top, bottom] = plot.dataset.plot.split(" ").map(Number);
      const [from, to] = plot.dataset.range.split(" ").map(Number);
      const line = make("line", { class: "cursor", y1: top, y2: bottom });
      chart.append(line);
      const place = (at) => left + ((at - from) / (to - from)) * (right - left);
      cursors.push((share) => {
        const x = Math.min(Math.max(place(moment(share)), left), right);
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
      });
      drag(chart, (event) => {
        const box = chart.getBoundingClientRect();
        const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
        return (from + ((at - left) / (right - left)) * (to - from) - low) / (high - low);
      });
    }
    figure.addEventListener("frame", (event) => {
      const frame = first + event.detail, share = (frame - low) / Math.max(high - low, 1e-9);
      for (const move of cursors) move(share);
      let near = 0;
      times.forEach((time, number) => { if (Math.abs(time - frame) < Math.abs(times[near] - frame)) near = number; });
      const when = "seconds" in figure.dataset ? `${(frame / rate).toFixed(1)} s` : `frame ${Math.round(frame)}`;
      const shares = values.map((row, number) => [names[number], row[near]]).filter(([, value]) => value !== null);
      shares.sort((one, other) => other[1] - one[1]);
      said.textContent = [when, ...shares.slice(0, 3).map(([name, value]) => `${name} ${value} %`)].join(" · ");
    });
  }
})();
