"""Reports, tables and pictures, of figures that are made up."""

import asyncio
import contextlib
import re
from time import monotonic

import pytest
from benchmarks.harness.loads import open_loop
from benchmarks.harness.plotting import draw
from benchmarks.harness.reporting import load, save
from benchmarks.harness.serving import ROOT
from benchmarks.harness.summary import BEGIN, END, HEADER, table_of, write_into, write_summary

from benchmarks import ON_REQUEST, QUESTIONS, harness

DOCUMENT = ROOT / "docs" / "explanation" / "performance.md"


def a_report(name: str = "made_up", **fields: object) -> harness.Report:
    case, floor = harness.Case([{"ms": 4.0}, {"ms": 2.0}, {"ms": 3.0}]), harness.Case([{"ms": 1.0}])
    lines = [harness.line("a thing", "ms", case, "ms", floor=floor), harness.line("another", "ms", case, "ms")]
    report = harness.Report(name=name, question="How long?", lines=lines, floor="nothing", **fields)
    return report.with_runs({"case": case, "floor": floor})


def test_a_line_is_the_median_with_its_range_and_the_ratio_to_the_floor():
    line = a_report().lines[0]
    assert (line.median, line.low, line.high, line.floor, line.ratio) == (3.0, 2.0, 4.0, 1.0, 3.0)


def test_cases_are_run_in_turn_and_every_run_is_kept():
    ran = []
    cases = harness.repeat(
        harness.Effort(repeats=2),
        {name: lambda name=name: ran.append(name) or {"n": float(len(ran))} for name in ("one", "two")},
    )
    assert ran == ["one", "two", "one", "two"]
    assert cases["one"].as_json() == {"median": {"n": 2.0}, "runs": [{"n": 1.0}, {"n": 3.0}]}


def test_a_saved_report_is_read_back_and_summed_up(tmp_path):
    path = save(a_report(), tmp_path, quick=False, seconds=1.0)
    assert load(path).lines == a_report().lines
    text = write_summary(tmp_path, ["absent", "made_up"]).read_text()
    assert "| **made_up**: How long? | a thing | 3 ms | 2 to 4 | 1 ms | 3 |" in text
    assert "|  | another | 3 ms | 2 to 4 |  |  |" in text


def test_lines_over_x_become_one_row_and_a_curve(tmp_path):
    case, later = harness.Case([{"ms": 2.0}]), harness.Case([{"ms": 5.0}])
    lines = [harness.line("list", "ms", one, "ms", x=x) for x, one in ((1_000, case), (1_000_000, later))]
    report = harness.Report(name="grown", question="What grows?", lines=lines, x_label="tasks")
    save(report, tmp_path, quick=True, seconds=1.0)
    assert "list, at 1,000 / 1,000,000 tasks | 2 / 5 ms | 2 to 5 | 2 ms | 2.5 |" in table_of([report])
    draw(report, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_in_the_docs_is_replaced_and_nothing_else(tmp_path):
    save(a_report(), tmp_path, quick=False, seconds=1.0)
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(document, tmp_path, ["made_up"])
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| a thing | 3 ms |" in text
    with pytest.raises(ValueError, match="no markers"):
        write_into(write_summary(tmp_path, []), tmp_path, ["made_up"])


def test_the_table_in_the_docs_has_the_shape_of_the_summary_and_is_of_full_runs():
    table = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert table.startswith(HEADER)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {HEADER.splitlines()[0].count("|")}
    asked = re.findall(r"^\| \*\*(\w+)\*\*:", table, re.MULTILINE)
    assert asked == [name for name in (*QUESTIONS, *ON_REQUEST) if name in asked]
    assert asked
    assert "Quick runs" not in table


async def test_a_stall_is_paid_by_all_that_were_due_in_it():
    serving, asked_at = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked_at.append(monotonic())
                await asyncio.sleep(asked_at[0] + 0.3 - monotonic())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        served = harness.Served(None, "127.0.0.1", server.sockets[0].getsockname()[1], "")
        figures = await open_loop(
            served, lambda it, _: it.encode("GET", "/"), per_second=100, seconds=0.4, expected=200
        )
        await asyncio.gather(*serving)
    assert figures["max_ms"] > 150
    assert figures["p50_ms"] > 20, "most of the 40 requests were due while nothing was answered"
