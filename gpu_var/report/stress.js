// The map, and the scenario that is chosen.
const find = (id) => document.getElementById(id);
const { names, places, currency } = page;
const money = (value) => (value === null || value === undefined ? "–" : amount(value, places));
const isolated = (name) => `\u2068${name}\u2069`; // no mark in a name turns a sentence round
const SIZES = [[1e12, "tn"], [1e9, "bn"], [1e6, "m"], [1e3, "k"]];
const compact = (value) => {
  const size = Math.abs(value);
  const found = SIZES.find(([unit]) => size >= 0.9995 * unit);
  if (found) return `${(value / found[0]).toPrecision(3)}${found[1]}`;
  return size >= 99.5 || value === 0 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
};
const cells = (line, look, texts) => texts.forEach((text) => line.append(element("td", look, text)));
const heading = (text) => {
  const made = element("th", "name");
  made.scope = "row";
  made.append(element("bdi", "", text));
  return made;
};
const say = (target, text) => { if (target && target.textContent !== text) target.textContent = text; };

const count = (shown, of) => say(find("heat-found"), `${shown.toLocaleString("en-US")} of ${of.toLocaleString("en-US")} scenarios`);
const drawHeat = (heat) => {
  const what = find("heat-what").value;
  const family = find("heat-family")?.value ?? "";
  const most = Number(find("heat-columns").value) || heat.members.length;
  const columns = heat.members.slice(0, most).map((_, at) => at);
  const summed = heat.members.slice(most).map((_, at) => most + at);
  const others = summed.length + heat.more;
  const matching = heat.order.filter((at) => family === "" || page.family[at] === family);
  const rows = matching.slice(0, Number(find("heat-rows").value));
  const beyond = (at, member) => heat.shortfall[at][member];
  const margin = (at, member) => heat.margin[at][member];
  const loss = (at, member) => Math.max(0, heat.house[at][member]) + heat.client[at][member];
  const sum = (of, rest, at) => summed.reduce((all, member) => all + of(at, member), rest[at]);
  const ratio = (lost, margin) => {
    if (!(lost > 0)) return ["h0", "0"];
    if (!(margin > 0)) return ["h6", "no margin"];
    const share = lost / margin;
    const step = heat.ratios.filter((bound) => share > bound).length;
    return [["g1", "g2", "g3", "g4", "h3", "h5", "h6"][step], `${amount(100 * share, 0)} %`];
  };
  const shortfall = (value) => {
    const step = value > 0 ? 6 - heat.bounds.length + heat.bounds.filter((bound) => value >= bound).length : 0;
    return [`h${step}`, compact(value)];
  };
  const texts = (at) => {
    const made = columns.map((member) => (what === "ratio" ? ratio(loss(at, member), margin(at, member)) : shortfall(beyond(at, member))));
    if (others) made.push(what === "ratio" ? ratio(sum(loss, heat.rest.loss, at), sum(margin, heat.rest.margin, at)) : shortfall(sum(beyond, heat.rest.shortfall, at)));
    return made;
  };
  const head = element("tr");
  const column = (name, look) => {
    const made = element("th", look);
    made.scope = "col";
    made.append(name);
    head.append(made);
  };
  column("scenario", "plain");
  columns.forEach((member) => column(element("bdi", "", heat.members[member]), "plain"));
  if (others) column(`${others.toLocaleString("en-US")} other${others === 1 ? "" : "s"}`, "plain sum");
  find("heat").tHead.replaceChildren(head);
  find("heat").tBodies[0].replaceChildren(...rows.map((at) => {
    const line = element("tr");
    const name = element("th");
    name.scope = "row";
    const button = element("button", "pick");
    button.type = "button";
    button.dataset.scenario = at;
    button.append(element("bdi", "", names[at]));
    name.append(button);
    line.append(name);
    texts(at).forEach(([look, text], place) => line.append(element("td", others && place === columns.length ? `${look} sum` : look, text)));
    return line;
  }));
  find("shades").replaceChildren(...page.shades[what].map(([look, text]) => element("li", look, text)));
  count(rows.length, matching.length);
  marked();
};

