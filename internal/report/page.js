"use strict";
(() => {
  const table = document.getElementById("tensors"), body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true });
  heads.forEach((th, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    th.replaceChildren(button);
    const numbers = th.classList.contains("n");
    button.addEventListener("click", () => {
      // Numbers start with the greatest, names with the first.
      const was = th.getAttribute("aria-sort");
      const up = was ? was === "descending" : !numbers;
      const keys = new Map(rows.map(r => [r, numbers ? parseFloat(r.cells[i].textContent) : r.cells[i].textContent]));
      rows.sort((r, s) => {
        const x = keys.get(r), y = keys.get(s);
        if (numbers && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y); // what has none comes last
        const d = numbers ? x - y : words.compare(x, y);
        return up ? d : -d;
      });
      heads.forEach(h => h.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  filter.addEventListener("input", () => {
    const want = filter.value.trim().toLowerCase();
    let n = 0;
    for (const r of rows) {
      r.hidden = !r.cells[0].textContent.toLowerCase().includes(want);
      if (!r.hidden) n++;
    }
    shown.textContent = want ? n + " of " + rows.length : "";
  });
  document.querySelectorAll(".script").forEach(e => { e.hidden = false; });
})();
