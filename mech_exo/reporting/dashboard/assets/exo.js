// What the browser does by itself: laying a new page over the shown one, exports, the menu, light and dark.
(function () {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  let shown = null; // what the server said last: {path, page}
  let heard = performance.now();
  let patience = 60000;

  const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
  const isPart = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && "namespace" in value && "type" in value;
  const kin = (a, b) => isPart(a) && isPart(b) && a.type === b.type && a.namespace === b.namespace && same(a.props.id, b.props.id);

  // The changes that turn the part `before` at `place` into `after`, without making any part anew; null where that cannot be done.
  function changes(before, after, place, found) {
    if (same(before, after)) return found;
    if (!kin(before, after)) return null;
    const props = {};
    for (const name of new Set([...Object.keys(before.props), ...Object.keys(after.props)])) {
      if (name === "children" || same(before.props[name], after.props[name])) continue;
      if (!(name in after.props)) return null; // what is gone cannot be set
      props[name] = name === "figure" ? zoomed(after.props.id, before.props.figure, after.props.figure) : after.props[name];
    }
    const inside = children(before.props.children, after.props.children, [...place, "props", "children"], found, props);
    if (inside === null) return null;
    if (Object.keys(props).length) found.push([place, props]);
    return found;
  }

  // A new figure where the reader has zoomed in: the axes he moved stay, unless the server moved them too.
  function zoomed(id, before, after) {
    const plot = document.querySelector(`#${CSS.escape(id)} .js-plotly-plot`);
    const layout = { ...after.layout };
    for (const [name, axis] of Object.entries(plot?.layout ?? {})) {
      if (!/^[xy]axis\d*$/.test(name) || axis.autorange !== false || !same(before.layout?.[name]?.range, layout[name]?.range)) continue;
      layout[name] = { ...layout[name], range: [...axis.range], autorange: false };
    }
    return { ...after, layout };
  }

  function children(before, after, place, found, props) {
    if (same(before, after)) return found;
    const parts = (value) => (Array.isArray(value) ? value : [value]).some((each) => isPart(each) || Array.isArray(each));
    if (!parts(before) && !parts(after)) {
      props.children = after === undefined ? null : after;
      return found;
    }
    if (isPart(before)) return changes(before, after, place, found);
    if (!Array.isArray(before) || !Array.isArray(after) || before.length !== after.length) return null;
    for (let n = 0; n < after.length; n++) {
      if (same(before[n], after[n])) continue;
      if (!isPart(before[n]) || changes(before[n], after[n], [...place, n], found) === null) return null;
    }
    return found;
  }

  // Where the part with `id` stands in the layout.
  function placeOf(id, part, place) {
    if (!isPart(part)) return null;
    if (part.props.id === id) return place;
    const inner = part.props.children;
    const list = Array.isArray(inner) ? inner : [inner];
    for (let n = 0; n < list.length; n++) {
      const found = placeOf(id, list[n], [...place, "props", "children", ...(Array.isArray(inner) ? [n] : [])]);
      if (found) return found;
    }
    return null;
  }

  function refreshEndless() {
    for (const grid of document.querySelectorAll(".endless")) {
      window.dash_ag_grid?.getApi(grid.id)?.refreshInfiniteCache();
    }
  }

  clientside.exo = {
    // A page for the same path is laid over the shown one change by change, so that nothing flickers; another path takes its place.
    place: (made) => {
      const { no_update, set_props } = clientside;
      if (!made) return no_update;
      const before = shown;
      shown = JSON.parse(JSON.stringify(made)); // what is drawn, Plotly writes into
      if (!before || before.path !== made.path || !document.getElementById("page")?.firstChild) return made.page;
      const found = children(before.page, made.page, [], [], {});
      if (found === null) return made.page;
      const root = placeOf("page", window.dash_component_api.getLayout(["components"]), ["components"]);
      if (!root) return made.page;
      for (const [place, props] of found) set_props([...root, "props", "children", ...place], props);
      refreshEndless();
      return no_update;
    },
    title: (path, titles) => {
      const title = titles[path];
      document.title = title ? `${title} · Mech-Exo` : "Mech-Exo";
      window.scrollTo(0, 0);
      for (const link of document.querySelectorAll("nav a")) {
        if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      return path;
    },
    toggle: (clicks) => {
      const next = window.exoTheme === "dark" ? "light" : "dark";
      if (clicks) window.exoWear(next);
      return window.exoTheme;
    },
    wear: (theme) => theme || window.exoTheme,
    burger: (opened, navbar) => ({ ...navbar, collapsed: { mobile: !opened } }),
    shut: () => false,
    heard: (ticks, interval) => {
      heard = performance.now();
      patience = Math.max(15000, 4 * interval);
      return clientside.no_update;
    },
  };

  // When the server is gone, an old page must not look like a new one.
  document.addEventListener("visibilitychange", () => { heard = performance.now(); });
  setInterval(() => {
    const lost = document.getElementById("lost");
    if (lost) lost.hidden = document.hidden || performance.now() - heard < patience;
  }, 1000);

  // what reporting/formulas.py calls dangerous
  const FORMULA = /^[\s\p{Cf}\p{Cc}'"`´‘’‚“”„«»＇＂]*[=+\-@＝＋－﹣−＠﹦﹢﹫\t\r\n]/u;
  const harmless = (value) => (typeof value === "string" && FORMULA.test(value) ? `'${value}` : value);
  const quoted = (value) => {
    const text = value === null || value === undefined ? "" : String(harmless(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function save(name, address) {
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
  }

  function saveText(name, text) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    save(name, address);
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  const values = (data) => (data === undefined || data === null ? [] : Array.from(data));

  function figureRows(plot) {
    const rows = [["series", "x", "y", "value"]];
    plot.data.forEach((trace, n) => {
      const name = trace.name ?? `series ${n + 1}`;
      const full = plot._fullData?.[n] ?? trace;
      const x = values(full.x ?? trace.labels), y = values(full.y ?? trace.values);
      if (full.z) values(full.z).forEach((line, i) => values(line).forEach((z, j) => rows.push([name, x[j] ?? j, y[i] ?? i, z])));
      else for (let i = 0; i < Math.max(x.length, y.length); i++) rows.push([name, x[i], y[i], values(trace.text)[i] ?? ""]);
    });
    return rows;
  }

  const EXPORTS = {
    png: (id) => {
      const plot = document.querySelector(`#${CSS.escape(id)} .js-plotly-plot`);
      const ground = getComputedStyle(document.body).backgroundColor;
      const layout = { ...plot.layout, paper_bgcolor: ground, plot_bgcolor: ground };
      window.Plotly.downloadImage({ data: plot.data, layout, config: {} }, { format: "png", filename: id, width: plot.clientWidth, height: plot.clientHeight, scale: 2 });
    },
    csv: (id) => {
      const plot = document.querySelector(`#${CSS.escape(id)} .js-plotly-plot`);
      saveText(`${id}.csv`, figureRows(plot).map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n");
    },
    rows: (id, where) => {
      const api = window.dash_ag_grid.getApi(id);
      if (where === "server") {
        const state = new URLSearchParams(location.search);
        const sortModel = api.getColumnState().filter((each) => each.sort).sort((a, b) => a.sortIndex - b.sortIndex)
          .map((each) => ({ colId: each.colId, sort: each.sort }));
        state.set("grid", JSON.stringify({ filterModel: api.getFilterModel(), sortModel }));
        save(`${id}.csv`, `/export/${encodeURIComponent(id)}.csv?${state}`);
        return;
      }
      api.exportDataAsCsv({ fileName: `${id}.csv`, processCellCallback: (cell) => harmless(cell.value ?? ""), processHeaderCallback: (head) =>
        harmless(api.getDisplayNameForColumn(head.column, null)) });
    },
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-export]");
    if (button) EXPORTS[button.dataset.export]?.(button.dataset.of, button.dataset.where);
  });
})();
