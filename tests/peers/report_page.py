"""Opens a report in Chromium as its readers do, and looks for what would stop one of them.

    ablate compare experiments/quickstart.toml --out /tmp/report
    python3 tests/peers/report_page.py /tmp/report/report.html [--screenshots DIR]

At 1440 and 390 px, in light and dark: no violation that axe-core knows, no message on the console, no request to anywhere else,
nothing wider than the window, tables that sort by mouse and keyboard, switches that leave settings out, a run that is shown in
every figure at once, figures that open large and close, and a page that can be read without its script.

Needs Playwright for Python (`pip install playwright`), axe-core (`npm install axe-core`; `--axe` names its folder) and a Chromium
(`apt-get install chromium`; `--chromium` names it).
"""

import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

WINDOWS = {"1440": (1440, 900), "390": (390, 844)}
WIDE = 1440
LARGEST_BYTES = 1_000_000

findings = []


def expect(condition, what):
    """Notes what is not as it should be; all findings are shown at the end."""
    if not condition:
        findings.append(what)
        print(f"  not so: {what}")


def check_axe(page, axe, where):
    page.evaluate(axe)
    result = page.evaluate("async () => await axe.run(document, { resultTypes: ['violations'] })")
    for violation in result["violations"]:
        nodes = violation["nodes"]
        expect(False, f"{where}: axe {violation['id']} ({len(nodes)}): {nodes[0]['html'][:160]} {nodes[0]['failureSummary'][:300]}")
    print(f"  {where}: axe passed {len(result['passes'])} rules, {len(result['violations'])} violated")


def check_width(page, where):
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    expect(over <= 0, f"{where}: the page is {over} px wider than the window")


def check_boxes(page, where):
    """On a wide screen no table is cut."""
    cut = page.evaluate("[...document.querySelectorAll('.wide')].filter(b => b.scrollWidth > b.clientWidth).map(b => b.getAttribute('aria-labelledby'))")
    expect(not cut, f"{where}: tables are cut: {cut}")


def check_tables(page, where):
    """Every column sorts both ways, by the keyboard; the order is that of the values."""
    for table in page.query_selector_all("table.sortable"):
        rows = len(table.query_selector_all("tbody tr"))
        for i, button in enumerate(table.query_selector_all("thead th button")):
            for direction in ("ascending", "descending"):
                button.focus()
                page.keyboard.press("Enter")
                head = table.query_selector(f"thead th:nth-child({i + 1})")
                expect(head.get_attribute("aria-sort") == direction, f"{where}: column {i} does not say {direction}")
                values = table.evaluate(
                    """(table, i) => [...table.tBodies[0].rows].map(row =>
                        row.cells[i].dataset.v ?? row.cells[i].textContent.trim())""", i)
                expect(len(values) == rows, f"{where}: sorting lost rows")
                numbers = []
                for value in values:
                    try:
                        numbers.append(float(value.replace(",", "").replace("\u2212", "-")))
                    except ValueError:
                        break
                if len(numbers) == len(values):
                    expect(numbers == sorted(numbers, reverse=direction == "descending"), f"{where}: column {i} is not sorted")
    for box in page.query_selector_all(".wide"):
        expect(box.get_attribute("tabindex") == "0", f"{where}: a table's box cannot be reached by the keyboard")


def check_switches(page, where):
    boxes = page.query_selector_all(".switches input")
    expect(boxes, f"{where}: no switches")
    for box in boxes[:2]:
        axis, value = box.get_attribute("data-axis"), box.get_attribute("value")
        shown = "document.querySelectorAll('#runs tbody tr:not(.out)').length"
        marks = "document.querySelectorAll('.plot g:not(.out)').length"
        before = page.evaluate(shown), page.evaluate(marks)
        box.uncheck()
        after = page.evaluate(shown), page.evaluate(marks)
        expect(after[0] < before[0] and after[1] < before[1], f"{where}: without {axis}={value} as much is shown: {before} {after}")
        expect("runs shown" in page.inner_text(".switches output"), f"{where}: what is left out is not said")
        box.check()
        expect((page.evaluate(shown), page.evaluate(marks)) == before, f"{where}: {axis}={value} does not come back")


