import pytest

from image_spans import discovery
from image_spans.errors import ConfigError, nearest


def test_names_are_modules():
    assert discovery.names("image_spans.slicing") == ["fixed", "minicpm"]
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
