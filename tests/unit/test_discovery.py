import json
import os
import sys

import pytest

from image_spans import discovery
from image_spans.errors import ConfigError, nearest


def test_names_are_modules():
    rules = discovery.names("image_spans.slicing")
    assert {"fixed", "internvl", "llama4", "minicpm", "pixtral"} < {*rules}
    assert rules == sorted(rules)
    assert not [name for name in rules if name.startswith("_")]
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


@pytest.fixture
def two_folders(tmp_path, monkeypatch):
    """Two folders that have modules and packages of the same names; what they leave behind is taken away."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    for name in ("one", "two"):
        package = tmp_path / name / "package_of_this_test"
        package.mkdir(parents=True)
        (tmp_path / name / "module_of_this_test.py").write_text(f"def where(): return {name!r}")
        (package / "__init__.py").write_text("")
        (package / "inner.py").write_text(f"def where(): return {name!r}")
        (package / "relative.py").write_text("from .inner import where")
        (tmp_path / name / "bare_of_this_test").mkdir()
        (tmp_path / name / "bare_of_this_test" / "inner.py").write_text(f"def where(): return {name!r}")
    yield tmp_path / "one", tmp_path / "two"
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "module",
    [
        "module_of_this_test",
        "package_of_this_test.inner",
        "package_of_this_test.relative",
        "bare_of_this_test.inner",
    ],
)
def test_each_folder_has_its_own_module_of_one_name(two_folders, module):
    one, two = two_folders
    for _ in range(2):
        assert discovery.resolve(f"{module}:where", one)() == "one"
        assert discovery.resolve(f"{module}:where", two)() == "two"
    assert sys.modules[module].where() == "one"  # who came first keeps the name
    assert discovery.resolve(f"{module}:where", two) is discovery.resolve(f"{module}:where", two)


def test_a_module_of_a_folder_goes_before_one_of_the_standard_library(two_folders):
    (two_folders[0] / "json.py").write_text("def loads(): return 'mine'")
    assert discovery.resolve("json:loads", two_folders[0])() == "mine"
    assert discovery.resolve("json:loads", two_folders[1]) is json.loads


def test_what_does_not_resolve_in_the_second_folder(two_folders):
    one, two = two_folders
    assert discovery.resolve("package_of_this_test.inner:where", one)() == "one"
    with pytest.raises(ConfigError, match=r"there is no module 'package_of_this_test\.no_such_part' in .*two or on"):
        discovery.resolve("package_of_this_test.no_such_part:f", two)
    discovery.resolve("module_of_this_test:where", one)
    (two / "module_of_this_test.py").write_text("raise RuntimeError('at import')")
    for _ in range(2):
        with pytest.raises(ConfigError, match="'module_of_this_test:where': importing it raised RuntimeError: at imp"):
            discovery.resolve("module_of_this_test:where", two)


def test_load_names_the_form_for_ones_own():
    with pytest.raises(ConfigError, match=r"did you mean 'fixed'\? \(or module:function\)"):
        discovery.load("image_spans.slicing", "fixd", "slice rule")
    assert discovery.load("image_spans.slicing", "fixed", "slice rule").__name__ == "image_spans.slicing.fixed"
