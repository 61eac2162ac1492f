// Predict recordings one after the other, and show a short and a long view of each answer.

import { at, element, save } from "./charts.js";

/**
 * Take the recordings that are chosen in the element `file` or dropped on `drop`.
 * @param {string[]} labels - of the model.
 * @param {object} charts - from `charts(labels)`.
 * @param {(file: File) => Promise<object>} predict - returns duration, label, probabilities, segments
 *   and perhaps a reason; an error's message is shown.
 */
export function takeRecordings(labels, { colors, fillBars, draw }, predict) {
  let answers = []; // in order: { name, duration, label, probabilities, segments, reason }
  let [done, count, last] = [0, 0, Promise.resolve()];

  function add(files) {
    count += files.length;
    for (const file of files) {
      const item = element("li", "", element("span", "name", file.name), " ", element("span", "quiet", "waiting"));
      at("results").append(item);
      last = last.then(() => answer(item, file));
    }
    showProgress();
  }

  async function answer(item, file) {
    if (!item.isConnected) return; // cleared meanwhile
    item.lastChild.textContent = "predicting …";
    try {
      const found = { name: file.name, ...(await predict(file)) };
      if (!item.isConnected) return;
      answers.push(found);
      item.replaceChildren(view(found));
    } catch (error) {
      if (!item.isConnected) return;
      item.replaceChildren(element("span", "name", file.name), " ", element("span", "fault", error.message || error.name));
    }
    done += 1;
    showProgress();
  }

  /** The short view, which opens the long one. */
  function view({ name, duration, label, probabilities, segments, reason }) {
    const swatch = element("span", "swatch");
    swatch.style.background = colors[label] ?? "transparent";
    const share = label in probabilities ? ` ${Math.round(100 * probabilities[label])} %` : "";
    const bars = element("div", "bars");
    fillBars(bars, probabilities);
    const canvas = element("canvas", "");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Probability of each emotion over ${name}`);
    const short = element("summary", "", element("span", "name", name), " ", swatch, element("b", "", `${label}${share}`));
    short.append(" ", element("span", "quiet", `${duration.toFixed(1)} s`));
    const long = element("details", "", short, ...(reason ? [element("p", "quiet", reason)] : []), bars, canvas);
    const redraw = () => long.open && draw(canvas, segments, 0, segments.at(-1).end);
    long.ontoggle = redraw;
    new ResizeObserver(redraw).observe(long);
    return long;
  }

  function showProgress() {
    at("progress").textContent = count ? `${done} of ${count} ${count === 1 ? "recording is" : "recordings are"} done.` : "";
    at("save-results").disabled = !answers.length;
    at("clear-results").disabled = !count;
  }

  function table() {
    const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
    const rows = answers.map(({ name, duration, label, probabilities }) =>
      [quoted(name), duration.toFixed(3), label, ...labels.map((each) => probabilities[each].toFixed(6))].join(","),
    );
    return [["file", "duration", "label", ...labels.map((each) => `p_${each}`)].join(","), ...rows, ""].join("\n");
  }

  at("file").onchange = ({ target }) => {
    add([...target.files]);
    target.value = ""; // so that the same file can be chosen again
  };
  at("save-results").onclick = () => save("recordings.csv", table());
  at("clear-results").onclick = () => {
    [answers, done, count] = [[], 0, 0];
    at("results").replaceChildren();
    showProgress();
  };
  for (const kind of ["dragover", "dragleave", "drop"]) {
    at("drop").addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") add([...event.dataTransfer.files]);
    });
    document.addEventListener(kind, (event) => event.target.type !== "file" && event.preventDefault()); // else it leaves the page
  }
}
