"use strict";
(() => {
  const PAPER = { wide: 664, half: 312, letters: 10 };  // CSS pixels on A4
  const MANY = 6;  // lines that need a legend of several rows
  const low = (plot, height) => Math.round(plot.data.length > MANY ? height : height > 260 ? 0.72 * height : 0.86 * height);
  const still = { displayModeBar: false, responsive: true };
  const plots = [...document.querySelectorAll(".plot")];
  const heights = new Map(plots.map((plot) => [plot, plot.clientHeight]));

  const draw = (plot) => {
    const { data, layout } = JSON.parse(document.querySelector(`script[data-for="${plot.id}"]`).textContent);
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;  // a finger scrolls the page, it does not zoom
    if (plot.clientWidth < 480 && data.length > MANY) {
      layout.height += 16 * data.length;  // a row of the legend each
      plot.style.height = `${layout.height}px`;
      heights.set(plot, layout.height);
    }
    Plotly.newPlot(plot, data, layout, still);
  };
  const waiting = [...plots];
  const next = () => {  // one chart whenever the browser has nothing to do: the page can be read and scrolled meanwhile
    if (waiting.length) {
      draw(waiting.shift());
      requestIdleCallback(next);
    }
  };
  next();

  for (const button of document.querySelectorAll("button[data-change]")) {
    button.addEventListener("click", () => {
      const plot = document.getElementById(button.dataset.plot);
      if (!plot.data) return;  // not drawn yet
      Plotly.relayout(plot, JSON.parse(button.dataset.change));
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    });
  }

  addEventListener("beforeprint", () => {
    waiting.splice(0).forEach(draw);
    for (const plot of plots) {
      const height = low(plot, heights.get(plot));
      const width = plot.parentElement.classList.contains("wide") ? PAPER.wide : PAPER.half;
      plot.style.height = `${height}px`;
      Plotly.relayout(plot, { autosize: false, width, height, "font.size": PAPER.letters });
    }
  });
  addEventListener("afterprint", () => {
    for (const plot of plots) {
      plot.style.height = `${heights.get(plot)}px`;
      Plotly.relayout(plot, { autosize: true, width: null, height: heights.get(plot), "font.size": null });
    }
  });

  const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const here = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) id === here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-10% 0px -70% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
})();
