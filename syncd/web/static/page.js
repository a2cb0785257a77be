// What the page does by itself: hears what happens, opens dialogs, draws curves. Everything else is plain HTML and htmx.
(() => {
  "use strict";

  const body = document.body;

  // -- what happens: the stream only says that something did; htmx then asks for the parts that show it

  const tell = (name) => body.dispatchEvent(new CustomEvent(name));

  function listen(url) {
    const stream = new EventSource(url);
    const line = document.getElementById("connection");
    stream.addEventListener("progress", (event) => { grow(JSON.parse(event.data)); tell("syncd:progress"); });
    const changes = [
      "reset", "pass_started", "pass_finished", "pass_failed", "planned", "published", "transfer_failed",
      "removals_parked", "state_changed", "manifest_accepted", "manifest_rejected", "manifest_withdrawn",
      "damage_found", "job_started", "job_advanced", "job_ended", "damage_mended", "store_changed", "audited", "daemon_started", "daemon_stopping",
    ];
    for (const change of changes) stream.addEventListener(change, () => tell("syncd:changed"));
    let lost = 0;
    stream.onerror = () => {
      lost ||= setTimeout(() => { line.textContent = line.dataset.lost; line.className = "shown"; }, 4000);
    };
    stream.onopen = () => {
      clearTimeout(lost);
      if (lost && line.className === "shown") { line.textContent = line.dataset.back; line.className = "hidden"; tell("syncd:changed"); }
      lost = 0;
    };
    addEventListener("pagehide", () => stream.close());
  }

  // -- dialogs

  document.addEventListener("click", (event) => {
    const opens = event.target.closest("[data-opens]");
    if (opens) document.getElementById(opens.dataset.opens)?.showModal();
    const closes = event.target.closest("[data-closes]");
    if (closes) document.getElementById(closes.dataset.closes)?.close();
  });

  // -- curves

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];
  function size(value) {
    let at = 0;
    while (Math.abs(value) >= 1000 && at < SIZES.length - 1) { value /= 1000; at += 1; }
    return `${+value.toPrecision(3)} ${SIZES[at]}`;
  }
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  function draw(figure, points) {
    const box = figure.querySelector(".plot");
    const isRate = figure.dataset.shows === "rate";
    box.replaceChildren();
    const axis = { stroke: color("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
    const since = () => {
      const now = Date.now() / 1000;
      return [Math.max(now - DAY, Math.min(points[0][0] ?? now, now - 600)), Math.max(now, points[0].at(-1) ?? 0)];
    };
    return new uPlot({
      width: box.clientWidth, height: box.clientHeight, legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      padding: [8, 20, 0, 0],
      scales: {
        x: { time: true, range: since },
        y: { range: (_, __, high) => [0, Math.max((high ?? 0) * 1.08, isRate ? 1000 : 5)] },
      },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, splits) => splits.map(utc) },
        { ...axis, size: 72, values: (_, splits) => splits.map((one) => isRate ? (one ? `${size(one)}/s` : "0") : one.toLocaleString("en")) },
      ],
      series: [{}, { label: figure.dataset.label, stroke: color("--accent"), fill: color("--accent-wash"), width: 1.6, points: { show: false } }],
    }, points, box);
  }

  const DAY = 86400;
  const MOST = 5000; // points of a curve
  const drawn = []; // each curve: its figure, its points, its plot

  // the newest point comes with the stream, long before the next sample does
  function grow({ mirror, progress }) {
    for (const curve of drawn) {
      if (curve.figure.dataset.mirror !== mirror) continue;
      const value = progress === null ? 0 : curve.figure.dataset.shows === "rate" ? progress.rate : progress.files - progress.files_done;
      curve.points[0].push(Date.now() / 1000);
      curve.points[1].push(value);
      if (curve.points[0].length > MOST) for (const one of curve.points) one.shift();
      curve.plot.setData(curve.points);
    }
  }

  async function curves() {
    if (typeof uPlot === "undefined") return;
    const asked = new Map();
    for (const figure of document.querySelectorAll("figure[data-curve]")) {
      const url = figure.dataset.curve;
      if (!asked.has(url)) asked.set(url, fetch(url).then((answer) => (answer.ok ? answer.json() : { samples: [] })));
      const { samples } = await asked.get(url);
      const points = [samples.map((one) => one.at), samples.map((one) => one[figure.dataset.shows])];
      const curve = { figure, points, plot: draw(figure, points) };
      drawn.push(curve);
      figure.dataset.drawn = samples.length;
      const box = figure.querySelector(".plot");
      new ResizeObserver(() => curve.plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        curve.plot.destroy();
        curve.plot = draw(figure, points);
      });
    }
  }

  // -- parts that renew themselves: an answer that has no such part (a login, an error) never empties the one we show

  document.addEventListener("htmx:before:swap", (event) => {
    const { select, text, response } = event.detail.ctx;
    if (!select || select === "#main" || text.includes(`id="${select.slice(1)}"`)) return;
    event.preventDefault();
    if (response.status < 500) location.reload();
  });

  // -- many mirrors: those whose name or title holds what is typed

  const filter = document.getElementById("filter");
  function sift() {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of document.querySelectorAll("table.mirrors tbody tr"))
      row.hidden = !row.querySelector("th").textContent.toLowerCase().includes(wanted);
  }
  if (filter) {
    filter.hidden = false;
    filter.addEventListener("input", sift);
    document.addEventListener("htmx:after:swap", sift);
  }

  if (body.dataset.stream) listen(body.dataset.stream);
  curves();

  // a swap that took away what made a dialog modal closes it
  document.addEventListener("htmx:after:swap", () => {
    for (const dialog of document.querySelectorAll("dialog[open]")) if (!dialog.matches(":modal")) dialog.removeAttribute("open");
  });
})();
