"use strict";

// Pictures one over the other, with a slider between them or in turn.
for (const pair of document.querySelectorAll(".pair")) {
  const modes = pair.querySelector(".modes");
  const slide = pair.querySelector(".slide");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = 0;
  const turn = () => pair.classList.toggle("second");
  const show = (mode) => {
    clearInterval(timer);
    pair.classList.remove("over", "slider", "blink", "second");
    if (mode !== "side") pair.classList.add("over", mode);
    slide.hidden = mode !== "slider";
    if (mode === "blink" && !still.matches) timer = setInterval(turn, 700);
    for (const button of modes.children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
  };
  for (const button of modes.children) {
    button.addEventListener("click", () => {
      const again = button.dataset.mode === "blink" && pair.classList.contains("blink");
      if (!again) return show(button.dataset.mode);
      // Pressed again, blinking halts, and each press shows the other picture.
      clearInterval(timer);
      turn();
    });
  }
  slide.addEventListener("input", () => pair.style.setProperty("--border", slide.value + "%"));
  modes.hidden = false;
}

// Tables as text with tabs.
const said = document.querySelector(".said");
const textOf = (element) => {
  if (!(element instanceof HTMLTableElement)) return element.textContent;
  const cells = (row) => Array.from(row.cells, (cell) => cell.innerText.trim().replace(/−/g, "-"));
  return Array.from(element.rows, (row) => cells(row).join("\t")).join("\n") + "\n";
};
const copyByHand = (text) => {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
};
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = textOf(document.getElementById(button.dataset.copy));
    let done;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyByHand(text);
    }
    button.textContent = done ? "Copied" : "Not copied";
    said.textContent = done ? "Copied." : "The browser does not allow copying.";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
