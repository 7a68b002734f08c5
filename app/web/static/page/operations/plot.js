/** Plots of values per day, drawn as SVG, each with its values as a table. */

import { fill, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.operations;
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const MARGIN = { top: 8, right: 8, bottom: 26, left: 46 };
const LABEL_WIDTH = 62;
const COMPACT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const EXACT = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** @typedef {{name: string, values: Array<number | null>}} Series one value for each day */
/**
 * @typedef {{title: string, days: string[], series: Series[], unit?: string, lines?: boolean, summary?: string}} Plot
 * Bars are stacked; `lines` are not.
 */

/** @param {Plot} plot */
export function plotFigure(plot) {
  const isEmpty = plot.series.every((each) => each.values.every((value) => !value));
  const drawing = h("div", { class: "drawing" });
  const figure = h(
    "figure",
    { class: "plot" },
    h("figcaption", {}, h("h3", {}, plot.unit ? `${plot.title} (${plot.unit})` : plot.title), plot.summary && h("p", { class: "hint" }, plot.summary)),
    isEmpty ? h("p", { class: "empty" }, words.nothingCounted) : drawing,
    !isEmpty && plot.series.length > 1 && legend(plot.series, plot.lines ?? false),
    !isEmpty && valueTable(plot),
  );
  if (!isEmpty) watchWidth(drawing, plot);
  return figure;
}

/** The plot is drawn for the width that it has, so that its text keeps its size. @param {HTMLElement} place @param {Plot} plot */
function watchWidth(place, plot) {
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.round(place.clientWidth);
    if (width === drawn || !width) return;
    drawn = width;
    fill(place, draw(plot, width));
  }).observe(place);
}

/** @param {Plot} plot @param {number} width */
function draw(plot, width) {
  const highest = Math.max(...plot.days.map((_, day) => highestOf(plot, day)));
  const ticks = niceTicks(highest);
  const top = ticks[ticks.length - 1];
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const step = inner.width / plot.days.length;
  /** @param {number} day */
  const x = (day) => MARGIN.left + step * (day + 0.5);
  /** @param {number} value */
  const y = (value) => MARGIN.top + inner.height * (1 - value / top);
  const marks = plot.lines ? plot.series.map((each, index) => line(each, index, x, y)) : plot.days.map((_, day) => bar(plot, day, x, y, Math.min(step * 0.72, 40)));
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": describePlot(plot, highest) },
    ticks.map((tick) =>
      svg(
        "g",
        {},
        svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "axis", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, COMPACT.format(tick)),
      ),
    ),
    labelledDays(plot.days.length, inner.width).map((day) => dayLabel(plot.days[day], x(day), width)),
    marks,
  );
}

/** The label of a day at the edge ends there. @param {string} day @param {number} x @param {number} width */
function dayLabel(day, x, width) {
  const isLast = width - x < LABEL_WIDTH / 2;
  return svg("text", { class: "axis", x: isLast ? width - 2 : x, y: HEIGHT - 8, "text-anchor": isLast ? "end" : "middle" }, dayText(day));
}

/** @param {Plot} plot @param {number} day */
function highestOf(plot, day) {
  const values = plot.series.map((each) => each.values[day] ?? 0);
  return plot.lines ? Math.max(...values) : values.reduce((sum, each) => sum + each, 0);
}

/** @param {Plot} plot @param {number} day @param {(day: number) => number} x @param {(value: number) => number} y @param {number} width */
function bar(plot, day, x, y, width) {
  let below = 0;
  const parts = plot.series.map((series, index) => {
    const value = series.values[day] ?? 0;
    const from = below;
    below += value;
    return value > 0 && svg("rect", { class: `series-${index}`, x: x(day) - width / 2, width, y: y(below), height: Math.max(y(from) - y(below), 1) });
  });
  return svg("g", {}, svg("title", {}, `${dayText(plot.days[day])}: ${plot.series.map((each) => `${each.name} ${valueText(each.values[day], plot.unit)}`).join(", ")}`), parts);
}

