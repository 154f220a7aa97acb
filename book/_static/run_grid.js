// The grid of the paper's runs: each cell becomes a button that shows what lies behind it.
play(".run-grid", (root, {first, runs}) => {
  const readout = root.querySelector(".readout");

  function show(number) {
    const {title, facts, command} = runs[number];
    root.querySelectorAll("button").forEach(button =>
      button.setAttribute("aria-pressed", Number(button.parentElement.dataset.run) === number));
    const rows = facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]);
    readout.replaceChildren(make("p", {}, make("strong", {}, title)),
      make("dl", {}, ...rows, make("dt", {}, "Command"), make("dd", {}, make("code", {}, command))));
  }

  root.querySelectorAll("table").forEach(table => {
    const cells = [...table.querySelectorAll("td[data-run]")], columns = table.rows[1].cells.length - 1;
    const buttons = cells.map((cell, k) => {
      const {title, facts} = runs[cell.dataset.run];
      const button = make("button", {type: "button", tabindex: k ? -1 : 0}, cell.textContent);
      button.setAttribute("aria-label", `${title}: ${facts.find(([name]) => name === "So it is")[1]}, ${cell.textContent}`);
      button.addEventListener("click", () => visit(k));
      button.addEventListener("keydown", event => {
        const next = moved(event.key, k, columns, cells.length);
        if (next === null) return;
        event.preventDefault();
        visit(next);
      });
      cell.replaceChildren(button);
      return button;
    });

    function visit(k) {
      buttons.forEach((button, other) => button.setAttribute("tabindex", other === k ? 0 : -1));
      buttons[k].focus();
      show(Number(cells[k].dataset.run));
    }

    table.setAttribute("role", "grid");
  });
  show(first);
});
