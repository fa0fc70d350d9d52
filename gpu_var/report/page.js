"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const settings = { displayModeBar: false, responsive: true };
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#1d2733" };
  const paper = { font, paper_bgcolor: "#fff", plot_bgcolor: "#fff" };

  const composition = document.getElementById("composition");
  if (composition) Plotly.newPlot(composition, page.composition.data, { ...page.composition.layout, ...paper }, settings);

  // The losses of one account.
  const losses = page.losses;
  const amount = new Intl.NumberFormat("en-US", { minimumFractionDigits: losses.places, maximumFractionDigits: losses.places });
  const show = (value) => (value === null ? "–" : amount.format(value));
  const line = (x, dash) => ({
    type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: "#a32020", width: 2, dash },
  });
  const tag = (x, text, xanchor) => ({
    x, y: 1, yref: "paper", yanchor: "bottom", xanchor, text, showarrow: false, font: { color: "#a32020", size: 13 },
  });
  const drawLosses = (row) => {
    losses.models.forEach((model, number) => {
      const first = model.first[row];
      const width = model.width[row];
      const counts = model.counts[row];
      const centre = counts.map((_, bin) => first + (bin + 0.5) * width);
      const hover = counts.map((_, bin) => `${show(first + bin * width)} to ${show(first + (bin + 1) * width)}`);
      const marks = [[model.var[row], "VaR ", "dash", "right"], [model.es[row], " ES", "solid", "left"]].filter(([x]) => x !== null);
      const ends = [first, first + counts.length * width, ...marks.map(([x]) => x)];
      const low = Math.min(...ends);
      const high = Math.max(...ends);
      const edge = 0.04 * (high - low);
      const colour = centre.map((x) => (model.var[row] !== null && x >= model.var[row] ? "#c46a5a" : "#6f93b5"));
      Plotly.react(`losses-${number}`, [{
        type: "bar", x: centre, y: counts, width, marker: { color: colour }, text: hover, textposition: "none",
        hovertemplate: "loss %{text}<br>%{y} scenarios<extra></extra>",
      }], {
        ...paper, height: 300, bargap: 0, showlegend: false, dragmode: false, margin: { l: 60, r: 20, t: 30, b: 50 },
        xaxis: { title: { text: "loss, " + page.composition.layout.xaxis.title.text + " (a gain is negative)", standoff: 8 },
          range: [low - edge, high + edge], gridcolor: "#e5e8ec", zeroline: true, zerolinecolor: "#98a3b0" },
        yaxis: { title: { text: "scenarios" }, gridcolor: "#e5e8ec", rangemode: "tozero" },
        shapes: marks.map(([x, , dash]) => line(x, dash)),
        annotations: marks.map(([x, text, , xanchor]) => tag(x, text, xanchor)),
      }, settings);
      document.getElementById(`losses-text-${number}`).textContent =
        `${losses.accounts[row]}, ${model.scenarios.toLocaleString("en-US")} scenarios: value at risk ${show(model.var[row])}, ` +
        `expected shortfall ${show(model.es[row])}, worst loss ${show(model.worst[row])} ${losses.currency}.`;
    });
  };
  const choice = document.getElementById("account");
  if (choice) {
    choice.addEventListener("change", () => drawLosses(choice.selectedIndex));
    drawLosses(Math.max(0, choice.selectedIndex));
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
