"use strict";
(() => {
  const root = document.documentElement;
  const all = (where, what) => [...where.querySelectorAll(what)];
  const made = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);
  let printing = false;

  // Light and dark: that of the system until the reader chooses; kept where the browser keeps anything for a file.
  const kept = { get() { try { return localStorage.getItem("fer-tune-theme"); } catch { return null; } },
                 set(name) { try { localStorage.setItem("fer-tune-theme", name); } catch { /* not kept */ } } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = kept.get();
  const dark = () => !printing && (chosen ? chosen === "dark" : system.matches);
  const button = document.getElementById("theme");
  function look() {
    root.dataset.theme = dark() ? "dark" : "light";
    button.textContent = dark() ? "light" : "dark";
    all(document, ".chart.drawn").forEach(place => Plotly.relayout(place, themed(place.layout)));
  }
  button.addEventListener("click", () => { chosen = dark() ? "light" : "dark"; kept.set(chosen); look(); });
  system.addEventListener("change", look);
  document.getElementById("print").addEventListener("click", () => print());

  // Charts: drawn when they come near, so that the page opens at once.
  function themed(layout) {
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    const found = { "font.color": ink, "hoverlabel.font.color": "#fff", "modebar.color": ink, "modebar.bgcolor": "rgba(0,0,0,0)" };
    for (const name of Object.keys(layout).filter(name => /^[xy]axis\d*$/.test(name))) {
      Object.assign(found, { [`${name}.gridcolor`]: line, [`${name}.zerolinecolor`]: line, [`${name}.linecolor`]: line });
    }
    return found;
  }
  function library() { // its megabytes are read with the first chart, after the page itself stands
    if (window.Plotly) return;
    document.head.append(made("script", document.getElementById("plotly").textContent));
  }
  function draw(place) {
    if (place.classList.contains("drawn")) return;
    library();
    place.classList.add("drawn");
    const { data, layout } = JSON.parse(place.querySelector("script").textContent);
    for (const [path, value] of Object.entries(themed(layout))) {
      const [name, last, deeper] = path.split(".");
      const part = layout[name] = { ...layout[name] };
      if (deeper) part[last] = { ...part[last], [deeper]: value }; else part[last] = value;
    }
    place.style.minWidth = `${place.dataset.least}px`;
    const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
    Plotly.newPlot(place, data, layout, options);
  }
  const charts = all(document, ".chart");
  const near = new IntersectionObserver(seen => seen.filter(one => one.isIntersecting).forEach(one => {
    near.unobserve(one.target);
    draw(one.target);
  }), { rootMargin: "600px" });

  // Tables: a click on a head sorts, numbers as numbers; those with a filter show their first rows until asked.
  const number = text => { const found = /[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(text); return found ? parseFloat(found[0].replace("−", "-").replaceAll(",", "")) : NaN; };
  function sort(table, column, down) {
    const body = table.tBodies[0], rows = [...body.rows];
    const texts = new Map(rows.map(row => [row, row.cells[column].textContent.trim()]));
    const filled = [...texts.values()].filter(text => text && text !== "–");
    const numeric = filled.length > 0 && filled.every(text => /^[-+−]?[\d.]/.test(text));
    const key = row => { const text = texts.get(row); return numeric ? number(text) : text.toLowerCase(); };
    const empty = row => numeric ? Number.isNaN(key(row)) : !texts.get(row);
    rows.sort((a, b) => empty(a) - empty(b) || (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (down ? -1 : 1));
    body.append(...rows);
    all(table, "th").forEach((head, place) => head.setAttribute("aria-sort", place === column ? (down ? "descending" : "ascending") : "none"));
  }
  for (const table of all(document, "table")) {
    const heads = all(table, "th");
    if (table.tBodies[0].rows.length > 2) heads.forEach((head, column) => {
      const inside = made("button", head.textContent, { type: "button", title: "sort" });
      inside.addEventListener("click", () => {
        const known = head.getAttribute("aria-sort");
        sort(table, column, known === "none" ? head.classList.contains("n") : known === "ascending");
        table.dispatchEvent(new Event("sorted"));
      });
      head.replaceChildren(inside);
      head.setAttribute("aria-sort", "none");
    });
    if (table.dataset.first) filtered(table, heads);
  }
  function filtered(table, heads) {
    const bar = made("div", "", { className: "bar" });
    const search = made("input", "", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
    const count = made("span", "", { className: "quiet count" });
    const more = made("button", "", { type: "button" });
    let whole = false;
    const choices = heads.flatMap((head, column) => {
      if (!head.dataset.choices) return [];
      const names = [...new Set([...table.tBodies[0].rows].map(row => row.cells[column].textContent.trim()))].sort();
      if (names.length < 2) return [];
      const select = made("select", "", { ariaLabel: head.textContent });
      select.append(made("option", `${head.textContent}: all`, { value: "" }), ...names.map(name => made("option", name, { value: name })));
      return [{ select, column }];
    });
    const order = made("select", "", { className: "sorting", ariaLabel: "sort by" });
    order.append(made("option", "sort by …", { value: "" }), ...heads.map((head, column) => made("option", head.textContent, { value: column })));
    order.addEventListener("change", () => { if (order.value) { sort(table, +order.value, heads[order.value].classList.contains("n")); show(); } });
    function show() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = row => words.every(word => row.textContent.toLowerCase().includes(word))
        && choices.every(({ select, column }) => !select.value || row.cells[column].textContent.trim() === select.value);
      let found = 0, shown = 0;
      for (const row of table.tBodies[0].rows) {
        const own = fits(row);
        found += own;
        row.hidden = !own || (!whole && found > +table.dataset.first);
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${found}` + (found < table.tBodies[0].rows.length ? " that fit" : "");
      more.textContent = whole ? "show fewer" : "show all";
      more.hidden = found <= +table.dataset.first;
    }
    search.addEventListener("input", show);
    choices.forEach(({ select }) => select.addEventListener("change", show));
    more.addEventListener("click", () => { whole = !whole; show(); });
    table.addEventListener("sorted", show);
    bar.append(search, ...choices.map(({ select }) => select), order, count, more);
    table.closest(".wide").before(bar);
    show();
  }

  // The gallery: a true and a predicted class.
  for (const gallery of all(document, ".gallery")) {
    const items = all(gallery, "figure");
    const count = made("span", "", { className: "quiet count" });
    const selects = ["true", "predicted"].map(kind => {
      const select = made("select", "", { ariaLabel: kind, name: kind });
      const names = [...new Set(items.map(item => item.dataset[kind]))].sort();
      select.append(made("option", `${kind}: all`, { value: "" }), ...names.map(name => made("option", `${kind}: ${name}`, { value: name })));
      select.addEventListener("change", show);
      return select;
    });
    function show() {
      items.forEach(item => { item.hidden = !selects.every(select => !select.value || item.dataset[select.name] === select.value); });
      count.textContent = `${items.filter(item => !item.hidden).length} of ${items.length} images`;
    }
    const bar = made("div", "", { className: "bar" });
    bar.append(...selects, count);
    gallery.before(bar);
    show();
  }

  // Contents: open where there is room beside the text, and marked where the reader is.
  const contents = document.querySelector("nav details"), roomy = matchMedia("(min-width: 78rem)");
  const open = () => { contents.open = roomy.matches; };
  roomy.addEventListener("change", open);
  open();
  const links = new Map(all(document, "nav a").map(link => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver(seen => seen.forEach(one => links.get(one.target.id)?.classList.toggle("here", one.isIntersecting)),
    { rootMargin: "-20% 0px -80% 0px" }); // a line across the window: one section is on it
  all(document, "section").forEach(section => reading.observe(section));

  addEventListener("beforeprint", () => { printing = true; look(); charts.forEach(draw); });
  addEventListener("afterprint", () => { printing = false; look(); });
  look();
  setTimeout(() => charts.forEach(place => near.observe(place)), 50); // the page is painted first
})();
