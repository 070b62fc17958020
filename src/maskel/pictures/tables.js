// Tables of several rows are sorted by a click on the heading of a column: numbers by size, text by the alphabet.
"use strict";
(() => {
  const value = (row, column) => (row.children[column] ? row.children[column].textContent.trim() : "");
  const number = (text) => {
    const found = /^[^\d]{0,12}?([-−+]?[\d,]*\.?\d+(?:e[-+]?\d+)?)/.exec(text);
    const share = /=\s*([\d.]+)\s*%/.exec(text);
    return share ? Number(share[1]) : found ? Number(found[1].replace(/,/g, "").replace("−", "-")) : null;
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0], headings = [...(table.tHead?.rows[0]?.children || [])];
    if (!body || body.rows.length < 3 || !headings[0]?.textContent.trim()) continue; // a list of facts
    const rows = [...body.rows];
    headings.forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const texts = rows.map((row) => value(row, column)).filter((text) => text && text !== "–");
        const counts = texts.length > 0 && texts.every((text) => number(text) !== null && /^\W{0,3}\d/.test(text));
        const sign = down ? -1 : 1;
        const compare = (one, other) => {
          const [a, b] = [value(one, column), value(other, column)];
          if (!counts) return sign * a.localeCompare(b, "en", { numeric: true });
          return sign * ((number(a) ?? -Infinity) - (number(b) ?? -Infinity));
        };
        body.append(...[...rows].sort(compare));
      });
    });
  }
})();
