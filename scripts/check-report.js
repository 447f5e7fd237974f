"use strict";

// Checks of a report page, appended to it by scripts/check-report: logs "passed" or the failures in the browser console.
addEventListener("load", async () => {
  const failures = [];
  const check = (holds, what) => holds || failures.push(what);
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const seen = (element) => {
    const { width, height } = element.getBoundingClientRect();
    return width > 0 && height > 0 && getComputedStyle(element).visibility === "visible";
  };
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  const text = () => document.body.innerText;
  const sections = all("main > section");
  check(sections.length >= 8 && all("h1").length === 1, "a headline and eight sections");
  for (const section of sections) check(section.innerText.trim().split("\n").length > 1, `nothing in ${section.id}`);

  // Pictures have pixels, are shown, and are described.
  const pictures = all("img");
  check(pictures.length > 0, "no picture");
  for (const picture of pictures) {
    await picture.decode().catch(() => {});
    const told = picture.alt.trim();
    check(told !== "", "a picture without words for those who cannot see it");
    check(picture.naturalWidth > 0 && picture.naturalHeight > 0, `no pixels: ${told}`);
    check(picture.naturalWidth === picture.width || picture.clientWidth > 0, `not shown: ${told}`);
  }

  // Plots have marks, and all that is written in them is within the page and not one over the other.
  const plots = all("svg.plot");
  check(plots.length > 0, "no plot");
  for (const plot of plots) {
    const told = plot.getAttribute("aria-label");
    check(all("circle.matched, circle.star, rect.plain, polyline.course", plot).some(seen), `no marks: ${told}`);
    const frame = plot.getBoundingClientRect();
    const labels = all("text", plot).map((label) => [label.textContent, label.getBoundingClientRect()]);
    check(labels.length > 3, `no labels: ${told}`);
    for (const [word, box] of labels) {
      const inside = box.left > frame.left - 6 && box.right < frame.right + 6 && box.top > frame.top - 6 && box.bottom < frame.bottom + 6;
      check(inside, `"${word}" is cut off: ${told}`);
    }
    labels.forEach(([word, box], i) => {
      for (const [other, otherBox] of labels.slice(i + 1)) {
        const apart = box.right <= otherBox.left + 2 || otherBox.right <= box.left + 2 || box.bottom <= otherBox.top + 3 || otherBox.bottom <= box.top + 3;
        check(apart, `"${word}" over "${other}": ${told}`);
      }
    });
  }

  // Comparisons: slider, blinking, marks.
  const compared = async (pair) => {
    const about = pair.getAttribute("aria-label");
    const pictures = all(".picture", pair);
    const button = (mode) => pair.querySelector(`button[data-mode="${mode}"]`);
    const slide = pair.querySelector(".slide");
    check(pictures.length === 2 && pictures.every(seen), `two pictures side by side: ${about}`);
    button("slider").click();
    check(seen(slide) && button("slider").getAttribute("aria-pressed") === "true", `no slider: ${about}`);
    slide.value = 20;
    slide.dispatchEvent(new Event("input"));
    check(getComputedStyle(pictures[1]).clipPath.includes("20%"), `the slider moves nothing: ${about}`);
    button("blink").click();
    const shown = () => getComputedStyle(pictures[1]).visibility;
    const before = shown();
    await wait(1000);
    check(shown() !== before, `no blinking: ${about}`);
    button("blink").click();
    const halted = shown();
    await wait(1600);
    check(shown() === halted, `blinking does not halt: ${about}`);
    button("side").click();
    check(pictures.every(seen) && !seen(slide), `not side by side again: ${about}`);
    const marked = pair.querySelector(".marked");
    const marks = pair.querySelector(".marks");
    if (marked && marks) {
      marked.click();
      check(getComputedStyle(marks).visibility === "hidden", `circles do not go: ${about}`);
      marked.click();
      check(getComputedStyle(marks).visibility === "visible", `circles do not come back: ${about}`);
    }
  };
  await Promise.all(all(".pair").map(compared));

  // All is unfolded on paper; then no number is none, and tables copy.
  dispatchEvent(new Event("beforeprint"));
  check(all("details").every((folded) => folded.open), "something stays folded on paper");
  const wrong = text().match(/.{0,30}\b(NaN|null|undefined|Infinity|inf)\b.{0,30}/);
  check(!wrong, `no word for people: ${wrong && wrong[0]}`);
  for (const copy of all("button[data-copy]")) {
    check(seen(copy) && document.getElementById(copy.dataset.copy), `nothing to copy: ${copy.dataset.copy}`);
    copy.click();
    const answered = () => copy.textContent !== "Copy" && document.querySelector(".said").textContent !== "";
    for (let i = 0; i < 50 && !answered(); i++) await wait(20);
    check(answered(), `no answer to copying: ${copy.dataset.copy}`);
  }

  // Nothing sticks out sideways, links lead somewhere, nothing comes from elsewhere.
  check(document.documentElement.scrollWidth <= innerWidth, `the page is ${document.documentElement.scrollWidth - innerWidth} px too wide`);
  for (const link of all("a")) check(document.querySelector(link.getAttribute("href")), `a link to nowhere: ${link.href}`);
  const fetched = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:"));
  check(fetched.length === 0, `fetched: ${fetched.map((entry) => entry.name)}`);
  check(document.querySelector('meta[content*="default-src \'none\'"]'), "no policy against fetching");

  const passed = `passed: ${pictures.length} pictures, ${plots.length} plots, ${all(".pair").length} comparisons, ${all("table").length} tables`;
  console.log(`check-report: ${failures.length === 0 ? passed : failures.join("; ")}`);
});
