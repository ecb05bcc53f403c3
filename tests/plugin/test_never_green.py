"""A run is never green because nothing was tested: each way to that is an error, or is said loudly."""

from __future__ import annotations

import pytest
from consumer_repository import ABSENT, FILE, SECOND, YAML

OWN = "def test_own():\n    pass\n"
UNLOADABLE = """\
  unloadable:
    tokenizer: {factory: assembly:load}
    pipeline: assembly:right
    contract: {bos: none, images: {grammar: run, placeholder: <slot>, slots: 4}}
"""
LOAD = """

def load():
    from image_spans.errors import Unavailable

    raise Unavailable("the licence server is down")
"""


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        ("subjects: {}\n", "subjects: there is no subject; add at least one"),
        ("subjects:\n", "subjects: there is no subject; add at least one"),
        ("", "the required key 'subjects' is missing"),
        (f"subjects:\n{ABSENT}", "none of its subjects can be had, so nothing would be tested: absent: the package *"),
        (
            YAML.partition("version: 1\n")[2].replace("contract:\n", "contract:\n      input: {images: 0..0}\n", 1),
            "images allows none, so nothing about images would be tested",
        ),
    ],
    ids=["no subjects", "subjects left empty", "no key", "all skipped", "no image allowed"],
)
def test_a_yaml_that_tests_nothing_is_refused(consumer, refused, subjects, said):
    consumer(yaml="version: 1\n" + subjects)
    line = refused()
    assert all(part in line for part in said.split("*")), line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spans-checks=span"], "--spans-checks: unknown check 'span'; did you mean 'spans'?"),
        (["--spans-checks=spans.matchd,text"], "unknown check 'spans.matchd'; did you mean 'spans.matched'?"),
        (["--spans-checks=,"], "--spans-checks: names no check"),
        (["--spans-checks=spans.bounds"], "applies to no subject: the pipeline does not return image_bounds"),
        (["--spans-subjects=tokenizers_under_tests.yaml"], f"did you mean {FILE!r}?"),
        (["--spans-subjects=mine"], f"there is no file mine; it is a subject of {FILE}: select it with -k mine"),
        ([f"{FILE}::test_conversations::test_conversation[mien-start-spans.matched]"], "not found: "),
    ],
)
def test_a_misspelt_name_in_an_option_is_refused(consumer, run, arguments, said):
    consumer()
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            YAML.replace("mine", "m\xefne").encode("latin-1"),
            ":3: is not UTF-8 (byte 0xef); save it as",
        ),
        (YAML.encode("utf-16"), ":1: is not UTF-8 (byte 0xff); save it as UTF-8"),
        (b"\0" * 10_000_000, ": is larger than 1 MB; expected a file that describes subjects"),
        (b"", ": is empty; expected the keys version and subjects"),
        (None, ": is a folder; expected a YAML file"),
        ("nowhere.yaml", ": there is no such file"),
        (FILE, ": cannot be read: Too many levels of symbolic links"),
    ],
    ids=["latin-1", "UTF-16", "10 MB of nonsense", "empty", "folder", "link to nowhere", "link to itself"],
)
def test_a_file_that_cannot_be_read_is_refused(consumer, own_tests, refused, content, said):
    file = consumer().path / FILE
    own_tests(OWN)
    file.unlink()
    if content is None:
        file.mkdir()
    elif isinstance(content, str):
        file.symlink_to(content)
    else:
        file.write_bytes(content)
    assert refused().startswith(f"ERROR: {FILE}{said}")
    if isinstance(content, bytes):
        assert refused(f"--spans-subjects={FILE}").startswith(f"ERROR: {FILE}{said}")
        assert "there is no file mine" in refused("--spans-subjects=mine")


def test_a_grammar_that_cannot_be_found_is_one_failed_test(consumer, run):
    consumer(
        yaml=YAML.replace("      slices:", "      # slices:").replace("slots: 4}", "slots: 4, grammar: 'no:where'}")
    )
    result = run("-k", "test_subject or start")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "errors" not in result.parseoutcomes()
    result.stdout.fnmatch_lines([f"{FILE}:3: subjects.mine: 'no:where': there is no module 'no' in *"])


def test_a_subject_that_k_misspells_selects_nothing(consumer, run):
    consumer()
    result = run("-k", "mien")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([f"image-spans: NOTHING TESTED of {FILE}: its tests were deselected *"])


def test_subjects_that_are_all_skipped_when_they_load(consumer, run):
    repository = consumer(yaml="version: 1\nsubjects:\n" + UNLOADABLE)
    with (repository.path / "assembly.py").open("a") as module:
        module.write(LOAD)
    result = run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "image-spans: NOT TESTED: unloadable: the licence server is down",
            "image-spans: ERROR: nothing was tested, so the run fails",
        ]
    )


