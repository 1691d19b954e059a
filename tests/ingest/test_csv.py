"""Tables in CSV: accepted rows, and refusals with file and line."""

from __future__ import annotations

import bz2
import csv
import lzma

import pytest

from feedstore.errors import InputError
from feedstore.ingest import Problems
from feedstore.ingest.formats import read_table
from feedstore.ingest.lines import MAX_RECORD_BYTES
from feedstore.ingest.rows import ACTIVITY_COLUMNS
from ingest.inputs import GOOD_ROW, HEADER, compressed, csv_text, read, source

TIME = "2026-01-31T08:39:59Z"
LONG = "x" * 200_000


def test_a_row_becomes_an_activity() -> None:
    (activity,) = read(csv_text([(17, TIME, "dev:1", "commit", "commit:x", "module:y", '{"files":3}')]))
    assert (activity.actor, activity.verb, activity.object, activity.target) == (
        "dev:1",
        "commit",
        "commit:x",
        "module:y",
    )
    assert activity.time.isoformat() == "2026-01-31T08:39:59+00:00"
    assert activity.extra_context == {"files": 3}
    assert activity.foreign_id == "17"


def test_target_and_extra_may_be_empty() -> None:
    (activity,) = read(HEADER + GOOD_ROW)
    assert activity.target is None
    assert activity.extra_context == {}


def test_the_rows_id_tells_equal_deeds_apart() -> None:
    activities = read(csv_text([(number, TIME, "ann", "like", "photo:7", "", "") for number in (1, 2, 1)]))
    assert len({activity.serialization_id for activity in activities}) == 2


@pytest.mark.parametrize(
    "text",
    [
        HEADER + GOOD_ROW,
        "\ufeff" + HEADER + GOOD_ROW,
        (HEADER + GOOD_ROW).replace("\n", "\r\n"),
        HEADER + GOOD_ROW.rstrip("\n"),
        "\n" + HEADER + "\n\n" + GOOD_ROW + "\n",
        '"id","time","actor","verb","object","target","extra"\n' + GOOD_ROW,
        " ID,Time,ACTOR , verb,Object,target,extra\n" + GOOD_ROW,
        (HEADER + GOOD_ROW).replace(",", ";"),
        (HEADER + GOOD_ROW).replace(",", "\t"),
        "\ufeff \n" + HEADER.replace(",", ";") + '"1";2026-01-31T08:39:59Z;ann;"like";photo:7;;\n',
        'target,extra,object,id,actor,time,verb\n,,photo:7,1,ann,2026-01-31T08:39:59Z,like\n',
        "id,time,actor,verb,object\n1,2026-01-31T08:39:59Z,ann,like,photo:7\n",
        'id,time,actor,verb,object,target,extra\n"1",2026-01-31T09:39:59+01:00,"ann","like","photo:7","",""\n',
    ],
    ids=["plain", "byte order mark", "carriage returns", "no last newline", "empty lines", "quoted header",
         "upper case and spaces", "semicolons", "tabs", "semicolons behind a blank line", "another order",
         "optional columns left out", "quoted fields"],
)  # fmt: skip
def test_spellings_of_one_activity(text: str) -> None:
    assert read(text) == read(HEADER + GOOD_ROW)


def test_fields_may_hold_what_is_quoted() -> None:
    target = 'a "quoted", \r\nnew\nline; naïve ☃ 😀'
    (activity,) = read(csv_text([(1, TIME, "ann", "like", "photo:7", target, "")]))
    assert activity.target == target