// What one layer of the waterfall looks like: as `stress_one.bars`.
const bars = (look, before, used, available, scale) => {
  const share = (value) => `${Math.min(100, (100 * value) / scale).toFixed(2)}%`;
  const made = [];
  const span = (kind, from, size) => {
    const bar = element("span", kind);
    bar.style.cssText = `left:${share(from)};width:${share(size)}`;
    made.push(bar);
  };
  if (available !== null && available > used) span("spare", before + used, Math.max(0, Math.min(available - used, scale - before - used)));
  if (used > 0) span(look, before, used);
  return made;
};
const drawFall = (at) => {
  const { layers, looks, available, used } = page.fall;
  const total = used[at].reduce((all, value) => all + value, 0);
  const scale = Math.max(total / 0.8, 1e-9);
  let before = 0;
  find("fall").tBodies[0].replaceChildren(...layers.map((name, layer) => {
    const [has, pays] = [available[at][layer], used[at][layer]];
    const line = element("tr");
    const first = element("th");
    first.scope = "row";
    const swatch = element("span", `swatch ${looks[layer]}`);
    swatch.ariaHidden = "true";
    first.append(swatch, name);
    const flow = element("td", "flow");
    flow.ariaHidden = "true";
    const track = element("span", "track");
    track.append(...bars(looks[layer], before, pays, has, scale));
    flow.append(track);
    line.append(first, flow);
    cells(line, "n", [money(pays), money(has), has === null ? "–" : money(has - pays)]);
    before += pays;
    return line;
  }));
};
const drawLosers = (at) => {
  const { members, house, client, margin, shortfall } = page.heat;
  const rows = page.losers[at];
  find("losers").tBodies[0].replaceChildren(...rows.map((member) => {
    const line = element("tr");
    line.append(heading(members[member]));
    cells(line, "n", [house, client, margin, shortfall].map((of) => money(of[at][member])));
    return line;
  }));
};
const drawShocks = (at) => {
  const { factors, origins, rows, left } = page.shocks;
  const row = rows[at] ?? [];
  const lines = [];
  for (let entry = 0; entry < row.length; entry += 3) {
    const line = element("tr");
    line.append(heading(factors[row[entry]]), element("td", "n", row[entry + 1]), element("td", "", origins[row[entry + 2]]));
    lines.push(line);
  }
  find("shocks").tBodies[0].replaceChildren(...lines);
  say(find("shocks-more"), left[at]);
};
const marked = () => {
  document.querySelectorAll(".pick").forEach((button) => {
    if (button.dataset.scenario === find("scenario").value) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
};
const drawOne = () => {
  const at = Number(find("scenario").value);
  if (page.fall) drawFall(at);
  drawLosers(at);
  drawShocks(at);
  say(find("one-text"), page.told[at]);
  say(find("one-source").firstElementChild, page.source[at]);
  marked();
};
if (page.heat) {
  const choice = find("scenario");
  const first = Number(choice.value);
  choice.replaceChildren(...page.heat.order.map((at) => new Option(names[at], at, at === first, at === first)));
  choice.addEventListener("change", drawOne);
  const place = new Map(names.map((name, at) => [name, at]));
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".pick");
    if (!button) return;
    choice.value = button.dataset.scenario ?? place.get(button.textContent);
    drawOne();
    find("scenario-chosen").scrollIntoView();
    choice.focus({ preventScroll: true });
  });
  ["heat-what", "heat-family", "heat-rows", "heat-columns"].forEach((id) => find(id)?.addEventListener("change", () => drawHeat(page.heat)));
  count(find("heat").tBodies[0].rows.length, names.length); // map and scenario stand there already
  marked();
}