def test_a_subject_that_is_skipped_when_it_loads_beside_one_that_is_not(consumer, run):
    repository = consumer(yaml=YAML + UNLOADABLE)
    with (repository.path / "assembly.py").open("a") as module:
        module.write(LOAD)
    result = run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["image-spans: NOT TESTED: unloadable: the licence server is down"])
    assert "ERROR" not in result.stdout.str()
    assert run("--spans-require-all").ret == pytest.ExitCode.TESTS_FAILED


def test_a_subject_that_cannot_be_had_is_named_at_the_end_too(consumer, run):
    consumer(yaml=YAML + ABSENT)
    result = run("-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["image-spans: NOT TESTED: absent: the package no-such-distribution is not installed *"]
    )


def test_a_subject_to_which_no_chosen_check_applies(consumer, run):
    without_bounds = SECOND
    with_bounds = YAML.replace(
        "pipeline: assembly:PIPELINE", "pipeline: {encode: flat_slices, returns: [image_bounds]}"
    )
    consumer(yaml=with_bounds + without_bounds)
    result = run("--spans-checks=spans.bounds")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["  not tested other: no check of --spans-checks applies to it"])


def test_a_yaml_that_is_not_collected(consumer, own_tests, run):
    consumer()
    own_tests(OWN)
    result = run(f"--ignore={FILE}")
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines([f"image-spans: NOTHING TESTED of {FILE}: it was found, but not collected *"])


def test_a_yaml_of_which_all_is_deselected(consumer, own_tests, run):
    consumer()
    own_tests(OWN)
    for arguments in (["-k", "test_own"], ["-k", "test_own", "-n", "1"]):
        result = run(*arguments)
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"image-spans: NOTHING TESTED of {FILE}: *deselected (-k, *"])


def test_a_run_that_ends_before_the_yaml(consumer, own_tests, run):
    consumer()
    own_tests("def test_own():\n    raise KeyboardInterrupt\n")
    result = run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"image-spans: NOTHING TESTED of {FILE}: the run ended before its tests *"])


def test_a_failure_that_is_expected_was_tested(consumer, run):
    repository = consumer("naive")
    with (repository.path / "conftest.py").open("a") as conftest:
        conftest.write(
            "\nimport pytest\n\ndef pytest_collection_modifyitems(items):\n"
            "    for item in items:\n        item.add_marker(pytest.mark.xfail(reason='known'))\n"
        )
    result = run("-k", "start-spans.matched")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["mine * known 1"])
    assert "NOT TESTED" not in result.stdout.str()


def test_a_yaml_that_the_arguments_leave_out(consumer, own_tests, run):
    consumer()
    own_tests(OWN)
    result = run("tests")
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines([f"image-spans: {FILE} is not in this run, whose arguments name other tests"])


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["plain", "xdist"])
@pytest.mark.parametrize("root", [True, False], ids=["beside one in the root", "alone"])
def test_a_yaml_in_a_subfolder(consumer, own_tests, run, root, arguments):
    repository = consumer()
    own_tests(OWN)
    (repository.path / "tests" / FILE).write_text(YAML)
    if not root:
        (repository.path / FILE).unlink()
    result = run("-k", "test_own", *arguments)
    assert result.ret == 0
    shown = f"tests/{FILE}"
    result.stdout.fnmatch_lines([f"image-spans: NOT TESTED: {shown} was found, but *; name it: pytest {shown}"])
    if not arguments:
        assert run(shown, "-k", "start").parseoutcomes()["failed"] >= 1  # it names assembly, which is not beside it


def test_a_property_that_drew_no_image(consumer, run):
    repository = consumer()
    with (repository.path / "conftest.py").open("a") as conftest:
        conftest.write(
            "\nfrom hypothesis import strategies as st\n"
            "from image_spans import Conversation, Message, Text, strategies\n"
            "strategies.conversations = lambda **limits: st.just(Conversation([Message('user', [Text('a')])]))\n"
        )
    result = run("-k", "start or none")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["mine: none of the 1 conversations drawn for the position start holds an image, so nothing was tested"]
    )
    result.stdout.fnmatch_lines(["FAILED *mine-start-spans.matched*"])
    assert "mine-none-" not in result.stdout.str()


def test_nothing_is_said_where_nothing_was_to_be_run(consumer, run):
    consumer()
    result = run("--collect-only", "-q")
    assert result.ret == 0
    assert "NOTHING TESTED" not in result.stdout.str()


@pytest.mark.parametrize("name", ["tokenizers_under_test.yml", "tokenizer_under_tests.yaml"])
def test_a_yaml_under_another_name(consumer, own_tests, run, name):
    repository = consumer()
    own_tests(OWN)
    (repository.path / FILE).rename(repository.path / name)
    result = run()
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines([f"image-spans: NOT TESTED: {name} is not read; is it meant to be {FILE}?"])