def check_linking(page, where):
    row = page.query_selector("#runs tbody tr[data-run]")
    run = row.get_attribute("data-run")
    row.query_selector("td").click()
    figures = page.evaluate(
        "run => new Set([...document.querySelectorAll(`.plot g.lit[data-run=\"${run}\"]`)].map(g => g.closest('figure').id)).size", run)
    others = page.evaluate("run => document.querySelectorAll(`.plot g.lit[data-run]:not([data-run=\"${run}\"])`).length", run)
    expect(figures >= 1 and others == 0, f"{where}: run {run} is lit in {figures} figures, with {others} marks of others")
    page.keyboard.press("Escape")
    expect(page.evaluate("document.querySelectorAll('.lit').length") == 0, f"{where}: Escape does not end it")
    page.locator(".plot g[data-set] > circle, .plot g[data-run] > circle").first.hover(force=True)
    expect(page.is_visible(".tip") and page.inner_text(".tip"), f"{where}: a mark has no tooltip")
    page.keyboard.press("Escape")
    return figures


def check_enlarging(page, where):
    page.locator("button.enlarge").first.click()
    expect(page.is_visible("dialog svg"), f"{where}: a figure does not open")
    page.keyboard.press("Escape")
    expect(not page.is_visible("dialog svg"), f"{where}: an enlarged figure does not close")


def check_theme(page, where):
    ground = "getComputedStyle(document.body).backgroundColor"
    figure = "getComputedStyle(document.querySelector('.plot text, .plot rect')).fill"
    before = page.evaluate(ground), page.evaluate(figure)
    page.click("button.theme")
    after = page.evaluate(ground), page.evaluate(figure)
    expect(before[0] != after[0] and before[1] != after[1], f"{where}: the button changes nothing: {before} {after}")
    page.click("button.theme")
    expect((page.evaluate(ground), page.evaluate(figure)) == before, f"{where}: the button does not change back")


def check_anchors(page, where):
    missing = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)")
    expect(not missing, f"{where}: anchors lead nowhere: {missing}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("report", type=pathlib.Path)
    arguments.add_argument("--axe", type=pathlib.Path, default=pathlib.Path("node_modules/axe-core"))
    arguments.add_argument("--chromium", default="/usr/bin/chromium")
    arguments.add_argument("--screenshots", type=pathlib.Path)
    asked = arguments.parse_args()
    axe = (asked.axe / "axe.min.js").read_text()
    size = asked.report.stat().st_size
    print(f"{asked.report}: {size:,} bytes")
    expect(size < LARGEST_BYTES, f"the page has {size:,} bytes")
    address = asked.report.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox"])
        for name, (width, height) in WINDOWS.items():
            for scheme in ("light", "dark"):
                where = f"{name} px, {scheme}"
                print(where)
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
                page = context.new_page()
                page.on("console", lambda message: expect(False, f"{where}: console: {message.text}"))
                page.on("pageerror", lambda error: expect(False, f"{where}: error: {error}"))
                page.on("request", lambda request: expect(request.url == address, f"{where}: request: {request.url}"))
                page.goto(address)
                if asked.screenshots:
                    asked.screenshots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=asked.screenshots / f"{name}-{scheme}.png", full_page=True)
                check_width(page, where)
                if width == WIDE:
                    check_boxes(page, where)
                check_anchors(page, where)
                check_axe(page, axe, where)
                page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
                check_width(page, f"{where}, details open")
                check_axe(page, axe, f"{where}, details open")
                check_tables(page, where)
                check_switches(page, where)
                check_linking(page, where)
                check_enlarging(page, where)
                check_theme(page, where)
                context.close()
        print("without script, and as print")
        context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        page = context.new_page()
        page.goto(address)
        expect(page.locator("#runs tbody tr").count() > 0 and not page.is_visible(".switches"), "without script: no runs, or dead switches")
        expect(not page.is_visible("button.theme") and not page.is_visible("button.enlarge"), "without script: a dead button")
        context.close()
        page = browser.new_page()
        page.goto(address)
        page.emulate_media(media="print", color_scheme="dark")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        expect(ground == "rgb(255, 255, 255)", f"print: the ground is {ground}")
        if asked.screenshots:
            page.pdf(path=asked.screenshots / "print.pdf", format="A4")
        browser.close()
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
