// Weights before and after the first update: one picture at a time, in one place, so that what snaps to zero is seen.
play(".update", root => {
  const states = [...root.querySelectorAll(".state")], choices = [...root.querySelectorAll("input")];
  const update = () => states.forEach((state, k) => { state.style.display = choices[k].checked ? "" : "none"; });
  choices.forEach(choice => choice.addEventListener("change", update));
  update();
});
