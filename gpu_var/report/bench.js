"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const settings = { displayModeBar: false, responsive: true };
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#1d2733" };
  const paper = { font, paper_bgcolor: "#fff", plot_bgcolor: "#fff", dragmode: false };
  const legend = { orientation: "h", x: 0, y: 1.01, yanchor: "bottom" };

  Plotly.newPlot("books", page.books.filter(({ x }) => x.length).map((side) => ({
    type: "scatter", mode: "lines+markers", name: side.name, x: side.x, y: side.y, line: { color: side.colour },
    error_y: { type: "data", array: side.above, arrayminus: side.below, color: side.colour },
    hovertemplate: `${side.name}<br>%{x:,} revaluations<br>%{y:.3g} s<extra></extra>`,
  })), {
    ...paper, height: 360, margin: { l: 70, r: 20, t: 40, b: 60 }, legend, showlegend: true,
    xaxis: { type: "log", title: { text: "revaluations", standoff: 8 }, gridcolor: "#e5e8ec", exponentformat: "B", dtick: 1 },
    yaxis: { type: "log", title: { text: "seconds" }, gridcolor: "#e5e8ec", dtick: 1 },
  }, settings);

  Plotly.newPlot("functions", page.functions.map((side) => ({
    type: "bar", orientation: "h", name: side.name, y: side.y, x: side.share, marker: { color: side.colour },
    customdata: side.rate, hovertemplate: `%{y}, ${side.name}<br>%{x:.3g} % of the ceiling<br>%{customdata:.3s} a second<extra></extra>`,
  })), {
    ...paper, height: 120 + 34 * page.functions[0].y.length, margin: { l: 10, r: 20, t: 40, b: 50 }, legend, showlegend: true, barmode: "group",
    xaxis: { type: "log", range: [-1, 2], ticksuffix: " %", gridcolor: "#e5e8ec", dtick: 1 },
    yaxis: { autorange: "reversed", automargin: true },
  }, settings);
})();
