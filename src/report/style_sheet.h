// The page's looks: light and dark by the reader's system, one column on a phone.
#pragma once

namespace carat {

inline constexpr const char* kStyleSheet = R"css(
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d1f23; --soft: #5d636e; --line: #dfe1e6; --grid: #e9eaee;
  --original: #2563a8; --qat: #c2570c; --control: #7a8290;
  --better: #17703a; --worse: #b3261e; --tie: #4a5160; --open: #8a5a00;
  --better-bg: #e3f4e8; --worse-bg: #fde8e6; --tie-bg: #eceef2; --open-bg: #fdf1d8; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171b; --card: #1d2026; --ink: #e8eaee; --soft: #a1a8b5; --line: #343943; --grid: #2a2e37;
  --original: #6fb1f5; --qat: #f59a4c; --control: #98a1b0;
  --better: #7fd69b; --worse: #ff9d94; --tie: #c3cad6; --open: #f0c36a;
  --better-bg: #16341f; --worse-bg: #431b18; --tie-bg: #2c313b; --open-bg: #3d2f10; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.15rem; margin: 36px 0 4px; }
p, ul { margin: 8px 0; }
.soft, figcaption, .note { color: var(--soft); font-size: .9rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; margin: 14px 0; }
.lead { font-size: 1.12rem; }
ul.plain { list-style: none; padding: 0; }
ul.plain > li { padding: 8px 0; border-top: 1px solid var(--line); }
ul.plain > li:first-child { border-top: 0; }
.chip { display: inline-block; padding: 0 8px; border-radius: 99px; font-size: .82rem; font-weight: 600;
  white-space: nowrap; margin-right: 4px; }
.chip.better { color: var(--better); background: var(--better-bg); }
.chip.worse { color: var(--worse); background: var(--worse-bg); }
.chip.tie { color: var(--tie); background: var(--tie-bg); }
.chip.open { color: var(--open); background: var(--open-bg); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 10px 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 8px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; text-align: right; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
.left { text-align: left; }
td.name { font-weight: 600; }
tr.break > td { border-top: 3px solid var(--line); }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px; background: currentColor; }
.dot.original { color: var(--original); } .dot.qat { color: var(--qat); } .dot.control { color: var(--control); }
.cell { display: block; min-width: 64px; }
.cell > i { display: block; height: 5px; border-radius: 3px; margin-top: 2px; background: var(--control); }
.cell.better > b { color: var(--better); } .cell.worse > b { color: var(--worse); } .cell > b { font-weight: 500; }
figure { margin: 10px 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif; }
svg.narrow { display: none; }
svg text { fill: var(--ink); } svg .label { paint-order: stroke; stroke: var(--card); stroke-width: 3px; } svg .tick { fill: var(--soft); font-size: 11px; } svg .axis { fill: var(--soft); }
svg .grid { stroke: var(--grid); } svg .zero { stroke: var(--soft); }
svg .front { fill: none; stroke: var(--soft); stroke-dasharray: 5 4; }
svg .error { stroke-width: 1.5; opacity: .45; } svg .interval { stroke: var(--ink); stroke-width: 1.2; }
svg .error.original { stroke: var(--original); } svg .error.qat { stroke: var(--qat); }
svg .error.control { stroke: var(--control); }
svg .bar { opacity: .55; }
svg .bar.original, svg .point.original { fill: var(--original); stroke: var(--original); }
svg .bar.qat, svg .point.qat { fill: var(--qat); stroke: var(--qat); }
svg .bar.control, svg .point.control { fill: var(--control); stroke: var(--control); }
svg .point.hollow { fill: var(--card); stroke-width: 2; }
svg text.label.original { fill: var(--original); } svg text.label.qat { fill: var(--qat); }
svg .spread { fill: none; stroke-width: 1.8; opacity: .8; }
svg .spread.original { stroke: var(--original); } svg .spread.qat { stroke: var(--qat); }
svg .spread.control { stroke: var(--control); }
svg .span { stroke: var(--control); stroke-width: 2; } svg .mark { fill: var(--control); }
svg .span.better { stroke: var(--better); } svg .mark.better { fill: var(--better); }
svg .span.worse { stroke: var(--worse); } svg .mark.worse { fill: var(--worse); }
svg .heat { fill: var(--qat); }
svg .value { fill: var(--soft); font-size: 11px; }
code, .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .84rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 14px; margin: 8px 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.key { white-space: nowrap; margin-right: 12px; }
@media (max-width: 640px) {
  main { padding: 16px 10px 48px; }
  svg.wide { display: none; } svg.narrow { display: block; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: 6px; }
  th, td { padding: 5px 8px; }
  td:first-child, th:first-child { min-width: 32vw; max-width: 44vw; white-space: normal; overflow-wrap: anywhere; }
  .key { white-space: normal; }
}
@media print { .scroll { overflow: visible; } }
)css";

}  // namespace carat
