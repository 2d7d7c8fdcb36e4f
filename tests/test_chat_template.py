"""Chat templates compile alike in the exporter and in the engine, as Hugging Face's library would render them."""

from __future__ import annotations

import pytest

from youtu_edge.chat_template import TemplateSourceError, compile_template


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% generation %}{{ name }}{% endgeneration %}!", "Ada!"),
        ("{%- generation -%}  {{ name }}  {%- endgeneration -%}  !", "Ada!"),
        ("{% for x in 'abc' %}{% generation %}{{ x }}{% endgeneration %}{% break %}{% endfor %}", "a"),
        ("{% set y = 1 %}{% generation %}{% set y = 2 %}{{ y }}{% endgeneration %}{{ y }}", "21"),
        ("{% generation %}{% for x in 'ab' %}{{ loop.index }}{{ x }}{% endfor %}{% endgeneration %}", "1a2b"),
        ("{{ {'b': 1, 'a': 'é'} | tojson(separators=(',', ':'), sort_keys=True) }}", '{"a":"é","b":1}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{% for x in 'ab' %}{% if x == 'a' %}{% continue %}{% endif %}{{ x }}{% endfor %}", "b"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
    ],
)  # fmt: skip
def test_what_hugging_face_renders_is_rendered(source: str, text: str) -> None:
    assert compile_template(source).render({"name": "Ada"}) == text


def test_the_names_that_a_template_looks_up_are_known() -> None:
    """Also those inside of {% generation %}."""
    assert compile_template("{% generation %}{{ name }}{% endgeneration %}{{ tools }}").names == {"name", "tools"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a\n{% for x in messages %}", "line 2: Unexpected end of template"),
        ("{{ messages", "line 1: unexpected end of template"),
        ("{% generation %}", "line 1: Unexpected end of template"),
        ("\n\n{{ x | no_such_filter }}", "line 3: No filter named 'no_such_filter'"),
        ("{{ x is no_such_test }}", "line 1: No test named 'no_such_test'"),
        ("{% no_such_tag %}", "line 1: Encountered unknown tag 'no_such_tag'"),
        ("{% break %}", "SyntaxError: 'break' outside loop"),
        ("{% for x in y %}" * 30 + "{% endfor %}" * 30, "SyntaxError: too many statically nested blocks"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "RecursionError"),
        ("{{ " + "9" * 5000 + " }}", "ValueError"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_one_kind_of_error_with_its_line(source: str, reason: str) -> None:
    """Jinja and the Python that it makes have many kinds."""
    with pytest.raises(TemplateSourceError, match=reason.partition(":")[0]) as caught:
        compile_template(source)
    assert reason in str(caught.value)
