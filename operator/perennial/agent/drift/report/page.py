"""The frame of every page: a single file without scripts, light and dark. All text from the data is escaped."""

from html import escape

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--text:#1c2430;--soft:#5b6675;--line:#d9dee5;--card:#f7f8fa;
--ref:#9db2cc;--cur:#c2410c;--bad:#b42318;--good:#157347;--unknown:#8a5a00}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--text:#e6eaf0;--soft:#9aa6b5;--line:#313a46;--card:#1a2028;
--ref:#4d6480;--cur:#fb923c;--bad:#ff8a7a;--good:#6fd39b;--unknown:#e0b35a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--text);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}
p{margin:.4rem 0}.soft{color:var(--soft)}.bad{color:var(--bad)}.good{color:var(--good)}.unknown{color:var(--unknown)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1rem}
article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem}
article.drifted{border-left:.3rem solid var(--bad)}
.plot{display:block;width:100%;height:auto;margin:.6rem 0}.plot text{font-size:10px;fill:var(--soft)}
.reference{fill:var(--ref)}.current{fill:none;stroke:var(--cur);stroke-width:2}rect.current{fill:var(--cur);stroke:none}
.axis{stroke:var(--line);fill:none}.bar{display:block;width:100%;height:.45rem;margin:1px 0}
table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:left;padding:.15rem .4rem .15rem 0;
vertical-align:top;font-weight:normal}thead th{color:var(--soft)}.bars th{width:30%}.bars td:last-child{width:32%;
white-space:nowrap;color:var(--soft)}.key{display:inline-block;width:1.2em;height:.7em;border-radius:2px}
.trend{display:block;width:100%;height:2.2rem;margin:.3rem 0;fill:none;stroke:var(--cur);stroke-width:2}
.limit{stroke:var(--bad);stroke-width:1;stroke-dasharray:3 3}a{color:inherit}
.scroll{overflow-x:auto}summary{cursor:pointer;color:var(--soft);font-size:.85rem}
"""


def page(title: str, *parts: str) -> str:
    """Return a page of parts that are HTML already; the title is text."""
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            *parts,
            "</main></body></html>",
        ]
    )
