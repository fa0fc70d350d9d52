"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 13, color: "#1d2733" };
  const paper = { font, paper_bgcolor: "#fff", plot_bgcolor: "#fff" };
  for (const [id, figure] of Object.entries(figures)) {
    Plotly.newPlot(id, figure.data, { ...figure.layout, ...paper }, { displayModeBar: false, responsive: true });
  }
})();