/** @param {Series} series @param {number} index @param {(day: number) => number} x @param {(value: number) => number} y */
function line(series, index, x, y) {
  const points = series.values.map((value, day) => (value === null ? null : { day, value }));
  const paths = runsOf(points).map((run) => svg("polyline", { points: run.map((each) => `${x(each.day)},${y(each.value)}`).join(" ") }));
  const dots = points.map((each) => each && svg("circle", { cx: x(each.day), cy: y(each.value), r: 3 }));
  return svg("g", { class: `line series-${index}` }, paths, dots);
}

/** A day without a value interrupts the line. @template T @param {Array<T | null>} points @returns {T[][]} */
function runsOf(points) {
  /** @type {T[][]} */
  const runs = [[]];
  for (const point of points) {
    if (point === null) runs.push([]);
    else runs[runs.length - 1].push(point);
  }
  return runs.filter((run) => run.length > 1);
}

/** Round numbers from 0 to at least the highest value. @param {number} highest */
function niceTicks(highest) {
  const rough = Math.max(highest, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? rough;
  const ticks = [0];
  while (ticks[ticks.length - 1] < highest) ticks.push(ticks.length * step);
  return ticks;
}

/** As many days as fit, the last one among them. @param {number} count @param {number} width */
function labelledDays(count, width) {
  const every = Math.ceil(count / Math.max(2, Math.floor(width / LABEL_WIDTH)));
  return [...Array(count).keys()].filter((day) => (count - 1 - day) % every === 0);
}

/** @param {Series[]} series @param {boolean} lines */
function legend(series, lines) {
  const entries = series.map((each, index) => {
    const mark = lines
      ? svg("g", { class: `line series-${index}` }, svg("line", { x1: 0, x2: 22, y1: 6, y2: 6 }))
      : svg("rect", { class: `series-${index}`, x: 4, y: 0, width: 14, height: 12 });
    return h("li", {}, svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, mark), each.name);
  });
  return h("ul", { class: "legend" }, entries);
}

/** @param {Plot} plot */
function valueTable(plot) {
  const body = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": plot.title });
  const details = h("details", {}, h("summary", {}, words.asTable), body);
  details.addEventListener("toggle", () => {
    if (!body.firstChild) body.append(tableOf([words.day, ...plot.series.map((each) => each.name)], rowsOf(plot)));
  });
  return details;
}

/** @param {Plot} plot @returns {string[][]} */
function rowsOf(plot) {
  return plot.days.map((day, index) => [dayText(day), ...plot.series.map((each) => valueText(each.values[index], plot.unit))]).reverse();
}

/** The first column names its row. @param {string[]} head @param {Array<Array<string>>} rows @param {string} [caption] */
export function tableOf(head, rows, caption) {
  return h(
    "table",
    { class: "values" },
    caption && h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head.map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", {}, rows.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((each) => h("td", {}, each))))),
  );
}

/** @param {Plot} plot @param {number} highest */
function describePlot(plot, highest) {
  const day = plot.days[plot.days.findIndex((_, index) => highestOf(plot, index) === highest)];
  return words.plotDescription(plot.title, dayText(plot.days[0]), dayText(plot.days[plot.days.length - 1]), valueText(highest, plot.unit), dayText(day));
}

/** @param {string} day */
function dayText(day) {
  return DAY.format(new Date(`${day}T00:00Z`));
}

/** @param {number | null | undefined} value @param {string} [unit] */
export function valueText(value, unit) {
  if (value === null || value === undefined) return "–";
  return unit ? `${EXACT.format(value)} ${unit}` : EXACT.format(value);
}

/** @typedef {Node | string | false | null} Content */
/** @param {string} tag @param {Record<string, string | number>} attributes @param {...(Content | Content[])} children */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(.../** @type {Array<Node | string>} */ (children.flat().filter(Boolean)));
  return element;
}
