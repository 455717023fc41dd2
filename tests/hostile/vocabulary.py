"""Texts that break what is put together carelessly: SQL, SOQL, CSV, JSON, templates, terminals, Unicode itself."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

#: What a text of Salesforce's can hold.
TEXTS: tuple[str, ...] = (
    "'; drop table sf_raw.sf_user; --",
    "' OR '1'='1",
    "x' UNION SELECT Id FROM User--",
    "Robert'); DELETE FROM sf_user;--",
    "$$; drop schema sf_raw cascade; $$",
    "/* comment */ -- and another",
    "it's",
    "''",
    "'",
    '"',
    '""',
    '"quoted", and a comma',
    '","',
    "a,b;c\td|e",
    "line one\nline two",
    "line one\r\nline two",
    "ends in a newline\n",
    "\n",
    "a lone\rcarriage return",
    "back\\slash \\' \\n \\\\ \\u0041",
    "\\",
    "100 %",
    "_under_score_",
    "%s %d %(name)s {0} {name}",
    "{{ 1/0 }}",
    "{% for x in y %}{{ x }}{% endfor %}",
    "{{ conn.salesforce_default.password }}",
    "${HOME} $(id) `id`",
    "<script>alert('x')</script>",
    "<![CDATA[ & ]]> &amp; &#0;",
    "\ufeffa byte order mark",
    "\ufeff",
    "line\u2028separator\u2029paragraph",
    "zero\u200bwidth\u200djoiner\u2060",
    "\u202eright to left override\u202c",
    "نورة أحمد",
    "שלום עולם",
    unicodedata.normalize("NFC", "Åsa Öberg é"),
    unicodedata.normalize("NFD", "Åsa Öberg é"),
    "Z̸̢͇a̵͎͂l̷͚̏g̴̫̈o̷̹͌",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
    "𝕏 𐍈 \U0010ffff",
    "\ufffd\ufffe\uffff",
    "東京都 部 한국어",
    "ß ẞ SS ss ﬀ İ ı",
    "null",
    "NULL",
    "None",
    "nan",
    "NaN",
    "#N/A",
    "N/A",
    "\\N",
    "undefined",
    "true",
    "0",
    "007",
    "1e5",
    "1,234.50",
    "0x1F",
    "1/2/2026",
    "2026-01-05T06:00:00Z",
    "=1+1",
    '=HYPERLINK("http://x")',
    "+1-1",
    "@SUM(A1)",
    " leading",
    "trailing ",
    " ",
    "\t",
    "\u00a0",
    "\u3000",
    "\x01\x02\x1b[31mred\x1b[0m\x7f",
    "\x1a",
    "\x85next line",
    "v",
    "n",
    "nv",
    ",name,",
    "select",
    "x" * 255,
    "é" * 200,
    "😀" * 120,
)

#: Characters that hypothesis builds further texts of, besides any others.
_METACHARACTERS = "'\"\\,;%_{}[]()<>|&$#@!~`^*=+-\n\r\t\x1a\ufeff\u2028 naNvV0"


def texts(*, max_size: int = 80) -> st.SearchStrategy[str]:
    """Any text that is made of characters, NUL excepted.

    :param max_size: most characters.
    """
    anything = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")
    return st.one_of(
        st.sampled_from([text for text in TEXTS if len(text) <= max_size]),
        st.text(st.one_of(st.sampled_from(_METACHARACTERS), anything), max_size=max_size),
    )


def any_texts(*, max_size: int = 80) -> st.SearchStrategy[str]:
    """Any text at all, NUL and halves of surrogate pairs included.

    :param max_size: most characters.
    """
    return st.one_of(texts(max_size=max_size), st.text(st.characters(), max_size=max_size))
