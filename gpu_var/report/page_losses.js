// The losses of one account as a histogram.
const losses = page.losses;
const choice = document.getElementById("account");
const drawn = (name, attributes, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  if (text !== undefined) made.textContent = text;
  return made;
};
const ticks = (low, high, wanted) => {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const from = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - from + 1) }, (_, at) => (from + at) * step);
};
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const show = (value) => (value === null ? "–" : amount(value, losses.places));
const histogram = (model, number) => {
  const row = Math.max(0, choice.selectedIndex);
  const target = document.getElementById(`losses-${number}`);
  const bins = document.querySelector(`#losses-bins-${number} tbody`);
  const told = document.getElementById(`losses-text-${number}`);
  const counts = model.counts[row];
  const name = `\u2068${losses.accounts[row]}\u2069`; // isolated: no mark in it turns the sentence round
  const [start, step] = [model.first[row], model.width[row]];
  if (!counts.length) {
    target.replaceChildren();
    bins.replaceChildren();
    told.textContent = `${name} failed: it has no losses to show.`;
    return;
  }
  const marks = [[model.var[row], "VaR", "end", "5 4"], [model.es[row], "ES", "start", ""]].filter(([x]) => x !== null);
  const ends = [start, start + counts.length * step, ...marks.map(([x]) => x)];
  const low = Math.min(...ends);
  const high = low + 1.04 * (Math.max(...ends) - low); // room for the last label
  const width = Math.max(320, target.clientWidth || 900);
  const [height, left, right, top, bottom] = [270, 56, 14, 22, 44];
  const most = Math.max(...counts, 1);
  const x = (loss) => left + ((loss - low) / (high - low)) * (width - left - right);
  const y = (scenarios) => height - bottom - (scenarios / most) * (height - top - bottom);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  ticks(0, most, 4).filter(Number.isInteger).forEach((value) => {
    svg.append(drawn("line", { class: "line", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString("en-US")));
  });
  ticks(low, high, width / 110).forEach((value) => {
    svg.append(drawn("text", { x: x(value), y: height - bottom + 18, "text-anchor": "middle" }, short.format(value + 0)));
  });
  const limit = model.var[row];
  counts.forEach((scenarios, bin) => {
    const edge = start + bin * step;
    const tail = limit !== null && edge + step / 2 >= limit;
    const [from, to] = [x(edge), x(edge + step)];
    const bar = drawn("rect", {
      class: tail ? "of-tail" : "of-bar", x: from, width: Math.max(0.5, to - from - 0.5), y: y(scenarios), height: y(0) - y(scenarios),
    });
    bar.append(drawn("title", {}, `loss ${show(edge)} to ${show(edge + step)}: ${scenarios.toLocaleString("en-US")} scenarios`));
    svg.append(bar);
  });
  svg.append(drawn("line", { class: "axis", x1: left, x2: width - right, y1: y(0), y2: y(0) }));
  marks.forEach(([value, text, anchor, dash]) => {
    svg.append(drawn("line", { class: "mark", x1: x(value), x2: x(value), y1: top - 4, y2: y(0), "stroke-dasharray": dash }));
    svg.append(drawn("text", { class: "mark-text", x: x(value) + (anchor === "end" ? -4 : 4), y: top - 8, "text-anchor": anchor }, text));
  });
  svg.append(drawn("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, `loss, ${losses.currency} (a gain is negative)`));
  svg.append(drawn("text", { x: 14, y: (top + y(0)) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + y(0)) / 2})` }, "scenarios"));
  target.replaceChildren(svg);
  bins.replaceChildren(...counts.map((scenarios, bin) => {
    const line = element("tr");
    line.append(
      element("td", "n", show(start + bin * step)),
      element("td", "n", show(start + (bin + 1) * step)),
      element("td", "n", scenarios.toLocaleString("en-US")),
    );
    return line;
  }));
  const text = `${name}, ${model.scenarios.toLocaleString("en-US")} scenarios: value at risk ${show(model.var[row])}, ` +
    `expected shortfall ${show(model.es[row])}, worst loss ${show(model.worst[row])} ${losses.currency}.`;
  if (told.textContent !== text) told.textContent = text;
};
const drawLosses = () => losses.models.forEach(histogram);
if (choice) {
  choice.addEventListener("change", drawLosses);
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth !== width) {
      width = document.body.clientWidth;
      drawLosses();
    }
  }).observe(document.body);
  drawLosses();
}
