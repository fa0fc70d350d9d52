// A table: sorted by its headings, narrowed by its controls, a page of its rows at a time.
const grid = (root) => {
  const told = page.grids[root.dataset.grid];
  const columns = told.columns.map((column) => {
    const numeric = NUMERIC.has(column.kind);
    const at = column.words ? (row) => column.words[column.values[row]] : (row) => column.values[row];
    return { ...column, numeric, at };
  });
  const count = columns[0].values.length;
  const table = root.querySelector("table");
  const body = table.tBodies[0];
  const headings = Array.from(table.tHead.rows[0].cells);
  const find = (selector) => root.querySelector(selector);
  const search = find(".find");
  const least = Array.from(root.querySelectorAll("[data-least]"));
  const choices = Array.from(root.querySelectorAll("[data-choose]"));
  const by = (key) => columns.find((column) => column.key === key);
  let order = Array.from({ length: count }, (_, row) => row);
  let left = order;
  let first = 0;
  let lower = null;

  const size = () => (find(".size") ? Number(find(".size").value) : count);
  const draw = () => {
    const rows = left.slice(first, first + size());
    body.replaceChildren(...rows.map((row) => {
      const line = element("tr");
      columns.forEach((column, at) => {
        const text = shown(column, column.at(row));
        const cell = element(at === 0 ? "th" : "td");
        if (at === 0) cell.scope = "row";
        cell.className = at === 0 ? "name" : look(column, text);
        if (column.numeric) cell.textContent = text;
        else if (column.kind === "pick") {
          const button = element("button", "pick");
          button.type = "button";
          button.append(element("bdi", "", text));
          cell.append(button);
        } else cell.append(element("bdi", "", text));
        line.append(cell);
      });
      return line;
    }));
    find(".scroll").classList.toggle("tall", rows.length > 25);
    const found = find(".found");
    if (!found) return;
    let text = `${left.length.toLocaleString("en-US")} of ${count.toLocaleString("en-US")} shown`;
    const summed = told.sum && by(told.sum);
    if (summed) {
      // The rows are rounded to what is shown, the total of all is not.
      const sum = left.length === count ? told.total : left.reduce((all, row) => all + (summed.at(row) ?? 0), 0);
      text += `, ${summed.title} ${amount(sum, summed.places)} in all`;
    }
    if (found.textContent !== text) found.textContent = text;
    const pages = Math.max(1, Math.ceil(left.length / size()));
    find(".where").textContent = `page ${(Math.floor(first / size()) + 1).toLocaleString("en-US")} of ${pages.toLocaleString("en-US")}`;
    find(".before").disabled = first === 0;
    find(".after").disabled = first + size() >= left.length;
  };

  const narrow = () => {
    const wanted = search ? search.value.trim().toLowerCase() : "";
    if (wanted && !lower) {
      const texts = columns.filter((column) => !column.numeric);
      lower = order.reduce((all, row) => {
        all[row] = texts.map((column) => column.at(row)).join("\n").toLowerCase();
        return all;
      }, new Array(count));
    }
    const tests = [];
    if (wanted) tests.push((row) => lower[row].includes(wanted));
    least.filter(({ value }) => value !== "").forEach((input) => {
      const column = by(input.dataset.least);
      const bound = Number(input.value);
      tests.push((row) => column.at(row) !== null && column.at(row) >= bound);
    });
    choices.filter(({ value }) => value !== "").forEach((choice) => {
      const column = by(choice.dataset.choose);
      const kind = (text) => (column.kind === "status" ? text.split(":")[0] : text);
      tests.push((row) => kind(column.at(row)) === choice.value);
    });
    left = order.filter((row) => tests.every((test) => test(row)));
    first = 0;
    draw();
  };

  headings.forEach((heading, at) => {
    const column = columns[at];
    heading.querySelector("button").addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const down = before === null ? column.numeric : before === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = column.numeric ? (a, b) => a - b : (a, b) => words.compare(a, b);
      const missing = (value) => value === null || value === "";
      order = order.slice().sort((a, b) => {
        const [x, y] = [column.at(a), column.at(b)];
        if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b; // what is missing stands last
        return (down ? -compare(x, y) : compare(x, y)) || a - b;
      });
      narrow();
    });
  });
  choices.forEach((choice) => {
    const column = by(choice.dataset.choose);
    const seen = new Set(column.words ?? column.values);
    const values = column.kind === "status" ? new Set([...seen].map((text) => text.split(":")[0])) : seen;
    [...values].filter((text) => text !== "").sort(words.compare).forEach((text) => choice.append(new Option(text, text)));
    choice.addEventListener("change", narrow);
  });
  [search, ...least].filter(Boolean).forEach((input) => input.addEventListener("input", narrow));
  find(".clear")?.addEventListener("click", () => {
    [search, ...least, ...choices].forEach((control) => { control.value = ""; });
    narrow();
    search.focus();
  });
  const turn = (pages) => {
    first = Math.min(Math.max(0, first + pages * size()), Math.max(0, left.length - 1));
    draw();
    find(".scroll").scrollTop = 0;
  };
  find(".before")?.addEventListener("click", () => turn(-1));
  find(".after")?.addEventListener("click", () => turn(1));
  find(".size")?.addEventListener("change", () => { first = 0; draw(); });
  if (find(".found")) draw();
};
document.querySelectorAll("[data-grid]").forEach(grid);
