// All committed runs: choose study, backbone and heads; pointer and arrow keys read every epoch of every run.
play(".curves", (root, groups) => {
  const find = name => root.querySelector(name);
  const study = find(".curves-study"), backbone = find(".curves-backbone"), chart = find(".curves-chart");
  const chips = find(".curves-heads"), options = find(".curves-options input"), readout = find(".readout");
  const height = 330, left = 44, right = 12, top = 12, bottom = 40;
  const named = group => `${group.study}, ${group.scale}`;
  const percent = tenths => tenths === null ? "no value" : `${(tenths / 10).toFixed(1)}%`;
  let group, chosen, lines, at, width;

  const ink = arm => `--ink: ${arm.ink}`;
  const measure = () => find("input[type=radio]:checked").value;
  const measured = () => find("input[type=radio]:checked").parentElement.textContent;
  const epochs = () => Math.max(...lines.map(({run}) => run.planned));
  const x = epoch => left + (epoch - 1) / Math.max(1, epochs() - 1) * (width - left - right);
  const y = tenths => top + (1 - tenths / 1000) * (height - top - bottom);

  function fill(select, names) {
    select.replaceChildren(...[...new Set(names)].map(name => make("option", {}, name)));
  }

  function showStudy() {
    fill(backbone, groups.filter(each => named(each) === study.value).map(each => each.backbone));
    showBackbone();
  }

  function showBackbone() {
    group = groups.find(each => named(each) === study.value && each.backbone === backbone.value);
    const first = group.arms.find(arm => arm.title === "wise") || group.arms[0];
    chosen = new Set([first]);
    const others = group.arms.filter(arm => arm.options).length;
    find(".curves-options").style.display = others && others < group.arms.length ? "" : "none";
    showArms();
    at = {line: Math.max(0, lines.findIndex(line => line.arm === first)), epoch: epochs()};
    draw();
  }

  function showArms() {
    const shown = group.arms.filter(arm => !arm.options || options.checked || group.arms.every(each => each.options));
    const before = at && lines && lines[at.line];
    lines = shown.flatMap(arm => arm.runs.map(run => ({arm, run})));
    if (before) at.line = Math.max(0, lines.findIndex(line => line.run === before.run));
    chips.replaceChildren(...shown.map(arm => {
      const swatch = make("svg", {viewBox: "0 0 24 8", width: 24, height: 8, "aria-hidden": true},
        make("path", {d: "M0 4h24", class: "ink", style: ink(arm), "stroke-dasharray": arm.dashes, "stroke-width": 3}));
      const chip = make("button", {type: "button", "aria-pressed": chosen.has(arm)}, swatch, ` ${arm.title}`);
      chip.addEventListener("click", () => {
        if (!chosen.delete(arm)) chosen.add(arm);
        chip.setAttribute("aria-pressed", chosen.has(arm));
        draw();
      });
      return chip;
    }));
  }

  function path(values) {
    let pen = "M";
    return values.map((value, k) => {
      if (value === null) { pen = "M"; return ""; }
      const step = `${pen}${x(k + 1).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
  }

  function axes() {
    const words = (x, y, text, anchor) => make("text", {x, y, "text-anchor": anchor}, text);
    const across = (tenths, kind) => make("path", {d: `M${left} ${y(tenths)}H${width - right}`, class: kind});
    const step = [1, 2, 5, 10, 20, 50].find(step => epochs() / step * 45 <= width - left - right) || 100;
    const ticks = [1, ...Array.from({length: Math.floor(epochs() / step)}, (_, k) => (k + 1) * step)];
    const drawn = [0, 250, 500, 750, 1000].flatMap(tenths =>
      [across(tenths, "rule"), words(left - 6, y(tenths) + 4, `${tenths / 10}%`, "end")]);
    drawn.push(...[...new Set(ticks)].map(epoch => words(x(epoch), height - bottom + 18, epoch, "middle")));
    drawn.push(words((left + width - right) / 2, height - 6, "epoch", "middle"));
    drawn.push(across(group.chance, "chance"), words(width - right, y(group.chance) + 14, "chance", "end"));
    if (group.ceiling !== null) {
      drawn.push(across(group.ceiling, "ceiling"),
        words(width - right, y(group.ceiling) - 5, "GAP’s ceiling, by construction", "end"));
    }
    return drawn;
  }

  function line({arm, run}, focused) {
    const values = run[measure()], inColour = focused || chosen.has(arm), last = values.length;
    const drawn = [make("path", {d: path(values), class: inColour ? "ink" : "grey", style: ink(arm), fill: "none",
      "stroke-dasharray": inColour ? arm.dashes : "", "stroke-width": focused ? 3 : inColour ? 1.7 : 1})];
    if (inColour && last && values[last - 1] !== null) {
      drawn.push(make("rect", {class: "ink", style: ink(arm), x: x(last) - 3.5, y: y(values[last - 1]) - 3.5, width: 7,
        height: 7}));
    }
    if (inColour && run.best && values[run.best - 1] !== null) {
      drawn.push(make("circle", {class: "ink", style: ink(arm), cx: x(run.best), cy: y(values[run.best - 1]), r: 5,
        "stroke-width": 2}));
    }
    return drawn;
  }

  function draw() {
    width = chart.clientWidth || 600;
    const focused = lines[at.line], values = focused.run[measure()];
    at.epoch = Math.min(Math.max(1, at.epoch), Math.max(1, values.length));
    const order = [...lines].sort((a, b) => chosen.has(a.arm) - chosen.has(b.arm)).filter(each => each !== focused);
    const value = values.length ? values[at.epoch - 1] : null;
    const mark = value === null ? [] : [make("circle", {class: "at", cx: x(at.epoch), cy: y(value), r: 8})];
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.replaceChildren(...axes(), ...order.flatMap(each => line(each, false)), ...line(focused, true), ...mark);
    const last = group.arms.filter(arm => chosen.has(arm)).map(arm => {
      const ends = arm.runs.map(run => run[measure()].at(-1)).filter(end => end !== undefined && end !== null);
      const span = ends.length ? `${percent(Math.min(...ends))} to ${percent(Math.max(...ends))}` : "no value";
      return `${arm.title} (runs: ${arm.runs.length}) ${span}`;
    });
    chart.setAttribute("aria-label", `${measured()} by epoch of ${lines.length} runs on ${group.backbone}, `
      + `${named(group)}. In colour, after the last epoch: ${last.join("; ") || "none"}. `
      + "Left and right change the epoch, up and down the run.");
    say(readout, described(focused, value));
  }

  function described({arm, run}, value) {
    const model = `${arm.title}, seed ${run.seed}`, end = run.ending && `; this run: ${run.ending}`;
    if (!run[measure()].length) return `${model}: no whole epoch${end}.`;
    const kind = [at.epoch === run.best && "best on the test set", at.epoch === run[measure()].length && "last"];
    const which = kind.filter(Boolean).join(", ");
    return `${model}, epoch ${at.epoch} of ${run.planned}${which && ` (${which})`}: `
      + `${measured()} ${percent(value)}${end}${group.note && ` (${group.note})`}`;
  }

  function point(event) {
    const box = chart.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const epoch = Math.round(1 + (px - left) / (width - left - right) * (epochs() - 1));
    const far = lines.map(({run}) => {
      const value = run[measure()][Math.min(epochs(), Math.max(1, epoch)) - 1];
      return value === undefined || value === null ? Infinity : Math.abs(y(value) - py);
    });
    const nearest = Math.min(...far);
    if (nearest === Infinity) return;
    at = {line: far.indexOf(nearest), epoch};
    draw();
  }

  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointermove", event => { if (event.pointerType === "mouse" || event.buttons) point(event); });
  chart.addEventListener("keydown", event => {
    const count = lines[at.line].run[measure()].length;
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (steps) at = {epoch: at.epoch + steps[0], line: Math.min(lines.length - 1, Math.max(0, at.line + steps[1]))};
    else if (event.key === "Home") at.epoch = 1;
    else if (event.key === "End") at.epoch = count;
    else return;
    event.preventDefault();
    draw();
  });
  study.addEventListener("change", showStudy);
  backbone.addEventListener("change", showBackbone);
  options.addEventListener("change", () => { showArms(); draw(); });
  root.querySelectorAll("input[type=radio]").forEach(input => input.addEventListener("change", draw));
  new ResizeObserver(() => { if (chart.clientWidth && chart.clientWidth !== width) draw(); }).observe(chart);

  const runs = each => each.arms.reduce((count, arm) => count + arm.runs.length, 0);
  fill(study, groups.map(named));
  study.value = named(groups.reduce((most, each) => runs(each) > runs(most) ? each : most));
  showStudy();
});
