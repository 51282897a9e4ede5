"use strict";
// The page is whole without this: it only tells values under the pointer, zooms, sorts and copies.
(() => {
  const WIDTH = 10000, SVG = "http://www.w3.org/2000/svg";
  const made = (name, kind, parent) => {
    const node = name.includes(":") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    if (kind) node.setAttribute("class", kind);
    parent.append(node);
    return node;
  };
  const shown = value => {
    if (value === null || value === undefined) return "not finite";
    if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
    const size = Math.abs(value);
    return size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(3).replace("+", "");
  };
  const stepsOf = s => Array.isArray(s) ? s : Array.from({length: s.count}, (_, at) => s.first + at * s.width);

  function nearest(steps, wanted) {
    // The first bucket whose last step is not before the wanted one; steps may go back after a restart.
    let best = 0, gap = Infinity;
    for (let at = 0; at < steps.length; at++) {
      const far = Math.abs(steps[at] - wanted);
      if (far < gap) { gap = far; best = at; }
    }
    return best;
  }

  // At most six round steps between two, none smaller than the least.
  function rounds(from, to, least) {
    const rough = Math.max((to - from) / 6, least), power = 10 ** Math.floor(Math.log10(rough));
    const wide = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(one => one >= rough);
    return Array.from({length: 6}, (_, at) => (Math.ceil(from / wide) + at) * wide).filter(step => step < to);
  }

  const set = (node, attributes) => {
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  };
  const within = (value, low, high) => Math.max(low, Math.min(value, high));

  function tooltip(figure) {
    const tip = made("div", "tip", figure);
    tip.hidden = true;
    tip.setAttribute("role", "status");
    return {
      hide() { tip.hidden = true; },
      show(lines, x, y, over) {
        tip.replaceChildren();
        for (const line of lines) made("div", "", tip).textContent = line;
        tip.hidden = false;
        const outer = figure.getBoundingClientRect();
        const left = over ? x - 12 - tip.offsetWidth : x + 12;
        tip.style.left = `${within(left - outer.left, 0, outer.width - tip.offsetWidth)}px`;
        tip.style.top = `${y - outer.top}px`;
      },
    };
  }

  function pointed(svg, tell, hide) {
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("pointermove", tell);
    svg.addEventListener("pointerdown", tell);
    // A finger that is lifted leaves, too: what a tap told stays until the next tap elsewhere.
    svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") hide(); });
    svg.addEventListener("pointercancel", hide);
    svg.addEventListener("blur", hide);
    addEventListener("pointerdown", event => { if (!svg.contains(event.target)) hide(); });
  }

  function charts(root, data) {
    const views = [], least = Number.isInteger(data.first) && Number.isInteger(data.last) ? 1 : 0;
    const grid = Math.max(least, 10 ** Math.floor(Math.log10((data.last - data.first) / 1000)));
    // The first and the last step in view; null for the whole run.
    let seen = null;
    const redraw = () => views.forEach(view => view());
    const show = next => {
      if (!(data.last > data.first)) return;
      if (next) {
        next = [Math.floor(next[0] / grid) * grid, Math.ceil(next[1] / grid) * grid];
        next = next.map(step => within(step, data.first, data.last));
        if (!(next[1] > next[0])) return;
      }
      seen = next && (next[0] > data.first || next[1] < data.last) ? next : null;
      redraw();
    };
    addEventListener("keydown", event => { if (event.key === "Escape" && seen) show(null); });
    const again = () => { if (seen) redraw(); };
    addEventListener("resize", again);
    root.addEventListener("toggle", again, true);

    const curvesOf = svg => {
      if (svg.dataset.told) {
        const [s, m, l, h] = JSON.parse(svg.dataset.told);
        return [{n: "median", s, m, l, h}];
      }
      const [panel, measure, row] = svg.dataset.panel.split(".");
      if (!measure) return (data.panels[panel] || []).map(curve => ({...curve, s: stepsOf(curve.s)}));
      const n = svg.closest("figure").querySelector(".key").textContent;
      return data.layers ? [{n, s: data.layers.steps, m: data.layers[measure][row]}] : [];
    };

    for (const svg of root.querySelectorAll("svg.chart")) {
      const curves = curvesOf(svg);
      if (!curves.length) continue;
      const figure = svg.closest("figure"), plot = svg.querySelector("svg.plot"), height = Number(svg.dataset.plot);
      const shared = svg.dataset.panel in data.panels;
      const first = shared ? data.first : Math.min(...curves[0].s), last = shared ? data.last : Math.max(...curves[0].s);
      const from = () => seen ? seen[0] : first, wide = () => (seen ? seen[1] : last) - from();
      const shareOf = step => wide() > 0 ? (step - from()) / wide() : .5;
      let drag = null, cursor = null;
      const tip = tooltip(figure), cross = made("svg:line", "cross", svg), chosen = made("svg:rect", "chosen", svg);
      const hide = () => { tip.hide(); cross.setAttribute("visibility", "hidden"); };
      hide();
      const ends = [...svg.querySelectorAll(".tick.x")];
      const marked = [...svg.querySelectorAll("[data-at]:not(.tick)")].map(node => ({
        node, at: first + Number(node.dataset.at) * (last - first),
        side: {"text-anchor": node.getAttribute("text-anchor") || "start", dx: node.getAttribute("dx") || 0},
      }));
      const back = made("button", "whole", figure);
      back.type = "button"; back.textContent = "Whole run"; back.title = "Escape shows it, too"; back.hidden = true;
      back.addEventListener("click", () => show(null));
      const label = (step, anchor, words = shown(step)) => {
        const node = made("svg:text", "tick x own", svg);
        set(node, {x: `${100 * shareOf(step)}%`, y: height + 16, "text-anchor": anchor});
        node.textContent = words;
        return node;
      };
      const ticks = width => {
        svg.querySelectorAll(".own").forEach(node => node.remove());
        ends.forEach(node => node.setAttribute("visibility", seen ? "hidden" : "visible"));
        if (!seen) return;
        let free = label(seen[0], "start", `${data.unit} ${shown(seen[0])}`).getComputedTextLength() + 20;
        const end = width - label(seen[1], "end").getComputedTextLength() - 20;
        for (const step of rounds(...seen, least)) {
          const node = label(step, "middle"), half = node.getComputedTextLength() / 2, x = shareOf(step) * width;
          if (x - half < free || x + half > end) node.remove(); else free = x + half + 20;
        }
      };
      if (last > first) views.push(() => {
        const width = svg.getBoundingClientRect().width, span = last - first;
        plot.setAttribute("viewBox", `${(from() - first) / span * WIDTH} 0 ${wide() / span * WIDTH} 1000`);
        for (const {node, at, side} of marked) {
          const share = shareOf(at);
          set(node, {visibility: share < -.001 || share > 1.001 ? "hidden" : "visible"});
          if (node.tagName === "circle") { set(node, {cx: `${100 * share}%`}); continue; }
          set(node, {x: `${100 * share}%`, ...side});
          if (!seen) continue;
          const before = share > .5 && share * width + node.getComputedTextLength() + 5 > width;
          set(node, before ? {"text-anchor": "end", dx: -5} : {"text-anchor": "start", dx: 5});
        }
        ticks(width);
        back.hidden = !seen || !figure.matches(".main, .small:not(.three) > *");
        hide();
      });
      const tell = share => {
        cursor = share;
        const wanted = from() + share * wide();
        let best = null;
        const rows = curves.map(curve => {
          const at = nearest(curve.s, wanted);
          if (best === null || Math.abs(curve.s[at] - wanted) < Math.abs(best - wanted)) best = curve.s[at];
          const range = curve.l && curve.l[at] !== curve.h[at] && curve.m[at] !== null ?
            ` (${shown(curve.l[at])} to ${shown(curve.h[at])})` : "";
          return {step: curve.s[at], text: `${curve.n} ${shown(curve.m[at])}${range}`};
        });
        const lines = rows.map(row => row.step === best ? row.text : `${row.text} at ${shown(row.step)}`);
        const box = svg.getBoundingClientRect(), place = within(shareOf(best), 0, 1);
        set(cross, {x1: `${100 * place}%`, x2: `${100 * place}%`, y1: 0, y2: height, visibility: "visible"});
        tip.show([`${data.unit} ${shown(best)}`, ...lines], box.left + place * box.width, box.top + 22, place >= .5);
      };
      const shareAt = event => {
        const box = svg.getBoundingClientRect();
        return within((event.clientX - box.left) / box.width, 0, 1);
      };
      svg.addEventListener("pointerdown", event => {
        if (event.pointerType === "mouse" && event.button === 0) { drag = shareAt(event); event.preventDefault(); }
      });
      const end = event => {
        if (drag === null) return;
        const [a, b] = [drag, shareAt(event)].sort((one, two) => one - two);
        drag = null;
        chosen.setAttribute("width", 0);
        if (b - a > .01) show([from() + a * wide(), from() + b * wide()]);
      };
      svg.addEventListener("pointerup", end);
      svg.addEventListener("pointerleave", end);
      pointed(svg, event => {
        const share = shareAt(event);
        if (drag !== null)
          set(chosen, {x: `${100 * Math.min(drag, share)}%`, width: `${100 * Math.abs(drag - share)}%`, height});
        tell(share);
      }, hide);
      svg.addEventListener("dblclick", () => show(null));
      svg.addEventListener("keydown", event => {
        const at = cursor === null ? .5 : cursor, steps = curves[0].s, way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        const far = {PageUp: .1, PageDown: -.1, Home: -1, End: 1}[event.key] || way / 100;
        if (way && steps.length <= 100) {
          // Of few points each is reached, and none twice.
          const next = within(nearest(steps, from() + at * wide()) + (cursor === null ? 0 : way), 0, steps.length - 1);
          tell(within(shareOf(steps[next]), 0, 1));
        } else if (far) tell(within(at + far, 0, 1));
        else if (event.key === "+" || event.key === "-") {
          const next = wide() * (event.key === "+" ? .5 : 2), middle = from() + at * wide();
          const begin = within(middle - next / 2, data.first, Math.max(data.last - next, data.first));
          if (next >= (data.last - data.first) / 100) show([begin, begin + next]);
        } else return;
        event.preventDefault();
      });
    }

    for (const lanes of root.querySelectorAll("svg.lanes")) {
      const bars = [...lanes.querySelectorAll("rect")].map(bar => {
        const [left, wide] = ["x", "width"].map(name => parseFloat(bar.getAttribute(name)) / 100);
        return {bar, label: bar.nextElementSibling, left, right: left + wide};
      });
      views.push(() => {
        const width = lanes.getBoundingClientRect().width, [from, to] = seen || [data.first, data.last];
        const shareOf = whole => (data.first + whole * (data.last - data.first) - from) / (to - from);
        for (const {bar, label, ...edge} of bars) {
          const a = shareOf(edge.left), b = shareOf(edge.right), visibility = b < 0 || a > 1 ? "hidden" : "visible";
          set(bar, {x: `${100 * a}%`, width: `${100 * (b - a)}%`, visibility});
          const left = Math.max(a, 0), right = Math.min(b, 1), needed = label.getComputedTextLength() + 14;
          const inside = (right - left) * width >= needed, after = right * width + needed <= width;
          set(label, {
            x: `${100 * (after && !inside ? right : left)}%`, dx: inside ? 8 : after ? 6 : -6,
            "text-anchor": inside || after ? "start" : "end", visibility,
          });
        }
      });
    }
  }

  function maps(root, data) {
    const steps = data.layers.steps;
    for (const figure of root.querySelectorAll("figure.heat")) {
      const cells = figure.querySelector("svg.cells"), plot = cells.querySelector("svg"), tip = tooltip(figure);
      const rows = figure.dataset.rows.split(",").map(Number), values = data.layers[figure.dataset.measure];
      const share = ["dead", "saturated"].includes(figure.dataset.measure);
      const bad = figure.querySelector("path.bad"), gap = figure.querySelector(".gap-key");
      const frames = ["around", "here"].map(kind => made("svg:rect", kind, plot));
      let cursor = null;
      const hide = () => { tip.hide(); frames.forEach(frame => set(frame, {width: 0, height: 0})); };
      const told = (at, row) => {
        const value = values[rows[row]][at];
        if (bad && bad.getAttribute("d").includes(`M${at} ${row}h`)) return "not finite";
        if (value === null) return gap ? gap.textContent : "unknown";
        return share ? `${shown(100 * value)} %` : shown(value);
      };
      const tell = (at, row, x, y) => {
        cursor = [at, row];
        const box = plot.getBoundingClientRect(), place = (at + .5) / steps.length;
        tip.show([`${data.layers.names[rows[row]]}, ${data.unit} ${shown(steps[at])}: ${told(at, row)}`],
          x ?? box.left + place * box.width, y ?? box.top + (row + 1) / rows.length * box.height + 8, place > .5);
        frames.forEach(frame => set(frame, {x: at, y: row, width: 1, height: 1}));
      };
      pointed(cells, event => {
        const box = plot.getBoundingClientRect(), at = Math.floor((event.clientX - box.left) / box.width * steps.length);
        const row = Math.floor((event.clientY - box.top) / box.height * rows.length);
        if (row < 0 || row >= rows.length || at < 0 || at >= steps.length) hide();
        else tell(at, row, event.clientX, event.clientY + 16);
      }, hide);
      cells.addEventListener("keydown", event => {
        const [at, row] = cursor || [0, 0], end = steps.length - 1;
        const next = {
          ArrowLeft: [at - 1, row], ArrowRight: [at + 1, row], ArrowUp: [at, row - 1], ArrowDown: [at, row + 1],
          Home: [0, row], End: [end, row],
        }[event.key];
        if (!next) return;
        event.preventDefault();
        if (cursor === null && event.key !== "End") tell(0, 0);
        else tell(within(next[0], 0, end), within(next[1], 0, rows.length - 1));
      });
    }
  }

  for (const block of document.querySelectorAll("script.readings")) {
    const root = block.parentElement, data = JSON.parse(block.textContent);
    let done = false;
    const start = () => { if (!done) { done = true; charts(root, data); if (data.layers) maps(root, data); } };
    const fold = root.closest("details");
    if (!fold || fold.open) start(); else fold.addEventListener("toggle", start);
  }

  for (const table of document.querySelectorAll("table.runs")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    // Where style makes cards of its rows, it stays a table for whoever listens.
    for (const [name, role] of [["thead, tbody", "rowgroup"], ["tr", "row"], ["thead th", "columnheader"],
      ["tbody th", "rowheader"], ["td", "cell"]])
      table.querySelectorAll(name).forEach(node => node.setAttribute("role", role));
    table.setAttribute("role", "table");
    heads.forEach((head, place) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending", numbers = head.dataset.sort === "number";
        const key = row => row.cells[place].dataset.v ?? row.cells[place].textContent.trim();
        const rows = [...body.rows].sort((a, b) => {
          const [one, two] = [key(a), key(b)];
          // What is unknown comes last, whichever way.
          if ((one === "") !== (two === "")) return one === "" ? 1 : -1;
          const order = numbers ? Number(one) - Number(two) : one.localeCompare(two, "en", {numeric: true});
          return down ? -order : order;
        });
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...rows);
      });
    });
  }

  for (const snippet of document.querySelectorAll(".snippet")) {
    const button = made("button", "copy", snippet), code = snippet.querySelector("pre");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold && !fold.open) { fold.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(fold => { fold.open = true; }));
})();
