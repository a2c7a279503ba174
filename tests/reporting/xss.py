"""Hostile text, as it could come in a headline, a symbol, a sector, a note of a broker or a reason a person typed.

One list for every page, mail and message: wherever foreign text is shown, all of it must come out as the text it is. What runs calls
``pwned()`` (in a browser: define it before the page is loaded, and count), so that a test need not know how it got in.
"""

from __future__ import annotations

CALL = "pwned()"

HTML = (
    f"<script>{CALL}</script>",
    f"<ScRiPt src=data:text/javascript,{CALL}></sCrIpT>",
    f"<img src=x onerror={CALL}>",
    f'"><img src=x onerror="{CALL}">',
    f"'><svg onload={CALL}>",
    f"<svg><animate onbegin={CALL} attributeName=x dur=1s>",
    f"<body onload={CALL}>",
    f"<details open ontoggle={CALL}>",
    f"<iframe srcdoc='<script>parent.{CALL}</script>'></iframe>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={CALL}>",
    f"</title><script>{CALL}</script>",
    f"</script><script>{CALL}</script>",
    f"</textarea><script>{CALL}</script>",
    f"--><script>{CALL}</script>",
    f"]]><script>{CALL}</script>",
    f"<noscript><p title='</noscript><img src=x onerror={CALL}>'>",
    f"<style>@import 'javascript:{CALL}';</style>",
    f"<base href='javascript:{CALL}//'>",
    f"<meta http-equiv=refresh content='0;url=javascript:{CALL}'>",
    f"<form action='javascript:{CALL}'><button>x</button></form>",
    f"<a href='javascript:{CALL}'>Apple beats estimates</a>",
    f"<a xlink:href='java&#115;cript:{CALL}'>x</a>",
    "<b onmouseover=pwned&lpar;&rpar;>x</b>",
    "&lt;script&gt;pwned()&lt;/script&gt;",
    "&#60;img src=x onerror=pwned()&#62;",
    "<scr\x00ipt>pwned()</scr\x00ipt>",
    "\u003cimg src=x onerror=pwned()\u003e",
    "＜script＞pwned()＜/script＞",
)
"""For places that are HTML: pages, the self-contained report, mail."""

MARKDOWN = (
    f"[Apple beats](javascript:{CALL})",
    f"![x](x){{onerror={CALL}}}",
    f"![x](\" onerror={CALL} \")",
    f"<javascript:{CALL}>",
    f"[x]: javascript:{CALL}",
    "| cell | another |\n|---|---|\n| x | y |",
    "# heading\n* list\n> quote",
    "`code` **bold** _it_ ~~gone~~",
    "***\n---\n===",
    "\\<img src=x onerror=pwned()\\>",
)
"""For places that are Markdown: digests and chat messages."""

CHAT = (
    "<!channel> <!here> <!everyone> <@U0123456>",
    "<https://evil.example|https://bank.example>",
    "@everyone @here <@&123456>",
    "*bold* _it_ ~gone~ `code` ||spoiler||",
    "[click](https://evil.example)",
    "<tg-spoiler>x</tg-spoiler><a href='tg://resolve?domain=x'>x</a>",
)
"""For messengers: mentions that wake everybody, links that lie about where they lead."""

TEMPLATES = ("{{7*7}}", "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{0.__class__}", "%s%n%x")
"""For places where text could meet a template engine or a format: 49 must never come out."""

PLOTLY = (
    f"<a href='javascript:{CALL}'>AAPL</a>",
    "<b>AAPL</b><br><i>x</i><sup>2</sup>",
    "$\\href{javascript:pwned()}{AAPL}$",
    "%{customdata[0]}<extra></extra>",
)
"""For charts: Plotly reads a little HTML, LaTeX between dollars, and its own templates."""

FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example","x")', "＝1+1")
"""For cells of a spreadsheet: none may begin a formula."""

HEADERS = ("x\r\nSet-Cookie: pwned=1", "x\nBcc: everyone@evil.example", "x\r\n\r\n<script>pwned()</script>", "x%0d%0aSet-Cookie:%20pwned=1")
"""For headers of HTTP and mail: no line may be added."""

ODD = ("\u202eLPPA", "A\u200bAPL", "AAPL\ufeff", "𝔄𝔄𝔓𝔏", "é" + "\u0301" * 40, "A" * 5000, "\x1b[31mred\x1b[0m", "\x07\x08\x00", "null", "NaN", "__proto__", "constructor")
"""Text that turns round, hides, overflows or means something to a program."""

ALL = HTML + MARKDOWN + CHAT + TEMPLATES + PLOTLY + FORMULAS + HEADERS + ODD
"""Everything."""
