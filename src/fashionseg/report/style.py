"""The page's style: system fonts, one column that a phone can read, light and dark by the reader's setting."""

STYLE = """
:root{color-scheme:light dark;--page:#fff;--card:#f6f6f7;--ink:#18181b;--quiet:#6b6b76;--line:#e2e2e6;
--training:#2563eb;--validation:#d9480f;--best:#0b8a4b;--warn:#fff4d6;--warnink:#6b4b00}
@media(prefers-color-scheme:dark){:root{--page:#131316;--card:#1d1d22;--ink:#ececf0;--quiet:#9b9ba8;--line:#34343c;
--training:#7aa7ff;--validation:#ff9a5c;--best:#4fd08d;--warn:#3a2f10;--warnink:#ffdf8a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55
system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:2.2rem 1.1rem 4rem}
h1{font-size:2rem;margin:0;letter-spacing:-.02em}
h2{font-size:1.25rem;margin:2.6rem 0 .8rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:0 0 .5rem}
p{margin:.4rem 0 .9rem;max-width:75ch}
.lead,.quiet{color:var(--quiet)}.quiet{font-size:.9rem}
.warning{background:var(--warn);color:var(--warnink);padding:.7rem 1rem;border-radius:.6rem;max-width:none}
code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(135px,1fr));gap:.7rem;margin-top:1.3rem}
.tile{background:var(--card);border-radius:.7rem;padding:.9rem 1rem}
.tile b{display:block;font-size:1.75rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--quiet);font-size:.9rem}
.tile:first-child{background:var(--ink);color:var(--page)}.tile:first-child span{color:inherit;opacity:.75}
figure{margin:0 0 1rem}
figure img{display:block;width:100%;height:auto;border-radius:.6rem;border:1px solid var(--line)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:.8rem}
.charts.wide{display:block;columns:2 380px;column-gap:.8rem}
.chart img{margin:.5rem 0;background:#fff}
summary{cursor:pointer;margin:.8rem 0;color:var(--quiet)}
.chart{background:var(--card);border-radius:.7rem;padding:.7rem .8rem .3rem;margin:0}
.charts.wide .chart{break-inside:avoid;margin-bottom:.8rem}
.chart figcaption{font-size:.9rem;font-weight:600}
svg{display:block;width:100%;height:auto}
svg .grid{stroke:var(--line);fill:none}
svg .tick{fill:var(--quiet);font:11px system-ui,sans-serif}
svg .stage{stroke:var(--quiet);stroke-dasharray:3 3;fill:none}
svg .best{stroke:var(--best);stroke-width:1.6;fill:none}
svg path.training,svg path.validation{fill:none;stroke-width:2;stroke-linejoin:round}
svg path.training{stroke:var(--training)}svg path.validation{stroke:var(--validation)}
svg circle.training{fill:var(--training)}svg circle.validation{fill:var(--validation)}
.key{display:inline-block;width:1.1em;height:.22em;margin:0 .4em 0 .7em;vertical-align:middle;border-radius:1px}
.key:first-child{margin-left:0}
.key.training{background:var(--training)}.key.validation{background:var(--validation)}
.key.best{background:var(--best)}.key.stage{background:var(--quiet)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr));gap:1.6rem;align-items:start}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.32rem .7rem .32rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:500;overflow-wrap:anywhere}
.categories th{color:var(--quiet);font-size:.82rem;vertical-align:bottom}
.number{font-variant-numeric:tabular-nums;white-space:nowrap}
.categories td.number{min-width:4.5rem}
.swatch{display:inline-block;width:.85em;height:.85em;border-radius:.25em;margin-right:.55em;vertical-align:-.08em}
.bar{display:block;height:3px;border-radius:2px;background:var(--training);margin-top:2px}
"""
