"""How rows are cut out of files: what is held in memory, and what becomes of rows that are broken."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.scan import containers
from image_spans.scan import rows as scan_rows
from image_spans.scan.causes import Fault, Unread
from image_spans.scan.containers import json_list
from image_spans.scan.containers.json_list import Splitter
from image_spans.scan.opened import opened
from image_spans.scan.rows import Row, kind, parsed


def read(path):
    """The rows that can be had, and why there are no more."""
    found = []
    try:
        found.extend(containers.rows(path, path.name))
    except Unread as error:
        return found, str(error)
    return found, None


def written(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def cut(text):
    return [row if row is None else row.decode() for row in Splitter(io.BytesIO(text.encode()))]


# ---------------------------------------------------------------- lists

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(VALUES, max_size=5), indent=st.sampled_from([None, 0, 1, 4]), chunk=st.integers(1, 40))
def test_what_json_writes_is_cut_into_what_was_written(rows, indent, chunk):
    data = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "CHUNK", chunk)
        assert [json.loads(row) for row in Splitter(io.BytesIO(data))] == rows


@given(rows=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5), chunk=st.integers(1, 40))
def test_objects_one_behind_the_other_are_rows(rows, chunk):
    data = "\n".join(json.dumps(row, indent=1) for row in rows).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "CHUNK", chunk)
        assert [json.loads(row) for row in Splitter(io.BytesIO(data))] == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[]", []),
        (" \n[ \n ]\n ", []),
        ('[{"a": 1}]', ['{"a": 1}']),
        ('\ufeff[{"a": 1}]', ['{"a": 1}']),
        ('\ufeff{"a": 1}', ['{"a": 1}']),
        ('[1, "a,]", [2, 3], null]', ["1", '"a,]"', "[2, 3]", "null"]),
        ('[{"a": "\\"]}"}, 2]', ['{"a": "\\"]}"}', "2"]),
        ("[1,,2]", ["1", "", "2"]),
        ("[1,]", ["1", ""]),
        ('{"a": 1}{"b": 2}', ['{"a": 1}', '{"b": 2}']),
        ("[}, 1]", ["}", "1"]),
    ],
)
def test_where_rows_end(text, rows):
    assert cut(text) == rows


@pytest.mark.parametrize(
    ("name", "text", "good", "bad"),
    [
        ("a quote is missing", '[\n {"a": 1},\n {"a": "x},\n {"a": 3}\n]', [0, 2], [1]),
        ("a brace is missing, one row a line", '[\n{"a": 1},\n{"a": {"b": 2},\n{"a": 3},\n{"a": 4}\n]', [0, 2, 3], [1]),
        (
            "a bracket is missing, indented",
            '[\n  {\n    "a": [1\n  },\n  {\n    "a": [2],\n    "b": {\n      "c": 1\n    }\n  }\n]',
            [1],
            [0],
        ),
        (
            "a brace is missing, indented",
            '[\n  {\n    "a": {"b": 1\n,\n  {\n    "a": 2\n  }\n]',
            [1],
            [0],
        ),
        ("a bracket too many", '[\n{"a": 1},\n{"a": 2]},\n{"a": 3}\n]', [0, 2], [1]),
        ("a word for a text", '[{"a": 1}, {"a": x}, {"a": 3}]', [0, 2], [1]),
        ("a comma behind the last", '[{"a": 1}, {"a": 2,}, {"a": 3}]', [0, 2], [1]),
        ("an escape before a line break", '[\n{"a": "x\\\n"},\n{"a": 2}\n]', [1], [0]),
        ("a line break in a string", '[\n{"a": "x\ny"},\n{"a": 2}\n]', [1], [0]),
    ],
)
def test_a_broken_row_spoils_no_other(tmp_path, name, text, good, bad):
    found, why = read(written(tmp_path, "a.json", text))
    assert why is None, name
    faulty = [row.index for row in found if parsed(row)[0] is None]
    assert (faulty, [row.index for row in found if row.index not in faulty]) == (bad, good)
    assert all(parsed(found[index])[1][0].cause == "row-not-json" for index in bad)


@pytest.mark.parametrize(
    ("text", "rows", "why"),
    [
        ('[{"a": 1}, {"a": 2', 2, "ends inside the list"),
        ('[{"a": 1},', 1, "ends inside the list"),
        ('[{"a": 1}] {"b": 1}', 1, "something stands behind the end of the list"),
        ("", 0, "begins with nothing"),
        ("id,text\n1,a", 0, "begins with 'id,text"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_says_so(tmp_path, text, rows, why):
    found, said = read(written(tmp_path, "a.json", text))
    assert len(found) == rows
    assert said is not None
    assert why in said


def test_a_row_that_is_too_large_is_passed_over_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_rows, "LARGEST_ROW", 100)
    monkeypatch.setattr(json_list, "CHUNK", 16)
    large = json.dumps({"a": ["x" * 50, {"b": "]" * 200}]})
    for name, text in (
        ("a.json", f'[{{"a": 1}}, {large}, {{"a": 3}}]'),
        ("b.json", f'{{"a": 1}}\n{large}\n{{"a": 3}}'),
        ("a.jsonl", f'{{"a": 1}}\n{large}\n{{"a": 3}}'),
    ):
        found, why = read(written(tmp_path, name, text))
        assert why is None
        assert [row.fault and row.fault.cause for row in found] == [None, "row-too-large", None]
        assert parsed(found[2])[0] == {"a": 3}
    found, why = read(written(tmp_path, "c.json", f'[{{"a": 1}}, {large[:-1]}'))
    assert [row.fault and row.fault.cause for row in found] == [None, "row-too-large"]
    assert why is not None


@pytest.mark.parametrize("form", ["[\n{}\n]", "{}"])
def test_a_row_that_has_no_end_does_not_take_the_others_along(tmp_path, monkeypatch, form):
    monkeypatch.setattr(scan_rows, "LARGEST_ROW", 200)
    monkeypatch.setattr(json_list, "CHUNK", 64)
    lines = [json.dumps({"a": number}) for number in range(100)]
    lines[3] = '{"a": {"b": 3}'
    text = (",\n" if form.startswith("[") else "\n").join(lines)
    found, why = read(written(tmp_path, "a.json", form.replace("{}", text)))
    assert why is None
    assert [index for index, row in enumerate(found) if parsed(row)[0] != {"a": index}] == [3]
    assert len(found) == 100


def test_a_large_list_is_never_held_as_a_whole():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += 1
            return b"[" if self.given == 1 else b'{"a": "' + b"x" * 1000 + b'"},'

    rows = iter(Splitter(Endless()))
    splitter_sizes = []
    for _ in range(2000):
        row = next(rows)
        splitter_sizes.append(len(row))
    assert set(splitter_sizes) == {1009}


# ---------------------------------------------------------------- lines


def test_lines_are_counted_as_an_editor_does_and_blank_ones_are_no_rows(tmp_path):
    text = '\ufeff{"a": 1}\r\n\n  \n{"a": "\u2028"}\n{"a": 3}'
    found, why = read(written(tmp_path, "a.jsonl", text))
    assert why is None
    assert [(row.place, parsed(row)[0]) for row in found] == [
        ("a.jsonl:1", {"a": 1}),
        ("a.jsonl:4", {"a": "\u2028"}),
        ("a.jsonl:5", {"a": 3}),
    ]
    assert [row.index for row in found] == [0, 1, 2]


def test_lines_by_name_even_where_the_first_is_broken(tmp_path):
    found, why = read(written(tmp_path, "a.ndjson", 'oops\n{"a": 1}\n[1]\n'))
    assert why is None
    assert [parsed(row)[1][0].cause if parsed(row)[1] else None for row in found] == [
        "row-not-json",
        None,
        "row-not-object",
    ]


def test_a_list_under_the_name_of_lines_is_a_list(tmp_path):
    found, _ = read(written(tmp_path, "a.jsonl", '[\n{"a": 1},\n{"a": 2}\n]'))
    assert [row.place for row in found] == ["a.jsonl[0]", "a.jsonl[1]"]


# ---------------------------------------------------------------- one row


@pytest.mark.parametrize(
    ("data", "cause", "told"),
    [
        (b'{"a": "\xff"}', "row-not-utf8", "byte 7 of the row is 0xff"),
        (b'{"a": 1}\0\0', "row-not-json", "2 NUL bytes"),
        (b'{"a": }', "row-not-json", "at character 6"),
        (b"[" * 100_000, "row-too-deep", "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "row-not-json", "4300 digits"),
        (b"3", "row-not-object", "a number"),
        (b"null", "row-not-object", "null"),
    ],
)
def test_what_a_row_cannot_be(data, cause, told):
    value, (fault,) = parsed(Row("f", 0, data))
    assert value is None
    assert fault.cause == cause
    assert told in fault.message


def test_a_key_that_stands_twice_is_told_and_the_last_is_taken():
    value, faults = parsed(Row("f", 0, b'{"a": {"b": 1, "c": 2, "b": 3}, "a": 1}'))
    assert value == {"a": 1}
    assert faults == [Fault("row-duplicate-key", "the key 'b' stands twice in one object")]


def test_what_values_are_called():
    assert [kind(v) for v in (None, True, 1, 1.5, "a", [], {}, b"")] == [
        "null", "a boolean", "a number", "a number", "a text", "a list", "an object", "of the type bytes",
    ]  # fmt: skip


# ---------------------------------------------------------------- compression


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl.gz", "without a name"])
def test_gzip_is_known_by_what_it_begins_with(tmp_path, name):
    text = '{"a": 1}\n{"a": 2}\n'
    found, why = read(written(tmp_path, name, gzip.compress(text[:9].encode()) + gzip.compress(text[9:].encode())))
    assert why is None
    assert [parsed(row)[0] for row in found] == [{"a": 1}, {"a": 2}]


def test_gzip_that_is_cut_off_says_so(tmp_path):
    data = gzip.compress(b"\n".join(json.dumps({"a": n, "b": str(n * 7919)}).encode() for n in range(5000)))
    found, why = read(written(tmp_path, "a.jsonl.gz", data[: len(data) // 2]))
    assert 0 < len(found) < 5000
    assert why is not None
    assert "damaged or cut off" in why
    _, why = read(written(tmp_path, "b.jsonl.gz", data[:500] + b"\0" * 200 + data[700:]))
    assert why is not None
    _, why = read(written(tmp_path, "c.jsonl.gz", b"\x1f\x8bnothing of the kind"))
    assert why is not None


def test_zstd(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    lines = [json.dumps({"a": n, "b": str(n * 7919)}).encode() + b"\n" for n in range(5000)]
    pack = zstandard.ZstdCompressor().compress
    data = pack(b"".join(lines[:100])) + pack(b"".join(lines[100:]))
    found, why = read(written(tmp_path, "a.jsonl.zst", data))
    assert (len(found), why) == (5000, None)
    found, why = read(written(tmp_path, "b.jsonl.zst", data[: len(data) // 2]))
    assert 0 < len(found) < 5000
    assert why is not None
    assert "the last frame has no end" in why
    _, why = read(written(tmp_path, "c.jsonl.zst", data[:8] + b"\xff" * 100))
    assert why is not None
    assert "damaged" in why


def test_what_is_not_installed_is_one_line(tmp_path, monkeypatch):
    for name in ("zstandard", "pyarrow", "pyarrow.parquet", "pyarrow.ipc"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    install = "pip install 'pytest-image-spans[scan]'"
    for name, data, what in (
        ("a.zst", b"\x28\xb5\x2f\xfdrest", f"reading zstd needs zstandard: {install}"),
        ("a.parquet", b"PAR1rest", f"reading Parquet needs pyarrow: {install}"),
        ("a.arrow", b"\xff\xff\xff\xffrest", f"reading a saved dataset needs pyarrow: {install}"),
    ):
        assert read(written(tmp_path, name, data)) == ([], what)


# ---------------------------------------------------------------- columns


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = [{"id": n, "image": {"bytes": bytes([n]), "path": None}, "messages": [{"role": "a"}]} for n in range(100)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=40)
    found, why = read(tmp_path / "a.parquet")
    assert why is None
    assert [parsed(row) for row in found] == [(row, []) for row in rows]
    assert [row.place for row in found[:2]] == ["a.parquet[0]", "a.parquet[1]"]
    data = (tmp_path / "a.parquet").read_bytes()
    found, why = read(written(tmp_path, "b.parquet", data[: len(data) // 2]))
    assert found == []
    assert why is not None


def test_a_saved_dataset_is_read_without_the_library_that_saved_it(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.ipc as ipc

    rows = [{"id": n} for n in range(70)]
    for split, part in (("train", rows[:50]), ("test", rows[50:])):
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        table = pyarrow.Table.from_pylist(part)
        names = []
        for number, piece in enumerate((table.slice(0, 10), table.slice(10))):
            names.append(f"data-{number:05}-of-00002.arrow")
            with ipc.new_stream(str(folder / names[-1]), table.schema) as stream:
                stream.write_table(piece)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    paths = containers.files(tmp_path / "set")
    assert [row.data for path in paths for row in containers.rows(path, "f")] == rows
    assert containers.files(tmp_path / "set" / "test") == paths[2:]
    broken = paths[0].read_bytes()[:-200]
    found, why = read(written(tmp_path, "broken.arrow", broken))
    assert why is not None or len(found) < 10


@pytest.mark.parametrize(
    ("name", "text"), [("state.json", "{}"), ("state.json", "no"), ("dataset_dict.json", '{"splits": 1}')]
)
def test_a_saved_dataset_that_does_not_describe_itself(tmp_path, name, text):
    written(tmp_path, name, text)
    with pytest.raises(Unread, match="description cannot be read"):
        containers.files(tmp_path)


# ---------------------------------------------------------------- paths


def test_what_no_container_holds(tmp_path):
    assert containers.files(written(tmp_path, "a.json", "[]")) == [tmp_path / "a.json"]
    with pytest.raises(Unread, match="there is no such file"):
        containers.files(tmp_path / "none.json")
    with pytest.raises(Unread, match="name its files"):
        containers.files(tmp_path)
    assert read(written(tmp_path, "b.json", '{"a": 1}'.encode("utf-16"))) == ([], "is UTF-16; save it as UTF-8")
    found, why = read(tmp_path / "none.json")
    assert found == []
    assert "FileNotFoundError" in (why or "")


def test_the_bytes_that_were_read_are_told(tmp_path):
    path = written(tmp_path, "a.jsonl", '{"a": 1}\n' * 3)
    told = []
    assert len(list(containers.rows(path, "a", told.append))) == 3
    assert told[-1] == path.stat().st_size
    with opened(path) as data:
        assert data.head.startswith(b'{"a": 1}\n')


def columns(path, number, broken=None):
    """A Parquet file in groups of ten rows; in one of them the column is damaged."""
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = pyarrow.table({"text": [f"row {index:06}" for index in range(number)]})
    parquet.write_table(table, path, row_group_size=10, compression="none", use_dictionary=False)
    if broken is not None:
        data = path.read_bytes()
        path.write_bytes(data.replace(f"row {broken:06}".encode(), b"\xff" * 10, 1))
    return path


def lines(path, number):
    return written(path.parent, path.name, "".join(f'{{"text": "row {index:06}"}}\n' for index in range(number)))


def listed(path, number):
    return written(path.parent, path.name, json.dumps([{"text": f"row {index:06}"} for index in range(number)]))


def stream(path, number):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.ipc as ipc

    table = pyarrow.table({"text": [f"row {index:06}" for index in range(number)]})
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=45)
    return path


WRITERS = [("a.parquet", columns), ("a.jsonl", lines), ("a.json", listed), ("a.arrow", stream)]


@pytest.mark.parametrize(("name", "write"), WRITERS)
@pytest.mark.parametrize("wanted", [(), (0,), (9, 10, 33, 63, 64, 99), tuple(range(100))])
def test_rows_that_are_wanted(tmp_path, name, write, wanted):
    path = write(tmp_path / name, 100)
    assert containers.count(path) == 100
    found = list(containers.rows(path, path.name, wanted=frozenset(wanted)))
    assert [row.index for row in found] == list(wanted)
    assert [parsed(row)[0]["text"] for row in found] == [f"row {index:06}" for index in wanted]


def test_groups_of_columns_in_which_no_row_is_wanted_are_not_read(tmp_path):
    path = columns(tmp_path / "a.parquet", 100, broken=44)
    assert [row.index for row in containers.rows(path, path.name, wanted=frozenset({3, 57}))] == [3, 57]
    found, why = read(path)
    assert len(found) < 100
    assert why is not None


def test_the_rows_of_what_breaks_off_are_counted_up_to_there(tmp_path):
    for name, write in WRITERS:
        data = write(tmp_path / name, 100).read_bytes()
        path = written(tmp_path, name, data[: len(data) * 2 // 3])
        assert containers.count(path) == len(read(path)[0])
    assert containers.count(tmp_path / "none.json") == 0
