// Draw predictions as bars and over time, and save them as files.

const COLORS = { angry: "#d55e00", happy: "#e69f00", sad: "#0072b2", neutral: "#7f8790" };
const OTHER_COLORS = ["#009e73", "#cc79a7", "#56b4e9", "#b3a100"];

export const at = (id) => document.getElementById(id);

/** The element of a speaker, 0 or 1. */
export const of = (id, channel) => at(channel ? `${id}-2` : id);

/** Set a text; screen readers do not announce one that stays. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Make an element; texts among its children are never read as HTML. */
export function element(name, className, ...children) {
  const made = Object.assign(document.createElement(name), { className });
  made.append(...children);
  return made;
}

/**
 * Functions that show predictions of these labels: in the elements `label`, `lately` and `bars`, of the second of two
 * speakers in `label-2` and so on, and on a canvas. A label that is less probable than `minConfidence` is uncertain.
 */
export function charts(labels, minConfidence) {
  const colors = Object.fromEntries(
    labels.map((label, index) => [label, COLORS[label] ?? OTHER_COLORS[index % OTHER_COLORS.length]]),
  );
  const bars = [0, 1].map((channel) => labels.map((label) => newBar(of("bars", channel), label, colors[label])));

  /** Show one prediction: of the last seconds first, where the model tells it apart. */
  function show({ label, probabilities, recent, reason = "", channel = 0 }) {
    const shares = recent ?? probabilities;
    const best = labels.reduce((highest, name) => (shares[name] > shares[highest] ? name : highest));
    const now = recent && !reason ? (recent[best] < minConfidence ? "uncertain" : best) : label;
    setText(of("label", channel), now);
    of("label", channel).style.borderColor = colors[now] ?? "";
    setText(of("lately", channel), reason || (recent ? `Last 20 seconds: ${label}` : ""));
    setShares(bars[channel], shares);
  }

  /** Add bars to an element. */
  function fillBars(parent, probabilities) {
    setShares(labels.map((label) => newBar(parent, label, colors[label])), probabilities);
  }

  /** Show a text in place of a label, and empty bars. */
  function showText(text) {
    const probabilities = Object.fromEntries(labels.map((label) => [label, 0]));
    for (const channel of [0, 1]) show({ label: text, probabilities, channel });
  }

  /** Draw segments over time, `from` to `until` in seconds. */
  function draw(canvas, segments, from, until) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const scale = width / Math.max(until - from, 1);
    for (const { start, end, probabilities } of segments) {
      let top = 0;
      for (const label of labels) {
        const share = probabilities[label] * (height - 18);
        pen.fillStyle = colors[label];
        pen.fillRect((start - from) * scale, top, (end - start) * scale + 0.5, share);
        top += share;
      }
    }
    pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--muted");
    pen.font = "12px system-ui";
    pen.fillText(clock(from), 0, height - 4);
    pen.textAlign = "right";
    pen.fillText(clock(until), width, height - 4);
  }

  return { colors, show, showText, fillBars, draw };
}

/** Segments as CSV: start, end, channel if there are two, label, and a probability per label. */
export function csv(labels, segments) {
  const several = segments.some(({ channel }) => channel !== undefined);
  const rows = segments.map(({ start, end, channel = "", label, probabilities }) =>
    [start.toFixed(3), end.toFixed(3), ...(several ? [channel] : []), label, ...labels.map((name) => probabilities[name].toFixed(6))].join(","),
  );
  return [["start", "end", ...(several ? ["channel"] : []), "label", ...labels.map((name) => `p_${name}`)].join(","), ...rows, ""].join("\n");
}

/** Let the browser save a file. */
export function save(name, content) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 40_000); // Safari and Firefox read it later
}

function setShares(bars, shares) {
  for (const { label, fill, share } of bars) {
    const percent = Math.round(100 * shares[label]);
    fill.style.width = `${percent}%`;
    share.textContent = `${percent} %`;
  }
}

function newBar(parent, label, color) {
  const fill = element("div", "fill");
  fill.style.background = color;
  const share = element("span", "share");
  parent.append(element("div", "bar", element("span", "name", label), element("span", "track", fill), share));
  return { label, fill, share };
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
