// Answers to pictures, a bar for each emotion and the course of time, and to a file.

const COLOURS = { angry: "#d55e00", happy: "#e69f00", sad: "#0072b2", neutral: "#7f8790" };
const OTHERS = ["#009e73", "#cc79a7", "#56b4e9", "#b3a100"];

export const at = (id) => document.getElementById(id);

/** What shows answers of these labels: in the elements `now` and `bars`, and on a canvas. */
export function painter(labels) {
  const colours = Object.fromEntries(
    labels.map((label, place) => [label, COLOURS[label] ?? OTHERS[place % OTHERS.length]]),
  );
  const bars = labels.map((label) => barOf(label, colours[label]));

  function show({ label, probabilities }) {
    at("now").textContent = label;
    at("now").style.color = colours[label] ?? "";
    for (const bar of bars) {
      const share = Math.round(100 * probabilities[bar.label]);
      bar.fill.style.width = `${share}%`;
      bar.share.textContent = `${share} %`;
    }
  }

  function draw(canvas, answers, from, until) {
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    Object.assign(canvas, { width: width * dots, height: height * dots });
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const scale = width / Math.max(until - from, 1);
    for (const { start, end, probabilities } of answers) {
      let top = 0;
      for (const label of labels) {
        const share = probabilities[label] * (height - 18);
        pen.fillStyle = colours[label];
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

  return { show, draw };
}

export function csv(labels, segments) {
  const rows = segments.map(({ start, end, label, probabilities }) =>
    [start.toFixed(3), end.toFixed(3), label, ...labels.map((name) => probabilities[name].toFixed(6))].join(","),
  );
  return [["start", "end", "label", ...labels.map((name) => `p_${name}`)].join(","), ...rows, ""].join("\n");
}

export function save(name, content) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content])), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function barOf(label, colour) {
  const bar = document.createElement("div");
  bar.className = "bar";
  for (const part of ["name", "track", "share"]) bar.append(Object.assign(document.createElement("span"), { className: part }));
  const fill = Object.assign(document.createElement("div"), { className: "fill" });
  fill.style.background = colour;
  bar.children[0].textContent = label;
  bar.children[1].append(fill);
  at("bars").append(bar);
  return { label, fill, share: bar.children[2] };
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
