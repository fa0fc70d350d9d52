"use strict";
// What the scripts of the page share.
const page = JSON.parse(document.getElementById("data").textContent);
document.documentElement.classList.add("js");
const NUMERIC = new Set(["money", "change", "percent", "share", "count", "number"]);
const words = new Intl.Collator("en", { numeric: true });
const formats = new Map();
const amount = (value, places) => {
  if (!formats.has(places)) {
    formats.set(places, new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }));
  }
  const text = formats.get(places).format(value);
  return /[1-9]/.test(text) ? text : text.replace("-", "");
};
const element = (name, look, text) => {
  const made = document.createElement(name);
  if (look) made.className = look;
  if (text !== undefined) made.textContent = text;
  return made;
};

// A value as it is shown: what `grid.shown` of the page's maker does.
const shown = (column, value) => {
  if (value === null || value === "") return "–";
  if (!column.numeric) return value;
  const ratio = column.kind === "percent" || column.kind === "share";
  const text = amount(ratio ? 100 * value : value, column.places);
  const sign = (column.kind === "change" || column.kind === "percent") && /^[^-]*[1-9]/.test(text) ? "+" : "";
  return sign + text + (ratio ? " %" : "");
};
const look = (column, text) => {
  if (column.numeric) return column.aside ? "n aside" : "n";
  if (column.kind === "name") return "name";
  if (column.kind === "status" && text !== "ok") return "bad";
  if (column.kind === "standing") return { safe: "", "–": "", liquidation: "bad" }[text] ?? "watch";
  if (column.kind === "holds") return { yes: "", "–": "", no: "bad" }[text] ?? "watch";
  return "";
};
