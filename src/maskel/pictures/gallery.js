// Filters and sorts the clips of a gallery by what their attributes say.
"use strict";
(() => {
  const { make } = window.maskel;
  for (const stage of document.querySelectorAll("[data-gallery]")) {
    const place = stage.querySelector(".clips"), figures = [...place.querySelectorAll("figure.moving")];
    const order = new Map(figures.map((figure, number) => [figure, number]));
    const choose = (key, all) => {
      const values = [...new Set(figures.map((figure) => figure.dataset[key] || ""))].filter(Boolean);
      values.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      return make("select", {}, new Option(all, ""), ...values.map((value) => new Option(value, value)));
    };
    const name = make("input", { type: "search", placeholder: "name of a clip", "aria-label": "name of a clip" });
    const filters = { class: choose("class", "all classes"), subject: choose("subject", "all subjects") };
    const sort = make("select", {},
      new Option("order of the set", ""), new Option("name", "name"), new Option("class", "class"),
      new Option("subject", "subject"), new Option("shortest first", "frames"), new Option("longest first", "-frames"));
    const said = make("output", { class: "found" });
    const apply = () => {
      let shown = 0;
      for (const figure of figures) {
        const about = figure.dataset;
        const fits = about.name.toLowerCase().includes(name.value.toLowerCase()) &&
          Object.entries(filters).every(([key, chosen]) => !chosen.value || about[key] === chosen.value);
        figure.hidden = !fits;
        shown += fits;
      }
      said.textContent = `${shown} of ${figures.length} clips`;
    };
    const arrange = () => {
      const key = sort.value.replace("-", ""), sign = sort.value.startsWith("-") ? -1 : 1;
      const compare = (one, other) =>
        key ? sign * one.dataset[key].localeCompare(other.dataset[key], "en", { numeric: true }) : 0;
      place.append(...figures.sort((one, other) => compare(one, other) || order.get(one) - order.get(other)));
    };
    for (const control of [name, ...Object.values(filters)]) control.addEventListener("input", apply);
    sort.addEventListener("input", arrange);
    const parts = [name, ...Object.values(filters).filter((chosen) => chosen.length > 2)];
    stage.querySelector(".toolbar").append(...parts, make("label", {}, "Sort ", sort), said);
    apply();
  }
})();
