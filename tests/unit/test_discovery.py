import os
import sys

import pytest

from image_spans import discovery
from image_spans.errors import ConfigError, nearest


def test_names_are_modules():
    assert discovery.names("image_spans.slicing") == ["fixed", "internvl", "llama4", "minicpm", "pixtral"]
    assert "_prompt" not in discovery.names("image_spans.pipelines")


def test_nearest():
    assert nearest("minicmp", ["minicpm", "fixed"]) == "; did you mean 'minicpm'?"
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nothing", "'nothing' is not of the form module:function"),
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("broken:f", "importing it raised RuntimeError: at import"),
        ("lacking:f", "importing it needs the module 'no_such_module'"),
        ("fine:encod", "fine has no 'encod'; did you mean 'encode'?"),
        ("fine:LIMIT", "'fine:LIMIT' is a int, not a function"),
    ],
)
def test_what_does_not_resolve(reference, said, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "lacking.py").write_text("import no_such_module")
    (tmp_path / "fine.py").write_text("LIMIT = 1\ndef encode(): pass")
    with pytest.raises(ConfigError) as error:
        discovery.resolve(reference, tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_folder_comes_first(tmp_path):
    (tmp_path / "my_pipeline_of_this_test.py").write_text("def encode(): return 'mine'")
    assert discovery.resolve("my_pipeline_of_this_test:encode", tmp_path)() == "mine"
    with pytest.raises(ConfigError, match="unknown slice rule 'fix'"):
        discovery.load("image_spans.slicing", "fix", "slice rule")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a:b", True),
        ("a.b.c:d", True),
        ("a", False),
        ("a:", False),
        (":b", False),
        ("a:b:c", False),
        ("a..b:c", False),
        ("a-b:c", False),
        ("a:b.c", False),
        ("a/b.py:c", False),
        ("", False),
    ],
)
def test_what_is_a_reference(name, is_one):
    assert discovery.is_reference(name) is is_one


def test_the_path_gets_a_folder_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "twice_of_this_test.py").write_text("def one(): return 1\ndef two(): return 2")
    assert discovery.resolve("twice_of_this_test:one", tmp_path)() == 1
    assert discovery.resolve("twice_of_this_test:two", tmp_path)() == 2
    assert sys.path.count(str(tmp_path)) == 1
    assert sys.path[0] == str(tmp_path)


def test_without_a_folder_the_path_is_asked():
    assert discovery.resolve("os.path:join") is os.path.join
    with pytest.raises(ConfigError, match="there is no module 'no_such_module' on sys.path"):
        discovery.resolve("no_such_module:f")
    with pytest.raises(ConfigError, match=r"there is no module 'os\.no_such_part'"):
        discovery.resolve("os.no_such_part:f")


def test_load_names_the_form_for_ones_own():
    with pytest.raises(ConfigError, match=r"did you mean 'fixed'\? \(or module:function\)"):
        discovery.load("image_spans.slicing", "fixd", "slice rule")
    assert discovery.load("image_spans.slicing", "fixed", "slice rule").__name__ == "image_spans.slicing.fixed"
