"""What DALL·E refuses before anything is loaded."""

from __future__ import annotations

import pytest
from tiny_dalle import write_model

from guidance.dalle.__main__ import main
from guidance.dalle.options import DalleOptions
from guidance.errors import GuidanceError


def test_mini_says_that_its_weights_are_missing(refused):
    refused(
        lambda *a: main(list(a)), ["a fox"], "mini-dalle.safetensors are missing", "--model PATH"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [({"number": 0}, "number must be at least 1 and at most 1024 but is 0"),
     ({"number": 1025}, "number must be"),
     ({"batch": 0}, "batch must be at least 1"),
     ({"best": 0}, "best must be at least 1"),
     ({"steps": 0}, "steps must be"),
     ({"cfg": -1.0}, "cfg must be"),
     ({"temperature": -0.1}, "temperature must be"),
     ({"top_k": -1}, "top_k must be"),
     ({"top_p": 0.0}, "top_p must be"),
     ({"rows": 2}, "--rows needs --init IMAGE, of which a part stays"),
     ({"mask": "{photo}"}, "--mask needs --init IMAGE"),
     ({"init": "{photo}"}, "--init needs --rows N, the rows that stay, or --mask IMAGE"),
     ({"init": "{photo}", "rows": 4}, "rows must be less than the 4 of "),
     ({"init": "{photo}", "rows": 0}, "rows must be at least 1"),
     ({"init": "{photo}", "rows": 2, "mask": "{photo}"}, "--rows and --mask contradict"),
     ({"init": "none.png", "rows": 2}, "none.png' does not exist"),
     ({"judge": "mimi"}, "did you mean mini"),
     ({"judge": "mini", "rerank": False}, "--judge compares with --rerank"),
     ({"prompt": "0: a fox | 3: a wolf"}, "a schedule or story cannot be used: 'a fox'"),
     ({"prompt": "a fox ^ a wolf"}, "a schedule or story cannot be used"),
     ({"model": "none.safetensors"}, "the checkpoint none.safetensors does not exist"),
     ({"model": "nome"}, "unknown DALL·E 'nome'"),
     ({"seed": 2**63 - 2}, "seed must be")],
)  # fmt: skip
def test_bad_input_is_one_line(more, message, model_path, photo):
    given = {"prompt": "a fox", "model": str(model_path), "number": 4, "device": "cpu"}
    more = {k: v.format(photo=photo) if isinstance(v, str) else v for k, v in more.items()}
    with pytest.raises(GuidanceError) as caught:
        DalleOptions(**(given | more)).check()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_told_is_what_was_given(model_path):
    given = DalleOptions(prompt="a fox at sunrise", model=str(model_path), number=20, batch=8)
    given.check()
    assert [p.text for p in given.told()] == ["a fox at sunrise"]
    assert given.total() == 3 * 16
    assert given.seeds() == tuple(range(20))


def test_a_file_that_has_changed_is_read_again(tmp_path, tiny_clip_path):
    path = write_model(tmp_path, tiny_clip_path)
    given = DalleOptions(prompt="a fox", model=str(path))
    given.check()
    path.write_bytes(b"none")
    with pytest.raises(GuidanceError, match="is no file of guidance"):
        given.check()