def test_a_header_alone_is_no_activity() -> None:
    assert read(HEADER) == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", None, "the file is empty; it should hold CSV with the header id,time,actor,verb,object,target,extra"),
        ("\n\n", None, "the file holds blank lines only"),
        ("1,2026-01-31T08:39:59Z,ann,like,photo:7,,\n", 1, "missing columns 'id', 'time', 'actor', 'verb', 'object'"),
        ("id,time,actor,verb\n", 1, "missing column 'object'; the columns are id,time,actor,verb,object,target,extra"),
        ("id,time,actor,verb,object,colour\n", 1, "unknown column 'colour'"),
        ("id,time,actor,verb,object,id\n", 1, "repeated column 'id'"),
        ("\n\nid;time;actor;verb\n", 3, "missing column 'object'"),
        ("id|time|actor|verb|object\n", 1, "the header that was found is 'id|time|actor|verb|object'"),
        ("ID,id,time,actor,verb,object\n", 1, "repeated column 'id'"),
        ('[{"id":"1"}]\n', None, "the file begins with [ as a JSON array does; write NDJSON, one object on each line"),
        (" \n  [\n", 2, "the header that was found is '  ['"),
    ],
    ids=["empty", "blank", "no header", "missing", "unknown", "repeated", "semicolons", "bars",
         "repeated in another case", "a JSON array", "a JSON array behind a blank line"],
)  # fmt: skip
def test_a_wrong_header_is_refused(text: str, line: int | None, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, Problems("skip"))
    assert (caught.value.path, caught.value.line) == ("<stdin>", line)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2,2026-01-31T08:39:59Z,ann", "the row has too few fields: 3 instead of 7"),
        ("2,2026-01-31T08:39:59Z,ann,like,photo:7,,,", "the row has too many fields: 8 instead of 7"),
        (",2026-01-31T08:39:59Z,ann,like,photo:7,,", "id is empty"),
        ("2,,,like,photo:7,,", "time and actor are empty"),
        ("2,2026-01-31T08:39:59,ann,like,photo:7,,", "has no offset from UTC"),
        ("2,31.01.2026,ann,like,photo:7,,", "cannot be read; write it as in"),
        ("2,1969-12-31T23:59:59Z,ann,like,photo:7,,", "lies before 1970"),
        ("2,9999-12-31T23:59:59-02:00,ann,like,photo:7,,", "lies beyond the last year"),
        ("2,9998-12-31T23:59:59Z,ann,like,photo:7,,", "lies more than 1 day ahead of the clock"),
        ("2,2026-01-31T08:39:59Z,ann,like,photo:7,,{}x", "is not JSON: Extra data at character 3"),
        ("2,2026-01-31T08:39:59Z,ann,like,photo:7,,[1]", "is JSON, but not an object"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":NaN}"', "NaN is not a JSON value"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":1e999}"', "'1e999' is too large"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":{""b"":-1e999}}"', "'-1e999' is too large"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":1,""a"":2}"', "the name 'a' is repeated"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"" :1,""a"":2}"', "the name 'a' is repeated"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a""\t:"":"",""a"":2}"', "the name 'a' is repeated"),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":""\\ud800""}"', "lone surrogate"),
        (
            '2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":' + "[" * 100 + "]" * 100 + '}"',
            "is nested more than 100 levels deep",
        ),
        ('2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":' + "[" * 60000 + "]" * 60000 + '}"', "cannot be read"),
        ('2,2026-01-31T08:39:59Z,"ann"b,like,photo:7,,', "a quoted field continues after its closing quote"),
        ("2,2026-01-31T08:39:59Z,a\0nn,like,photo:7,,", "the row contains a NUL byte"),
        ("2,2026-01-31T08:39:59Z,ann\rbob,like,photo:7,,", "the row contains a carriage return"),
        (f"2,2026-01-31T08:39:59Z,{LONG},like,photo:7,,", "pass at most 1024"),
        (f"2,2026-01-31T08:39:59Z,{'x' * 1020},like,photo:7,,", "pass at most 1024"),
        (
            f"2,2026-01-31T08:39:59Z,ann,like,photo:7,,{'x' * MAX_RECORD_BYTES}",
            "the row is longer than 1,048,576 bytes",
        ),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_row_is_refused_with_its_line(row: str, reason: str) -> None:
    text = (
        csv_text([(1, TIME, "ann", "like", "photo:7", "two\nlines", "")]) + row + "\n" + GOOD_ROW.replace("1", "3", 1)
    )
    with pytest.raises(InputError) as caught:
        read(text)
    assert (caught.value.path, caught.value.line) == ("<stdin>", 4)
    assert reason in caught.value.reason
    problems = Problems("skip")
    assert [activity.foreign_id for activity in read(text, problems)] == ["1", "3"]
    assert [(error.line, error.reason) for error in problems.first] == [(4, caught.value.reason)]


