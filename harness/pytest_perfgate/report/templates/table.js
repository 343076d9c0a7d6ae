// Sorts tables by a click on a column's head, and shows only the rows and cards that hold a text.
// The page is whole without it: it adds buttons and a box to what is there.
(() => {
  const tables = [...document.querySelectorAll("table.sortable")];
  const value = (row, column, text) => {
    const cell = row.cells[column];
    if (!cell) return [2, 0, ""];
    const number = cell.dataset.number;
    if (number === undefined) return column && !text ? [2, 0, ""] : [1, 0, cell.textContent.trim()];
    return [0, Number(number), ""];
  };
  const compare = (a, b) => a[0] - b[0] || a[1] - b[1] || a[2].localeCompare(b[2]);
  for (const table of tables) {
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    heads.forEach((head, column) => {
      if (head.dataset.plain !== undefined) return; // nothing to sort by
      const text = head.dataset.text !== undefined;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const next = { ascending: "descending", descending: "" }[before] ?? "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const order = next
          ? [...rows].sort((a, b) => {
              const [x, y] = [value(a, column, text), value(b, column, text)];
              return x[0] - y[0] || sign * compare(x, y);
            })
          : rows;
        table.tBodies[0].append(...order);
      });
    });
  }
  const shown = document.querySelectorAll("table.sortable tbody tr, main .card:not(figure)");
  if (!tables.length || shown.length < 4) return;
  const label = document.createElement("label");
  label.className = "filter";
  label.append("Show what holds ");
  const box = document.createElement("input");
  box.type = "search";
  label.append(box);
  document.querySelector("main").prepend(label);
  box.addEventListener("input", () => {
    const text = box.value.trim().toLowerCase();
    for (const part of shown) part.hidden = !part.textContent.toLowerCase().includes(text);
  });
})();
