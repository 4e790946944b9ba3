from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbatch.manifest import templates
from seedbatch.manifest.templates import Wrong, render, text

LONG = "a" * 90_000
NAMES = {"style": "film", "n": 5, "yes": True, "nothing": None, "half": 0.5, "list": ["a", "b"], "map": {"k": 1},
         "long": LONG, "empty": []}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{ n }}", 5),
        ("  {{ n }}\n", 5),
        ("{{n}}", 5),
        ("{{- n -}}", 5),
        ("{{ n + 1 }}", 6),
        ("{{ yes }}", True),
        ("{{ nothing }}", None),
        ("{{ list }}", ["a", "b"]),
        ("{{ map }}", {"k": 1}),
        ("{{ map.k }}", 1),
        ("{{ list[1] }}", "b"),
        ("n={{ n }}", "n=5"),
        ("{{ n }}{{ n }}", "55"),
        ("{{ yes }} {{ nothing }} {{ half }}", "true null 0.5"),
        ("{{ yes ~ nothing }}", "truenull"),
        ("{{ list|join(', ') }}", "a, b"),
        ("{% if yes %}y{% else %}n{% endif %}", "y"),
        ("{% for one in list %}{{ loop.index }}{{ one }}{{ ',' if not loop.last }}{% endfor %}", "1a,2b"),
        ("{{ style|upper }}!", "FILM!"),
        ("{{ style.title() }}", "Film"),
        ("{{ 'a-b'|replace('-', '+') }}", "a+b"),
        ("{{ 2.567|round(1) }}", 2.6),
        ("{{ missing|default('x') }}", "x"),
        ("{{ list|map('upper')|sort(reverse=true)|join }}", "BA"),
        ("{{ [3, 1, 3]|unique|list }}", [3, 1]),
        ("{{ [3, 1]|sum }}", 4),
        ("{{ [3, 1]|min }}", 1),
        ("{{ [{'k': 1}, {'k': 2}]|selectattr('k', 'gt', 1)|list }}", [{"k": 2}]),
        ("{{ map|sort }}", ["k"]),
        ('{{ "{{" }}', "{{"),
        ("{# said once #}{{ style }}", "film"),
        ("line\r\n", "line\r\n"),
        ("{{ style }}\n", "film"),
        ("a {{ style }}\n", "a film\n"),
    ],
)
def test_values(template, value):
    found = render(template, NAMES)
    assert (type(found), found) == (type(value), value)


def test_render_goes_into_lists_and_objects():
    assert render({"{{ n }}": ["{{ n }}", {"a": "x{{ n }}"}, 1]}, NAMES) == {"{{ n }}": [5, {"a": "x5"}, 1]}


@pytest.mark.parametrize(("template", "value"), [("{{ n }}", "5"), ("{{ yes }}", "true"), ("{{ nothing }}", "null")])
def test_text_is_text(template, value):
    assert text(template, NAMES) == value


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{{ styel }}", "template/undefined"),
        ("a {{ styel }}", "template/undefined"),
        ("{{ styel.a }}", "template/undefined"),
        ("{{ map.missing }}", "template/undefined"),
        ("{{ 'a' ~ styel }}", "template/undefined"),
        ("{% if styel %}{% endif %}", "template/undefined"),
        ("{{ n", "template/syntax"),
        ("{% for %}", "template/syntax"),
        ("{{ n / 0 }}", "template/failed"),
        ("{{ n + style }}", "template/failed"),
        ("a {{ list }}", "template/type"),
        ("{{ 10 ** 100 }}", "template/type"),
        ("{{ 1e308 * 10 }}", "template/type"),
        ("{{ range }}", "template/type"),
    ],
)
def test_errors_are_words(template, code):
    with pytest.raises(Wrong) as caught:
        render(template, NAMES)
    assert caught.value.code == code


def test_the_nearest_name_is_told():
    with pytest.raises(Wrong) as caught:
        render("{{ stile }}", NAMES)
    assert caught.value.hint == "did you mean style?"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ style.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ self.__class__ }}",
        "{{ style|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 'a'|center(999999999) }}",
        "{{ 'a'.center(999999999) }}",
        "{{ 'a'.zfill(999999999) }}",
        "{{ ['a']|map('center', 999999999)|list }}",
        "{{ [1]|slice(999999999)|list }}",
        "{{ 'a' * 999999999 }}",
        "{{ 999999999 * 'a' }}",
        "{{ 'a' * 50000 * 50000 }}",
        "{{ [0] * 999999999 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ (9 ** 999) ** 999 }}",
        "{{ 5|round(-999999999) * 1e400 }}",
        "{{ range(999999999) }}",
        "{{ range(0, -999999999, -1) }}",
        "{% for a in range(1000) %}" * 3 + "{% endfor %}" * 3,
        "{% for a in [1] %}{% if a %}{% for b in [1] %}{% endfor %}{% endif %}{% endfor %}",
        "{% for a in long %}{% endfor %}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for a in range(1000) %}{{ long|sort|length }}{% endfor %}",
        "{% for a in range(1000) %}{{ long|list|unique|list|length }}{% endfor %}",
        "{{ range(1000)|map('default', long)|map('string')|map('replace', '', long)|list }}",
        "{{ [long]|map('sort')|list }}",
        "{{ long|max }}",
        "{{ ([long] * 90000)|string }}",
        "{{ ([long] * 90000)|upper }}",
        "{{ ([long] * 90000)|wordcount }}",
        "{{ 'a'|replace('a', [long] * 90000) }}",
        "{{ ([long] * 90000)|join([long] * 90000) }}",
        "{% set a = 1 %}{{ a }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{{ lipsum(9999) }}",
        "{{ " + " ~ ".join(["long"] * 3000) + " }}",
        "{{ " + " + ".join(["long"] * 150) + " }}",
        "{{ long }}" * 3000,
        "x" + "{{ long ~ 'x' }}" * 3000,
        "{{ [long, long] }}",
        "{{ [long, long]|join }}",
        "{{ long|replace('a', long) }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ " + "1 + " * 9000 + "1 }}",
        "{{ n }} " + "x" * 200_000,
    ],
)  # fmt: skip
def test_a_short_template_is_a_short_computation(template):
    began = time.process_time()
    with pytest.raises(Wrong):
        render(template, NAMES)
    assert time.process_time() - began < 5


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["{{ n }}", "{{ style }}", "{{yes}}", "{{ nothing }}", " ", "x", "}", "{", "é"])))
def test_the_short_way_gives_what_jinja_gives(parts):
    template = "".join(parts)
    if not templates.is_template(template):
        return
    try:
        slow = templates._rendered(template, NAMES)
    except Wrong:
        return
    assert templates.render(template, NAMES) == slow


@settings(max_examples=300, deadline=None)
@given(st.text("{}%#n style|()[]'\"~+*.,-ifendor0 \n", max_size=40))
def test_no_template_raises_anything_else(template):
    for apply in (render, text):
        try:
            apply(template, NAMES)
        except Wrong as wrong:
            code = wrong.code
        else:
            continue
        assert code.startswith("template/")
