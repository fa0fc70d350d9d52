"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const settings = { displayModeBar: false, responsive: true };
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#1d2733" };
  const body = document.getElementById("measures").tBodies[0];
  const draw = (row) => {
    const lines = page.methods.map(({ name, colour }, method) => ({
      type: "scatter", mode: "lines", name, x: page.dates, y: page.margins[row][method],
      line: { color: colour, width: method === 0 ? 2.5 : 1.6, dash: method === 0 ? "solid" : ["dash", "dot", "dashdot", "longdash"][method - 1] },
      hovertemplate: "%{y:,.6~g}",
    }));
    Plotly.react("path", lines, {
      font, paper_bgcolor: "#fff", plot_bgcolor: "#fff", height: 440, hovermode: "x unified", dragmode: false,
      margin: { l: 80, r: 20, t: 40, b: 40 },
      xaxis: { type: "date", gridcolor: "#e5e8ec" },
      yaxis: { title: { text: `margin, ${page.currency}` }, gridcolor: "#e5e8ec", rangemode: "tozero", zeroline: true, zerolinecolor: "#98a3b0" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    }, settings);
    page.measures[row].forEach((figures, method) => {
      figures.forEach((text, column) => { body.rows[method].cells[column + 1].textContent = text; });
    });
  };
  const choice = document.getElementById("account");
  choice.addEventListener("change", () => draw(choice.selectedIndex));
  draw(Math.max(0, choice.selectedIndex));
})();
