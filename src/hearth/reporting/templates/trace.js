// The trace of an episode as figures: the stages predicted and tracked (report, figure 8), chunks
// that continue each other (figure 6) and their compression (figure 7). A trace is loaded as a
// script when somebody looks at its episode: a page opened from a file system may read nothing else.
const traceFigures = (() => {
  const WIDTH = 520, LEFT = 44, RIGHT = 10, TOP = 8, BELOW = 34;
  window.episodeTrace = (trace) => { document.currentScript.trace = trace; };

  function load(source) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => { script.remove(); script.trace ? resolve(script.trace) : reject(new Error("it holds no trace")); };
      script.onerror = () => { script.remove(); reject(new Error("it cannot be loaded")); };
      document.head.append(script);
    });
  }

  function svg(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function html(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function ticks(low, high, most, whole) {
    const raw = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw * 0.999);
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + 1e-9; at++) found.push(Number((at * step).toPrecision(6)));
    return found;
  }

  // An empty plot; `of` maps data to its coordinates, `put` draws.
  function plot(height, [x0, x1], [y0, y1], xTitle, label, wholeY) {
    const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label });
    const bottom = height - BELOW;
    const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * (value - x0) / (x1 - x0 || 1);
    const y = (value) => bottom - (bottom - TOP) * (value - y0) / (y1 - y0 || 1);
    const put = (name, attributes, text) => { const made = svg(name, attributes, text); root.append(made); return made; };
    for (const value of ticks(y0, y1, 4, wholeY)) {
      put("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) });
      put("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value);
    }
    for (const value of ticks(x0, x1, 6, false)) put("text", { x: x(value), y: bottom + 15, "text-anchor": "middle" }, value);
    put("text", { x: WIDTH - RIGHT, y: height - 3, "text-anchor": "end" }, xTitle);
    return { root, put, x, y, bottom };
  }

  function figure(caption, ...parts) {
    return html("figure", {}, ...parts, html("figcaption", { textContent: caption }));
  }

  function stages(trace, film) {
    const { step, stage, raw_stage: raw, voted_stage: voted, opened } = trace.predictions;
    const seconds = (steps) => steps / trace.frames_per_second;
    const other = raw.filter((value, i) => value !== voted[i]).length;
    const opening = opened.filter((hands) => hands.length).length;
    const label = `Stages 0 to ${trace.stages - 1} over ${seconds(trace.steps).toFixed(1)} s: the vote ends at ${stage.at(-1)}; ` +
      `${other} of ${raw.length} predictions name another stage than the vote; corrections that open a hand: ${opening}.`;
    const { root, put, x, y, bottom } = plot(150, [0, seconds(trace.steps)], [-0.4, trace.stages - 0.6], "seconds", label, true);
    raw.forEach((value, i) => put("circle", { class: value === voted[i] ? "raw" : "raw other", cx: x(seconds(step[i])), cy: y(value), r: 2.6 }));
    const path = stage.map((value, i) => `${i ? "H" : "M"}${x(seconds(step[i]))}${i ? "V" : " "}${y(value)}`).join("");
    put("path", { class: "voted", d: `${path}H${x(seconds(trace.steps))}` });
    opened.forEach((hands, i) => {
      if (!hands.length) return;
      const at = x(seconds(step[i]));
      const mark = put("path", { class: "opened", d: `M${at} ${bottom - 8}l4 8h-8z` });
      mark.append(svg("title", {}, `${hands.map((hand) => ["left", "right"][hand]).join(" and ")} hand opened at ${seconds(step[i]).toFixed(1)} s`));
    });
    const now = put("line", { class: "now", x1: x(0), x2: x(0), y1: TOP, y2: bottom });
    if (film) film.ontimeupdate = () => { for (const end of ["x1", "x2"]) now.setAttribute(end, x(Math.min(film.currentTime, seconds(trace.steps)))); };
    return figure("Line: the stage after the vote. Dots: what each prediction names, filled where the vote differs. Triangles: a correction rule opened a hand.", root);
  }

  function overlap(trace) {
    const { step, overlap_error: errors } = trace.predictions;
    const points = errors.flatMap((error, i) => (error === null ? [] : [[step[i] / trace.frames_per_second, error]]));
    if (!points.length) return [];
    const largest = Math.max(...points.map((point) => point[1]));
    const label = `Distance of each chunk from the actions it continues, at most ${largest.toFixed(3)} standard deviations.`;
    const { root, put, x, y } = plot(110, [0, trace.steps / trace.frames_per_second], [0, largest * 1.08 || 1], "seconds", label, false);
    put("path", { class: "second line", d: points.map(([at, error], i) => `${i ? "L" : "M"}${x(at)} ${y(error)}`).join("") });
    return [figure("How far each new chunk starts from the actions that were planned to come next (root mean square, standard deviations): inpainting keeps it small.", root)];
  }

  function range(values) {
    const low = Math.min(...values), high = Math.max(...values), room = (high - low || 0.1) * 0.06;
    return [low - room, high + room];
  }

  function continued([first, second], dimension, name) {
    const column = (rows) => rows.map((row) => row[dimension]);
    const chunk = column(first.chunk), kept = column(first.kept), next = column(second.chunk), used = first.used;
    const label = `${name}: ${used} of ${chunk.length} predicted actions are used, ${kept.length} are kept, and the next chunk starts beside them.`;
    const { root, put, x, y, bottom } = plot(170, [0, used + next.length - 1], range([...chunk, ...kept, ...next]), "predicted action", label, false);
    put("line", { class: "now", x1: x(used), x2: x(used), y1: TOP, y2: bottom });
    chunk.forEach((value, i) => put("circle", { class: i < used ? "first" : "first unused", cx: x(i), cy: y(value), r: 3 }));
    next.forEach((value, i) => put("rect", { class: "second", x: x(used + i) - 2.5, y: y(value) - 2.5, width: 5, height: 5 }));
    kept.forEach((value, i) => put("circle", { class: "kept", cx: x(used + i), cy: y(value), r: 4 }));
    return figure("Circles: the first chunk, filled up to the actions that are used. Rings: the actions kept for inpainting. Squares: the chunk predicted next.", root);
  }

  function compressed([first], dimension, name) {
    if (first.actions.length === first.used) return [];
    const predicted = first.chunk.slice(0, first.used).map((row) => row[dimension]);
    const executed = first.actions.map((row) => row[dimension]);
    const label = `${name}: ${predicted.length} predicted actions are executed in ${executed.length} steps.`;
    const { root, put, x, y } = plot(150, [0, predicted.length - 1], range([...predicted, ...executed]), "step", label, false);
    predicted.forEach((value, i) => put("circle", { class: "first", cx: x(i), cy: y(value), r: 3 }));
    executed.forEach((value, i) => put("path", { class: "executed", d: `M${x(i) - 3.5} ${y(value) - 3.5}l7 7m0 -7l-7 7` }));
    return [figure(`Circles: ${predicted.length} predicted actions. Crosses: the ${executed.length} steps that execute them.`, root)];
  }

  function largestMove(rows) {
    const spans = rows[0].map((_, d) => Math.max(...rows.map((row) => row[d])) - Math.min(...rows.map((row) => row[d])));
    return spans.indexOf(Math.max(...spans));
  }

  function chunks(trace) {
    if (!trace.pairs.length) return [];
    const at = (pair) => `at ${(pair[0].step / trace.frames_per_second).toFixed(1)} s`;
    const options = (texts) => texts.map((textContent, value) => html("option", { textContent, value }));
    const pairs = html("select", {}, ...options(trace.pairs.map(at)));
    const dimensions = html("select", {}, ...options(trace.dimensions));
    dimensions.value = largestMove(trace.pairs[0][0].chunk);
    const place = html("div", {});
    const draw = () => {
      const pair = trace.pairs[pairs.value], dimension = Number(dimensions.value), name = trace.dimensions[dimension];
      place.replaceChildren(continued(pair, dimension, name), ...compressed(pair, dimension, name));
    };
    pairs.onchange = dimensions.onchange = draw;
    draw();
    return [html("p", {}, html("label", {}, "Two chunks ", pairs), " ", html("label", {}, "Dimension ", dimensions)), place];
  }

  // Fill `place` with the figures of the trace at `source`; `film` is the video that the figure of
  // the stages follows, null where there is none.
  async function show(place, source, film) {
    try {
      const trace = await load(source);
      place.replaceChildren(stages(trace, film), ...overlap(trace), ...chunks(trace));
    } catch (error) {
      place.textContent = `Trace ${source}: ${error.message}.`;
    }
  }
  return { show };
})();
