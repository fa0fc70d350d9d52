"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const settings = { displayModeBar: false, responsive: true };
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#1d2733" };
  const paper = { font, paper_bgcolor: "#fff", plot_bgcolor: "#fff", dragmode: false };
  const amount = `,.${page.places}f`;

  Plotly.newPlot("totals", [{
    type: "bar", orientation: "h", y: page.methods.map(({ name }) => name), x: page.totals,
    marker: { color: page.methods.map(({ colour }) => colour) }, text: page.totals_text,
    textposition: "outside", cliponaxis: false, hovertemplate: `%{y}<br>%{x:${amount}}<extra></extra>`,
  }], {
    ...paper, height: 260, margin: { l: 10, r: 60, t: 10, b: 50 },
    xaxis: { exponentformat: "B", title: { text: `total margin, ${page.currency}`, standoff: 8 }, gridcolor: "#e5e8ec", rangemode: "tozero" },
    yaxis: { autorange: "reversed", automargin: true },
  }, settings);

  const accounts = document.getElementById("accounts-plot");
  if (accounts) {
    const rows = page.accounts.map((_, row) => row);
    const spans = rows.map((row) => page.margins.map((margins) => margins[row]).filter((value) => value !== null));
    const line = { x: [], y: [] };
    spans.forEach((values, row) => {
      if (values.length) {
        line.x.push(Math.min(...values), Math.max(...values), null);
        line.y.push(row, row, null);
      }
    });
    const dots = page.methods.map(({ name, colour }, method) => ({
      type: "scatter", mode: "markers", name, x: page.margins[method], y: rows, text: page.accounts,
      marker: { color: colour, size: 10, symbol: ["circle", "square", "triangle-up", "x", "diamond"][method] },
      hovertemplate: `%{text}<br>${name} %{x:${amount}}<extra></extra>`,
    }));
    Plotly.newPlot(accounts, [{
      type: "scatter", mode: "lines", ...line, line: { color: "#d9dee5", width: 2 }, hoverinfo: "skip", showlegend: false,
    }, ...dots], {
      ...paper, height: 130 + 24 * Math.max(rows.length, 4), margin: { l: 10, r: 20, t: 40, b: 50 },
      xaxis: { type: "log", title: { text: `margin, ${page.currency}, logarithmic`, standoff: 8 }, gridcolor: "#e5e8ec", dtick: 1, exponentformat: "B" },
      yaxis: { range: [rows.length - 0.5, -0.5], tickvals: rows, ticktext: page.accounts, automargin: true, gridcolor: "#f5f7fa", zeroline: false },
      legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom" },
    }, settings);
  }

  // The table: sorted by a click on a heading, narrowed by the filter.
  const table = document.getElementById("accounts");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headings = Array.from(table.tHead.rows[0].cells);
  const key = (row, column, numeric) => {
    const value = row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
    return numeric ? (value === "" ? null : Number(value)) : value;
  };
  headings.forEach((heading, column) => {
    const numeric = heading.classList.contains("n");
    heading.querySelector("button").addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const down = before === null ? numeric : before === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = rows.map((row) => [key(row, column, numeric), row]);
      sorted.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is missing stands last
        return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
      });
      body.append(...sorted.map(([, row]) => row));
    });
  });
  const filter = document.getElementById("filter");
  const found = document.getElementById("found");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    let shown = 0;
    rows.forEach((row) => {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    });
    found.textContent = `${shown} of ${rows.length} shown`;
  });
})();
