// The scene explorer: what each cell adds to the logits of two classes, and bars that fill up to them.
play(".scene", (root, {side, names, digits, labels, found, heads}) => {
  const map = root.querySelector(".scene-map"), bars = [...root.querySelectorAll(".scene-bars g")];
  const squares = [...map.querySelectorAll("rect")], numbers = [...map.querySelectorAll("text")];
  const pictures = [...root.querySelectorAll(".scenes img")], cells = side * side;
  let at = cells - 1;

  const chosen = name => root.querySelector(`input[name=${name}]:checked`).value;
  const decimals = (value, digits = 3) => value.toFixed(digits).replace("-", "−");
  const signed = (value, digits) => (value < 0 ? "" : "+") + decimals(value, digits);

  function update() {
    const scene = Number(chosen("scene")), head = heads[chosen("scene-head")];
    const terms = head.terms[scene], logits = head.logits[scene];
    const lead = terms[0].map((term, cell) => term - terms[1][cell]), most = Math.max(...lead.map(Math.abs));
    const until = cell => terms.map((each, k) => each.slice(0, cell).reduce((sum, term) => sum + term, head.start[k]));
    const before = until(at), sums = at === cells - 1 ? logits : until(at + 1);

    map.querySelector("image").setAttribute("href", pictures[scene].src);
    squares.forEach((square, cell) => {
      square.setAttribute("class", lead[cell] > 0 ? "for" : "against");
      square.classList.toggle("at", cell === at);
      square.setAttribute("fill-opacity", most ? 0.75 * Math.abs(lead[cell]) / most : 0);
      numbers[cell].textContent = lead[cell] ? signed(lead[cell], most < 1 ? 3 : 2) : "";
    });
    bars.forEach((bar, k) => {
      const place = value => 140 + 136 * value / head.most;
      const stretch = (name, from, to) => {
        const rect = bar.querySelector(name);
        rect.setAttribute("x", Math.min(place(from), place(to)));
        rect.setAttribute("width", Math.abs(place(to) - place(from)));
      };
      stretch(".fill", 0, sums[k]);
      stretch(".step", before[k], sums[k]);
      bar.querySelector(".fill").setAttribute("fill", head.ink);
      bar.querySelector(".logit").setAttribute("d", `M${place(logits[k])} 16v38`);
      bar.querySelector(".sum").textContent = at < cells - 1
        ? `${decimals(sums[k])} of ${decimals(logits[k])}` : decimals(logits[k]);
    });
    const answer = logits[0] > logits[1] ? 0 : 1;
    say(root.querySelector(".verdict"),
      `${head.title} answers “${names[answer]}”: ${answer === labels[scene] ? "right" : "wrong"}.`);
    const answers = digits.map((digit, k) => `${found[scene][at][k]} to “${digit}”`).join(" and ");
    const added = names.map((name, k) => `${signed(terms[k][at])} to “${name}”`).join(", ");
    say(root.querySelector(".readout"), `Row ${Math.floor(at / side) + 1}, column ${at % side + 1}: `
      + `the channels answer with ${answers}; the cell adds ${lead[at] ? added : "nothing"}. Biases and ${at + 1} of ${cells} cells: ${sums.map(sum => decimals(sum)).join(" and ")}.`);
    map.setAttribute("aria-label", `A scene with ${names[labels[scene]]}, ${side} rows and ${side} columns, ${head.title}. `
      + `Logits: ${names.map((name, k) => `“${name}” ${decimals(logits[k])}`).join(", ")}. Arrow keys move over the cells.`);
  }

  function point(event) {
    const box = map.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * side);
    const row = Math.floor((event.clientY - box.top) / box.height * side);
    if (Math.min(row, column) < 0 || Math.max(row, column) >= side) return;
    at = row * side + column;
    update();
  }

  map.addEventListener("pointerdown", point);
  map.addEventListener("pointermove", event => { if (event.pointerType === "mouse" || event.buttons) point(event); });
  map.addEventListener("keydown", event => {
    const next = moved(event.key, at, side, cells);
    if (next === null) return;
    event.preventDefault();
    at = next;
    update();
  });
  root.querySelectorAll("input").forEach(input => input.addEventListener("change", update));
  root.querySelector("button").addEventListener("click", () => {
    root.querySelectorAll("input[name=scene]")[Number(chosen("scene")) ^ 1].checked = true;
    update();
  });
  map.setAttribute("tabindex", "0");
  map.setAttribute("role", "application");
  update();
});
