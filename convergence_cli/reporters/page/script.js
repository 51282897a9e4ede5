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

  function charts(root, data) {
    const pictures = [...root.querySelectorAll("svg.chart")].filter(svg => data.panels[svg.dataset.panel]);
    if (!pictures.length) return;
    const views = [];
    const whole = {from: 0, to: 1};
    const show = window => views.forEach(view => view.zoom(window));
    for (const svg of pictures) {
      const figure = svg.closest("figure"), plot = svg.querySelector("svg.plot");
      const curves = data.panels[svg.dataset.panel].map(curve => ({...curve, s: stepsOf(curve.s)}));
      const height = Number(svg.dataset.plot);
      let window = whole, drag = null, cursor = null;
      const tip = made("div", "tip", figure), cross = made("svg:line", "cross", svg), chosen = made("svg:rect", "chosen", svg);
      tip.hidden = true;
      tip.setAttribute("role", "status");
      const hide = () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); };
      hide();
      const marked = [...svg.querySelectorAll("[data-at]")];
      const back = made("button", "whole", figure);
      back.type = "button"; back.textContent = "Whole run"; back.hidden = true;
      back.addEventListener("click", () => show(whole));
      views.push({zoom(next) {
        window = next;
        const wide = next.to - next.from;
        plot.setAttribute("viewBox", `${next.from * WIDTH} 0 ${wide * WIDTH} 1000`);
        for (const node of marked) {
          const share = (Number(node.dataset.at) - next.from) / wide;
          node.setAttribute(node.tagName === "circle" ? "cx" : "x", `${100 * share}%`);
          node.setAttribute("visibility", share < -.001 || share > 1.001 ? "hidden" : "visible");
        }
        back.hidden = next === whole || figure.parentElement.classList.contains("pictures");
        hide();
      }});
      const tell = share => {
        const wanted = data.first + (window.from + share * (window.to - window.from)) * (data.last - data.first);
        let best = null;
        const rows = curves.map(curve => {
          const at = nearest(curve.s, wanted);
          if (best === null || Math.abs(curve.s[at] - wanted) < Math.abs(best - wanted)) best = curve.s[at];
          const range = curve.l && curve.l[at] !== curve.h[at] && curve.m[at] !== null ?
            ` (${shown(curve.l[at])} to ${shown(curve.h[at])})` : "";
          return {name: curve.n, step: curve.s[at], text: `${curve.n} ${shown(curve.m[at])}${range}`};
        });
        tip.replaceChildren();
        made("div", "", tip).textContent = `${data.unit} ${shown(best)}`;
        for (const row of rows)
          made("div", "", tip).textContent = row.step === best ? row.text : `${row.text} at ${shown(row.step)}`;
        tip.hidden = false;
        const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
        const place = Math.min(Math.max(((best - data.first) / (data.last - data.first || 1) - window.from) / (window.to - window.from), 0), 1);
        for (const [name, value] of [["x1", `${100 * place}%`], ["x2", `${100 * place}%`], ["y1", 0], ["y2", height]])
          cross.setAttribute(name, value);
        cross.setAttribute("visibility", "visible");
        const x = box.left - outer.left + place * box.width, left = place < .5 ? x + 12 : x - 12 - tip.offsetWidth;
        tip.style.left = `${Math.max(0, Math.min(left, outer.width - tip.offsetWidth))}px`;
        tip.style.top = `${box.top - outer.top + 22}px`;
      };
      const shareAt = event => {
        const box = svg.getBoundingClientRect();
        return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      };
      svg.addEventListener("pointermove", event => {
        const share = shareAt(event);
        cursor = share;
        if (drag !== null && event.pointerType === "mouse") {
          chosen.setAttribute("x", `${100 * Math.min(drag, share)}%`);
          chosen.setAttribute("width", `${100 * Math.abs(drag - share)}%`);
          chosen.setAttribute("height", height);
        }
        tell(share);
      });
      svg.addEventListener("pointerdown", event => {
        if (event.pointerType === "mouse" && event.button === 0) { drag = shareAt(event); event.preventDefault(); }
        else tell(shareAt(event));
      });
      const end = event => {
        if (drag === null) return;
        const [a, b] = [drag, shareAt(event)].sort((one, two) => one - two), wide = window.to - window.from;
        drag = null;
        chosen.setAttribute("width", 0);
        if (b - a > .01) show({from: window.from + a * wide, to: window.from + b * wide});
      };
      svg.addEventListener("pointerup", end);
      svg.addEventListener("pointerleave", event => { end(event); hide(); });
      svg.addEventListener("dblclick", () => show(whole));
      svg.setAttribute("tabindex", "0");
      svg.addEventListener("keydown", event => {
        const wide = window.to - window.from, at = cursor === null ? .5 : cursor;
        const moved = {ArrowLeft: -.01, ArrowRight: .01, PageUp: .1, PageDown: -.1}[event.key];
        if (moved !== undefined) { cursor = Math.min(Math.max(at + moved, 0), 1); tell(cursor); }
        else if (event.key === "Home" || event.key === "End") { cursor = event.key === "End" ? 1 : 0; tell(cursor); }
        else if (event.key === "+" || event.key === "-") {
          const next = Math.min(Math.max(wide * (event.key === "+" ? .5 : 2), .01), 1), middle = window.from + at * wide;
          const from = Math.min(Math.max(middle - next / 2, 0), 1 - next);
          show(next >= 1 ? whole : {from, to: from + next});
        } else if (event.key === "Escape") { show(whole); cursor = null; }
        else return;
        event.preventDefault();
      });
      svg.addEventListener("blur", hide);
    }
  }

  function maps(root, data) {
    for (const figure of root.querySelectorAll("figure.heat")) {
      const cells = figure.querySelector("svg.cells"), plot = cells.querySelector("svg");
      const rows = figure.dataset.rows.split(",").map(Number), values = data.layers[figure.dataset.measure];
      const share = ["dead", "saturated"].includes(figure.dataset.measure), steps = data.layers.steps;
      const tip = made("div", "tip", figure);
      tip.hidden = true;
      cells.addEventListener("pointermove", event => {
        const box = plot.getBoundingClientRect(), outer = figure.getBoundingClientRect();
        const at = Math.floor((event.clientX - box.left) / box.width * steps.length);
        const row = rows[Math.floor((event.clientY - box.top) / box.height * rows.length)];
        if (row === undefined || at < 0 || at >= steps.length) { tip.hidden = true; return; }
        const value = values[row][at];
        const told = value === null ? "unknown or not finite" : share ? `${shown(100 * value)} %` : shown(value);
        tip.textContent = `${data.layers.names[row]}, ${data.unit} ${shown(steps[at])}: ${told}`;
        tip.hidden = false;
        tip.style.left = `${Math.max(0, Math.min(event.clientX - outer.left + 12, outer.width - tip.offsetWidth))}px`;
        tip.style.top = `${event.clientY - outer.top + 16}px`;
      });
      cells.addEventListener("pointerleave", () => { tip.hidden = true; });
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
