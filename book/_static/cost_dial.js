// The cost dial: parameters of heads as image, channels and classes are turned.
play(".cost-dial", (root, {sides, channels, classes, pixels, ends: [low, high], heads}) => {
  const dials = [...root.querySelectorAll("input")], shown = [...root.querySelectorAll("output")];
  const rows = [...root.querySelectorAll("tbody tr")];
  const grouped = value => value.toLocaleString("en-US");

  function update() {
    const [k, channel, count] = dials.map(dial => Number(dial.value));
    const [side, c, n] = [sides[k], channels[channel], classes[count]];
    const counted = Object.values(heads).map(each => each[k]).map(([a, b, d, e]) => a + b * c + d * n + e * c * n);
    [`${side * pixels}×${side * pixels}`, grouped(c), grouped(n)].forEach((text, dial) => {
      shown[dial].textContent = text;
      dials[dial].setAttribute("aria-valuetext", text);
    });
    rows.forEach((row, head) => {
      const ratio = counted[head] / counted[0];
      row.querySelector(".bar div").style.width = `${100 * (Math.log10(counted[head]) - low) / (high - low)}%`;
      row.querySelector(".count").textContent = grouped(counted[head]);
      row.querySelector(".ratio").textContent = `${ratio < 100 ? ratio.toFixed(2) : grouped(Math.round(ratio))}×`;
    });
    say(root.querySelector("caption"), `Heads on a ${side}×${side}×${grouped(c)} map, ${grouped(n)} classes`);
  }

  root.querySelector("caption").setAttribute("aria-live", "polite");
  dials.forEach(dial => dial.addEventListener("input", update));
  update();
});
