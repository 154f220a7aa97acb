// The weight painter: a reader paints a channel's weights, and both outputs follow.
play(".painter", (root, {maps, presets}) => {
  const cells = maps[0].length, side = Math.sqrt(cells), most = 9;
  const panels = [...root.querySelectorAll(".painter-scenes svg")];
  const shown = root.querySelectorAll("output");
  const verdict = root.querySelector(".painter-verdict"), place = root.querySelector(".painter-cell");
  const grid = root.querySelector(".painter-weights svg");
  const squares = [...grid.querySelectorAll("rect")], numbers = [...grid.querySelectorAll("text")];
  let weights = [...presets[0]], at = (cells - 1) / 2;

  function update() {
    const outputs = maps.map(map => map.reduce((sum, value, cell) => sum + value * weights[cell], 0) / cells);
    outputs.forEach((output, k) => { shown[k].textContent = output.toFixed(2); });
    panels.forEach(panel => panel.querySelectorAll("rect").forEach(mark =>
      mark.setAttribute("fill-opacity", Math.min(0.9, weights[mark.dataset.cell] / 4))));
    squares.forEach((square, cell) => {
      square.setAttribute("fill-opacity", Math.min(0.65, weights[cell] / 6));
      square.classList.toggle("at", cell === at);
      numbers[cell].textContent = String(weights[cell]);
    });
    const words = Math.abs(outputs[0] - outputs[1]) < 1e-6
      ? "Equal: no classifier behind this channel can tell the scenes apart."
      : "Different: a classifier can tell the scenes apart.";
    say(verdict, words);
    say(place, `Row ${Math.floor(at / side) + 1}, column ${at % side + 1}: weight ${weights[at]}/${cells}, `
      + `found ${maps[0][at]} and ${maps[1][at]}.`);
  }

  function set(cell, weight) {
    at = cell;
    weights[cell] = Math.min(most, Math.max(0, Math.round(10 * weight) / 10));
    update();
  }

  function paint(event) {
    const box = grid.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * side);
    const row = Math.floor((event.clientY - box.top) / box.height * side);
    if (Math.min(row, column) < 0 || Math.max(row, column) >= side) return;
    set(row * side + column, Number(root.querySelector("input:checked").value));
  }

  grid.addEventListener("pointerdown", event => { grid.setPointerCapture(event.pointerId); paint(event); });
  grid.addEventListener("pointermove", event => { if (event.buttons) paint(event); });
  grid.addEventListener("keydown", event => {
    const next = moved(event.key, at, side, cells);
    if (next !== null) at = next;
    else if (event.key === "+" || event.key === "=") set(at, weights[at] + 1);
    else if (event.key === "-") set(at, weights[at] - 1);
    else return;
    event.preventDefault();
    update();
  });
  root.querySelectorAll("button").forEach((button, k) =>
    button.addEventListener("click", () => { weights = [...presets[k]]; update(); }));

  grid.setAttribute("tabindex", "0");
  grid.setAttribute("role", "application");
  grid.setAttribute("aria-label", grid.getAttribute("aria-label") + " Arrow keys move, plus and minus change a weight.");
  update();
});
