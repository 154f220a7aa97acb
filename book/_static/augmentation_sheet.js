// One photograph as each epoch shows it: the two conventions lie on one another, so that what differs is seen to move.
play(".sheet", (root, {pictures, names, facts}) => {
  const epoch = root.querySelector("input[type=range]"), picture = root.querySelector("img");

  function update() {
    const chosen = root.querySelector("input[type=radio]:checked"), words = chosen.parentElement.textContent;
    const row = facts[epoch.value - 1], own = pictures[chosen.value];
    root.querySelector("output").textContent = epoch.value;
    picture.src = Array.isArray(own) ? own[epoch.value - 1] : own;
    picture.alt = Array.isArray(own) ? `The photograph as epoch ${epoch.value} shows it, ${words}.` : "The photograph.";
    say(root.querySelector(".readout"), row.map((value, k) => `${names[k]}: ${value}`).join("; "));
  }

  root.querySelectorAll("input").forEach(input => input.addEventListener("input", update));
  update();
});
