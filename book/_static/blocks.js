// Blocks on a map: which cells are averaged together, and which are never looked at.
play(".blocks", (root, {maps, rule, pixels}) => {
  const [side, block] = root.querySelectorAll("input[type=range]"), [sideShown, blockShown] = root.querySelectorAll("output");
  const drawing = root.querySelector("svg");

  function update() {
    const cells = Number(side.value), most = Math.max(...Object.keys(maps[cells]));
    if (Number(block.value) > most) block.value = most;
    const size = Number(block.value), cover = root.querySelector("input[type=radio]:checked").value;
    const {sides, weights, left, total} = maps[cells][size][cover];
    sideShown.textContent = `${cells}×${cells}`;
    blockShown.textContent = `${size}×${size}`;

    const step = 280 / cells, of = sides.flatMap((length, number) => Array(length).fill(number));
    const drawn = [];
    for (let row = 0; row < cells; row++) {
      for (let column = 0; column < cells; column++) {
        const out = of[row] === undefined || of[column] === undefined;
        const kind = out ? "out" : (of[row] + of[column]) % 2 ? "odd" : "even";
        const x = column * step, y = row * step;
        drawn.push(make("rect", {class: kind, x: x + 0.5, y: y + 0.5, width: step - 1, height: step - 1}));
        if (out) drawn.push(make("path", {d: `M${x + 2} ${y + step - 2}L${x + step - 2} ${y + 2}`}));
      }
    }
    drawing.replaceChildren(...drawn);

    const lengths = [...new Set(sides)].sort().join(" or "), all = cells * cells;
    const missed = left ? `${left} of ${all} cells (${(100 * left / all).toFixed(1)}%) are never looked at`
      : `all ${all} cells are looked at`;
    const words = `${cells}×${cells} cells, the map of ${cells * pixels}×${cells * pixels} pixels; blocks with a side of `
      + `${lengths}${cover === "blocks" && size === rule[cells] ? ", the paper’s rule" : ""}: ${missed}. A channel has ${weights} weights and a `
      + `bias. At the start its weights add up to ${total} on average; GAP’s to 1.`;
    drawing.setAttribute("aria-label", words);
    say(root.querySelector(".readout"), words);
  }

  root.querySelectorAll("input").forEach(input => input.addEventListener("input", update));
  update();
});