def test_as_many_levels_as_are_allowed() -> None:
    (activity,) = read(csv_text([(1, TIME, "ann", "like", "photo:7", "", '{"a":' + "[" * 99 + "]" * 99 + "}")]))
    assert str(activity.extra_context["a"]).count("[") == 99


def test_bytes_that_are_no_utf_8_are_refused_with_their_line() -> None:
    data = (HEADER + GOOD_ROW).encode() + b"2,2026-01-31T08:39:59Z,caf\xe9,like,photo:7,,\n"
    with pytest.raises(InputError, match=r"^<stdin>:3: byte 27 of the line is not UTF-8"):
        read(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((HEADER + GOOD_ROW).encode("utf-16"), "the file is in UTF-16; convert it to UTF-8"),
        ((HEADER + GOOD_ROW).encode("utf-16-le"), "the file is binary: byte 2 is 0x00"),
        (b"PK\x03\x04\x14\0\x06\0", "the file is a ZIP archive, as .xlsx and .ods files are; export the table as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "the file is binary: byte 1 is 0x89"),
        (b"\x7fELF\x02\x01\x01\0", "the file is binary: byte 1 is 0x7F"),
        (bz2.compress(HEADER.encode()), "the file is compressed with bzip2"),
        (lzma.compress(HEADER.encode()), "the file is compressed with xz"),
        (compressed(compressed(HEADER)), "the file is compressed with gzip twice"),
        (b"SQLite format 3\0", "the file is a SQLite database"),
    ],
    ids=["utf-16", "utf-16 without a mark", "zip", "png", "elf", "bzip2", "xz", "gzip twice", "sqlite"],
)
def test_a_binary_file_is_called_one(data: bytes, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(data, Problems("skip"))
    assert caught.value.path == "<stdin>"
    assert reason in caught.value.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_field_may_be_as_long_as_its_row(delimiter: str) -> None:
    text = "x\n" * 500_000
    row = delimiter.join(("1", TIME, "ann", "like", "photo:7", f'"{text}"', ""))
    (activity,) = read(HEADER.replace(",", delimiter) + row + "\n")
    assert activity.target == text


def test_a_quote_that_is_open_at_the_end_is_refused_where_its_row_begins() -> None:
    text = HEADER + '1,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":\n' + GOOD_ROW + GOOD_ROW
    with pytest.raises(InputError, match=r"^<stdin>:2: the row is cut: a quoted field is still open"):
        read(text)


def test_rows_behind_an_open_quote_are_not_lost() -> None:
    rows = [
        '2,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":\n',
        GOOD_ROW.replace("1", "3", 1),
        '4,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":1}"\n',
        '5,2026-01-31T08:39:59Z,ann,like,photo:7,,"{""a"":\n',
        GOOD_ROW.replace("1", "6", 1),
    ]
    problems = Problems("skip")
    activities = read(HEADER + GOOD_ROW + "".join(rows), problems)
    assert [activity.foreign_id for activity in activities] == ["1", "3", "4", "6"]
    assert [error.line for error in problems.first] == [3, 6]


def test_a_long_line_is_passed_over_as_one() -> None:
    text = HEADER + "x" * (3 * MAX_RECORD_BYTES) + "\n" + GOOD_ROW + "y" * (2 * MAX_RECORD_BYTES)
    problems = Problems("skip")
    assert len(read(text, problems)) == 1
    assert [error.line for error in problems.first] == [2, 4]


def test_the_csv_module_s_own_limit_neither_changes_nor_counts() -> None:
    before = csv.field_size_limit(10)
    try:
        with source(HEADER + GOOD_ROW).open() as lines:
            rows = read_table(lines, ACTIVITY_COLUMNS)
            assert csv.field_size_limit() == 10
            assert next(rows)[1] == "2026-01-31T08:39:59Z"
    finally:
        csv.field_size_limit(before)
