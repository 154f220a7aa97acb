// Weights before and after the first update: one picture at a time, in one place, so that what snaps to zero is seen.
play(".update", root => {
  const figures = [...root.querySelectorAll("figure")], choices = [...root.querySelectorAll("input")];
  const update = () => figures.forEach((figure, k) => { figure.style.display = choices[k].checked ? "" : "none"; });
  choices.forEach(choice => choice.addEventListener("change", update));
  update();
});
