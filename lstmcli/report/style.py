"""The style sheet of the page: light and dark as the viewer's system prefers, for desktops, phones and paper.

The colours are those of Okabe & Ito (2008), "Color Universal Design", darker on white and lighter on black, so that
each differs from the background by a contrast of at least 3 to 1.
"""

_LIGHT = """
--paper:#fbfbf9;--card:#fff;--ink:#1b1d22;--soft:#5a606b;--rule:#e3e4e0;--grid:#ebece8;
--c1:#0067a5;--c2:#c1440e;--c3:#00795b;--c4:#6b7280;--c5:#8e3b7d;--wash:#eef4f9;
--for:0 103 165;--against:193 68 14;"""
_DARK = """
--paper:#14161a;--card:#1c1f25;--ink:#eceef1;--soft:#a3abb8;--rule:#2f343d;--grid:#2a2f37;
--c1:#6cb8f0;--c2:#f29a5b;--c3:#4fd0a5;--c4:#9aa3b2;--c5:#e39ad2;--wash:#1b2732;
--for:108 184 240;--against:242 154 91;"""

STYLE = (
    ":root{color-scheme:light dark;" + _LIGHT.replace("\n", "") + "}"
    "@media (prefers-color-scheme:dark){:root{" + _DARK.replace("\n", "") + "}}"
    """
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:2.5rem 1.5rem 4rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;-webkit-text-size-adjust:100%}
h1{font-size:2rem;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .5rem}
h3{font-size:.95rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0 .8rem;max-width:70ch}
.lead{color:var(--soft);margin:0;overflow-wrap:anywhere;max-width:none}
.note{border-left:4px solid var(--c2);background:var(--wash);padding:.6rem .9rem;border-radius:0 6px 6px 0}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;list-style:none;padding:0;margin:1.1rem 0 1.6rem;font-size:.92rem}
a{color:var(--c1)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--c1);outline-offset:2px}
.columns{columns:2;column-gap:1.25rem;margin-bottom:1.25rem}
.columns>:last-child{margin-bottom:0}
section{margin:0 0 1.25rem;break-inside:avoid;background:var(--card);
border:1px solid var(--rule);border-radius:12px;padding:1.3rem 1.4rem;min-width:0;
scroll-margin-top:1rem}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1.5rem;align-items:center}
.big{font-size:3.4rem;font-weight:680;line-height:1.05;margin:.1rem 0;
font-variant-numeric:tabular-nums}
.big+p{color:var(--soft);margin-top:.2rem}
figure{margin:.4rem 0 0}
figcaption{color:var(--soft);font-size:.88rem;margin-top:.5rem;max-width:70ch}
svg{display:block;width:100%;height:auto;max-width:40rem}
svg text{fill:var(--ink);font-size:12px;font-family:inherit}
svg .tick,svg .title,svg .value{fill:var(--soft)}
svg .tick,svg .value{font-variant-numeric:tabular-nums}
svg .title{font-size:12px}
.grid{stroke:var(--grid);stroke-width:1}
.diagonal,.reference{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:2 4}
.join{stroke:var(--rule);stroke-width:3}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.line.c2{stroke-dasharray:7 5}
.line.c3{stroke-dasharray:1 5}
.line.c4{stroke-dasharray:9 4 1 4}
.line.c5{stroke-dasharray:3 3}
.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}
.dot.c1,.bar.c1,.band.c1,.grain.c1{fill:var(--c1)}
.dot.c2,.band.c2{fill:var(--c2)}
.dot.c3,.band.c3{fill:var(--c3)}
.dot.c4,.grain.c4,.band.c4{fill:var(--c4)}
.dot.c5,.band.c5{fill:var(--c5)}
.dot{stroke:var(--card);stroke-width:1.5}
.ring{fill:var(--card);stroke-width:2.2}
.bar,.band{stroke:none}
.band{fill-opacity:.16}
.grain{stroke:none;fill-opacity:.55}
.whisker{stroke-width:2.6;stroke-linecap:round}
.count{fill:var(--c4);fill-opacity:.28}
.cell{fill:var(--c1)}
svg .cell-text{font-variant-numeric:tabular-nums}
svg .cell-text.on{fill:var(--card)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;list-style:none;padding:0;margin:.2rem 0 .6rem;
font-size:.88rem}
.legend li{display:flex;align-items:center;gap:.45rem}
.legend .swatch{width:1.7rem;flex:none}
.scroll{margin-top:.7rem;overflow-x:auto;border-radius:4px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;color:var(--soft);font-size:.88rem;padding:0 0 .4rem}
th,td{padding:.32rem .7rem .32rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:500}
tbody th{font-weight:500;min-width:6.5rem}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.text{min-width:16rem}
details{margin-top:.7rem;font-size:.92rem}
summary{cursor:pointer;color:var(--c1);width:fit-content}
pre{overflow-x:auto;background:var(--wash);padding:.8rem;border-radius:8px;font-size:.82rem;line-height:1.45}
ol.mistakes{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));
gap:.9rem;list-style:none;padding:0;margin:.6rem 0 0}
.mistakes li{border:1px solid var(--rule);border-radius:8px;padding:.75rem .9rem;min-width:0}
.mistakes blockquote{margin:0 0 .5rem;overflow-wrap:anywhere}
.mistakes p{margin:0;font-size:.88rem;color:var(--soft)}
.mistakes b{color:var(--ink)}
mark{background:none;color:inherit;border-bottom:3px solid var(--c2);padding-bottom:1px}
mark.for,mark.against{border:0;border-radius:3px;padding:1px 2px;-webkit-print-color-adjust:exact;
print-color-adjust:exact}
mark.for{--of:var(--for)}
mark.against{--of:var(--against);text-decoration:underline}
.s1{background:rgb(var(--of)/.14)}.s2{background:rgb(var(--of)/.28)}.s3{background:rgb(var(--of)/.46)}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3rem 1.2rem;margin:.4rem 0;font-size:.92rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
@media (max-width:56rem){.columns{columns:1}.pair,ol.mistakes{grid-template-columns:minmax(0,1fr)}}
@media (max-width:34rem){body{padding:1.4rem .8rem 3rem}h1{font-size:1.5rem}
section{padding:1rem .9rem;border-radius:10px}
.big{font-size:2.7rem}
svg text,svg .title{font-size:13.5px}dl{grid-template-columns:minmax(0,1fr);gap:0}dd{margin-bottom:.5rem}}
@media print{body{max-width:none;padding:0}section{break-inside:avoid}nav{display:none}}
"""
)
