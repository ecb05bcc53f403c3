
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  for (const element of all("[data-theme-toggle], [data-copy], [data-filters]")) element.hidden = false;

  // Theme: as the system says, or as chosen here.
  const toggle = one("[data-theme-toggle]");
  const themes = ["auto", "light", "dark"];
  const stored = (value) => {
    try {
      if (value !== undefined) localStorage.setItem("image-spans-theme", value);
      return localStorage.getItem("image-spans-theme");
    } catch {
      return value ?? null; // some browsers keep nothing for files
    }
  };
  let theme = themes.includes(stored()) ? stored() : "auto";
  const paint = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    toggle.textContent = `Theme: ${theme}`;
  };
  toggle.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    stored(theme);
    paint();
  });
  paint();

  // Pages: the address names one; its heading is where a screen reader goes on.
  one("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault();
    (one(".page:target") ?? one("main")).focus();
  });
  const title = document.title;
  const turned = () => {
    const page = one(".page:target");
    document.title = page ? `${one("h2", page).textContent} - ${title}` : title;
    if (!page) return;
    window.scrollTo(0, 0);
    page.focus({ preventScroll: true });
  };
  addEventListener("hashchange", turned);
  turned();

  // Copy buttons.
  const copied = async (code) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return document.execCommand("copy");
    }
  };
  for (const button of all("[data-copy]")) {
    const label = button.firstChild;
    button.addEventListener("click", async () => {
      label.data = (await copied(one("code", button.closest(".code")))) ? "Copied" : "Select and copy";
      setTimeout(() => (label.data = "Copy"), 1500);
    });
  }

  // Token strips: one stop for Tab, then arrow keys; what a token is stands in the line below.
  for (const strip of all("[data-strip]")) {
    const tokens = all(".t", strip);
    const line = one("[data-detail]", strip.parentElement);
    if (tokens.length) (one(".t.fault", strip) ?? tokens[0]).tabIndex = 0;
    const tell = (token) => {
      const at = Number(token.dataset.at);
      const count = Number(token.dataset.count);
      const place = count > 1 ? `positions ${at} to ${at + count - 1}` : `position ${at}`;
      const kind = token.classList[1];
      const text = token.dataset.text === undefined ? "" : `, text "${token.dataset.text}"`;
      line.textContent = `${place}: id ${one(".i", token).textContent}, ${one(".n", token).textContent}, ${kind}${text}`;
    };
    strip.addEventListener("mouseover", (event) => event.target.closest(".t") && tell(event.target.closest(".t")));
    strip.addEventListener("focusin", (event) => {
      const token = event.target.closest(".t");
      if (!token) return;
      for (const other of tokens) other.tabIndex = other === token ? 0 : -1;
      tell(token);
    });
    strip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const here = tokens.indexOf(event.target.closest(".t"));
      const to = event.key === "Home" ? 0 : event.key === "End" ? tokens.length - 1 : step ? here + step : -1;
      if (here < 0 || !tokens[to]) return;
      event.preventDefault();
      tokens[to].focus();
    });
  }

  const matrix = one("[data-matrix]");
  if (!matrix) return;

  // Filters.
  const form = one("[data-filters]");
  const rules = all("[data-rule]", matrix);
  const names = all("option", form.elements.check).slice(1).map((option) => option.value);
  const groups = all("[data-group]", matrix).map((head) => ({ head, size: head.colSpan }));
  const rows = [...matrix.tBodies[0].rows].map((row) => ({
    row, name: row.cells[0].textContent.toLowerCase(), cells: [...row.cells].slice(1),
    causes: new Map(),
  }));
  const byName = new Map(rows.map((entry) => [entry.name, entry]));
  const findings = all("[data-findings] tbody tr").map((row) => {
    const found = { row, name: row.cells[1].textContent.toLowerCase(), ...row.dataset };
    byName.get(found.name)?.causes.set(`${found.check}\n${found.cause}`, found);
    return found;
  });
  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const text = wanted.text.trim().toLowerCase();
    const column = names.indexOf(wanted.check);
    for (const head of rules) head.hidden = column >= 0 && head.dataset.rule !== wanted.check;
    let from = 0;
    for (const { head, size } of groups) {
      const inside = column >= from && column < from + size;
      head.hidden = column >= 0 && !inside;
      head.colSpan = column >= 0 ? 1 : size;
      from += size;
    }
    let shown = 0;
    for (const { row, name, cells, causes } of rows) {
      const looked = column < 0 ? cells : [cells[column]];
      const fits =
        name.includes(text) &&
        (!wanted.status || looked.some((cell) => cell.className === wanted.status)) &&
        (!wanted.cause || [...causes.values()].some((found) => found.cause === wanted.cause && (column < 0 || found.check === wanted.check)));
      row.hidden = !fits;
      shown += fits;
      cells.forEach((cell, index) => (cell.hidden = column >= 0 && index !== column));
    }
    let told = 0;
    for (const found of findings) {
      const fits =
        found.name.includes(text) &&
        ["check", "cause", "status"].every((key) => !wanted[key] || found[key] === wanted[key]);
      found.row.hidden = !fits;
      told += fits;
    }
    one("[data-told]").textContent = `${shown} of ${rows.length} subjects, ${told} of ${findings.length} findings`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea") || one(".page:target")) return;
    event.preventDefault();
    form.elements.text.focus();
  });

  // Arrow keys in the matrix: to the next cell in that direction that has a link.
  matrix.addEventListener("keydown", (event) => {
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
    const cell = event.target.closest("td, tbody th");
    if (down === undefined || !cell) return;
    event.preventDefault();
    let row = cell.parentElement;
    let column = cell.cellIndex;
    for (;;) {
      if (right) column += right;
      else do row = down > 0 ? row.nextElementSibling : row.previousElementSibling; while (row?.hidden);
      const next = row?.cells[column];
      if (!next) return;
      const link = next.hidden ? null : one("a", next);
      if (!link) continue;
      link.focus();
      return;
    }
  });
})();
