"use strict";
// Zoom, window and hover of the diagram. What is drawn, and what it says, is in the page already.
(() => {
  const svg = document.getElementById("spacetime");
  const scroller = document.getElementById("scroller");
  const told = document.getElementById("told");
  const numbers = (text) => (text ? text.split(" ").map(Number) : []);
  const us = numbers(svg.dataset.us);
  const px = numbers(svg.dataset.px);
  if (px.length === 0) return;
  const left = px[0], right = 120, stub = 10, tickPx = 84;
  const lines = [...svg.querySelectorAll(".m")].map((group) => ({
    a: +group.dataset.a, b: +group.dataset.b, isStub: group.classList.contains("stub"), parts: [...group.children].slice(1),
  }));
  const spans = [...svg.querySelectorAll("line[data-a], rect[data-a]")];
  const points = [...svg.querySelectorAll("g[data-at]")];
  const moments = [...svg.querySelectorAll(".p")];
  const isTrue = document.getElementById("true-time");
  let zoom = 1, chosen = -1, at = px;

  const widest = 30000 * Math.max(1, px.length / 2000);
  const length = () => (isTrue.checked ? us[us.length - 1] - us[0] : px[px.length - 1] - left) || 1;
  const place = (index) => left + zoom * (isTrue.checked ? ((us[index] - us[0]) / length()) * (px[px.length - 1] - left) : px[index] - left);

  function lay() {
    at = px.map((_, index) => place(index));
    svg.setAttribute("width", Math.ceil(at[at.length - 1] + right));
    for (const line of lines) {
      for (const part of line.parts) {
        part.setAttribute("x1", at[line.a]);
        part.setAttribute("x2", at[line.b] + (line.isStub ? stub : 0));
      }
    }
    for (const span of spans) {
      const a = at[+span.dataset.a], b = at[+span.dataset.b];
      if (span.tagName === "line") { span.setAttribute("x1", a); span.setAttribute("x2", b); }
      else { span.setAttribute("x", a); span.setAttribute("width", Math.max(1, b - a)); }
    }
    let last = -1e9;
    for (const point of points) {
      const x = at[+point.dataset.at] + (+point.dataset.dx || 0) * (isTrue.checked ? 0 : zoom);
      point.setAttribute("transform", `translate(${x},${point.dataset.y})`);
      if (point.classList.contains("tick")) {
        point.classList.toggle("off", x - last < tickPx);
        if (x - last >= tickPx) last = x;
      }
    }
  }

  function zoomTo(wanted, middle) {
    const inside = middle === undefined ? scroller.clientWidth / 2 : middle;
    const share = (scroller.scrollLeft + inside - left) / (zoom || 1);
    const widestZoom = Math.max(1, widest / (px[px.length - 1] - left || 1)) * 40;
    zoom = Math.min(Math.max(wanted, 0.005), widestZoom);
    lay();
    scroller.scrollLeft = left + share * zoom - inside;
  }

  const fit = () => {
    zoomTo((scroller.clientWidth - left - right - 1) / (px[px.length - 1] - left || 1));
    scroller.scrollLeft = 0;
  };

  function showMoment(index) {
    chosen = (index + moments.length) % moments.length;
    moments.forEach((moment, each) => moment.classList.toggle("chosen", each === chosen));
    reveal(moments[chosen]);
  }

  function reveal(element) {
    const index = +(element.dataset.at ?? element.dataset.a);
    scroller.scrollLeft = at[index] - scroller.clientWidth / 2;
    tell(element);
  }

  function tell(element) {
    const title = element.querySelector("title");
    if (title) told.textContent = title.textContent;
  }

  function showWindow() {
    const since = parseFloat(document.getElementById("since").value) * 1000;
    const until = parseFloat(document.getElementById("until").value) * 1000;
    if (!(since < until)) { told.textContent = "A window begins before it ends: give two numbers of milliseconds."; return; }
    const first = us.findIndex((each) => each >= since);
    let last = us.findIndex((each) => each > until);
    if (last < 0) last = us.length;
    if (first < 0 || last - 1 <= first) { told.textContent = "Nothing that is drawn happened then."; return; }
    zoom = 1;
    const span = place(last - 1) - place(first) || 1;
    zoom = (scroller.clientWidth - 40) / span;
    lay();
    scroller.scrollLeft = at[first] - 20;
  }

  function arrive() {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)) || "story");
    if (!element || !svg.contains(element)) return;
    const shape = element.matches(".m") ? element : element.querySelector(".p");
    document.querySelectorAll(".m.chosen").forEach((each) => each.classList.remove("chosen"));
    if (shape.matches(".m")) shape.classList.add("chosen");
    document.getElementById("diagram").scrollIntoView();
    if (shape.matches(".p")) showMoment(moments.indexOf(shape)); else reveal(shape);
  }

  document.querySelector(".tools").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.zoom === "fit") fit();
    else if (button.dataset.zoom === "one") zoomTo(1);
    else if (button.dataset.zoom) zoomTo(zoom * +button.dataset.zoom);
    else if (button.dataset.step && moments.length) showMoment(chosen < 0 && button.dataset.step === "-1" ? -1 : chosen + +button.dataset.step);
    else if (button.id === "go") showWindow();
  });
  isTrue.addEventListener("change", () => zoomTo(zoom));
  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomTo(zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.clientX - scroller.getBoundingClientRect().left);
  }, { passive: false });
  svg.addEventListener("mouseover", (event) => { const shape = event.target.closest(".m, .p"); if (shape) tell(shape); });
  svg.addEventListener("click", (event) => { const shape = event.target.closest(".m"); if (shape) tell(shape); });
  window.addEventListener("hashchange", arrive);

  lay();
  if (px[px.length - 1] < 2.2 * scroller.clientWidth) fit();
  // The beginning of what matters: the first fault or violation, where there is one.
  const first = moments.find((moment) => moment.matches(".p-fault, .p-violation, .p-breach"));
  if (first) scroller.scrollLeft = Math.max(0, at[+first.dataset.at] - scroller.clientWidth / 3);
  if (location.hash) arrive();
})();
