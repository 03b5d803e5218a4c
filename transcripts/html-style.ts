/** How the exported page looks: one style sheet, no font, picture or script from anywhere. Light or dark, as the reader's system is. */
export const STYLE = `
:root{color-scheme:light dark;--paper:#fdfcfa;--ink:#22201c;--soft:#6d675e;--line:#e4dfd6;--card:#fff;--code:#f5f2ec;--person:#1f6f54;--agent:#3557a5;--tool:#7a5c1e;--good:#1f7a4d;--warn:#9a6700;--bad:#b3261e;--link:#3557a5}
@media (prefers-color-scheme:dark){:root{--paper:#171614;--ink:#e9e4da;--soft:#9c9488;--line:#34312c;--card:#1e1d1a;--code:#262420;--person:#6cc5a1;--agent:#9ab4f5;--tool:#d9b668;--good:#6fcf97;--warn:#e2b24a;--bad:#f2877f;--link:#9ab4f5}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
header,nav,main,footer{max-width:54rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 1rem;letter-spacing:-.01em}
h2{font-size:1.05rem;margin:2.5rem 0 .75rem;padding-top:.9rem;border-top:2px solid var(--line)}
h2 small{font-weight:400;color:var(--soft)}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0 0 1.25rem;font-size:.875rem}
dt{color:var(--soft)}dd{margin:0;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-size:.875rem;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500}
td.n{font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}
article{background:var(--card);border:1px solid var(--line);border-left:3px solid var(--line);border-radius:8px;padding:.6rem .9rem;margin:.6rem 0;content-visibility:auto;contain-intrinsic-size:auto 6rem}
article.person{border-left-color:var(--person)}article.agent{border-left-color:var(--agent)}article.tool{border-left-color:var(--tool)}
article.system{background:none;border-style:dashed;border-left-style:dashed}
article:target{outline:2px solid var(--link);outline-offset:2px}
article>header{display:flex;flex-wrap:wrap;gap:.1rem .7rem;align-items:baseline;padding:0;max-width:none;margin:0;font-size:.875rem}
.seq{color:var(--soft);font-variant-numeric:tabular-nums}
.who{font-weight:600}
.person .who{color:var(--person)}.agent .who{color:var(--agent)}.tool .who{color:var(--tool)}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.details,time{color:var(--soft);font-size:.8125rem}
time{margin-left:auto;white-space:nowrap;font-variant-numeric:tabular-nums}
.said{white-space:pre-wrap;margin:.45rem 0 0;unicode-bidi:plaintext}
.code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;background:var(--code);border-radius:6px;padding:.6rem .75rem;margin:.5rem 0 0;overflow-x:auto;white-space:pre-wrap;tab-size:4}
.note{color:var(--soft);font-size:.875rem;margin:.4rem 0 0}
details{margin:.45rem 0 0}
summary{cursor:pointer;color:var(--soft);font-size:.875rem}
summary code{color:var(--ink)}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
nav summary,h3{font-size:1rem;font-weight:600;color:var(--ink)}
figure{margin:.5rem 0 0}figcaption{color:var(--soft);font-size:.8125rem}
img{max-width:100%;max-height:32rem;border-radius:6px;border:1px solid var(--line)}
.end{color:var(--soft);font-size:.875rem;margin:.75rem 0 0}
footer{color:var(--soft);font-size:.8125rem;padding-top:2rem;padding-bottom:3rem}
@media print{article{break-inside:avoid;content-visibility:visible}details:not([open])>*{display:block}}
`
