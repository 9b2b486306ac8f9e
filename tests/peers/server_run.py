#!/usr/bin/env python3
"""Works with the curves of a run's page in Chromium while a client logs: ranges that stay, addresses that are views, keys, what
is asked of the server meanwhile, and how long a run of many points takes to open and to zoom.

    python3 tests/peers/server_run.py target/release/ablate [CHROMIUM] [POINTS]

Needs what `server_page.py` needs. With POINTS (10000000) a metric of as many is logged and its page is timed.
"""

import json
import math
import statistics
import sys
import tempfile
import time
import urllib.request

import server_page
from playwright.sync_api import sync_playwright

MLFLOW = "/api/2.0/mlflow/"


class Server(server_page.Server):
    def post(self, path, value):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        request = urllib.request.Request(self.at + MLFLOW + path, body, {"content-type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def run(self):
        return self.post("runs/create", {"experiment_id": "0", "start_time": 1_700_000_000_000})["run"]["info"]["run_id"]

    def log(self, run, steps, key="loss", value=lambda step: 1 + math.sin(step / 50)):
        metrics = [
            {"key": key, "value": value(step), "timestamp": 1_700_000_000_000 + 250 * step, "step": step} for step in steps
        ]
        self.post("runs/log-batch", {"run_id": run, "metrics": metrics})


class Checks:
    def __init__(self):
        self.wrong = []

    def same(self, what, found, expected):
        if found != expected:
            self.wrong.append(f"{what}: {found!r}, not {expected!r}")

    def true(self, what, found):
        if not found:
            self.wrong.append(what)


def fragment(page):
    return page.url.partition("#")[2]


def curves(server, context, checks):
    run = server.run()
    server.log(run, range(500))
    server.log(run, range(500), "tokens", lambda step: 64 * step)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: "/series?" in request.url and asked.append(request.url))
    page.on("pageerror", lambda error: checks.wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and checks.wrong.append(message.text))
    page.goto(f"{server.at}/runs/{run}")
    page.wait_for_selector(".panel canvas")
    page.wait_for_timeout(400)
    checks.same("requests for a page that brings its curves", asked, [])

    # A range by dragging: in the address, said, and kept when more is logged.
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    shown = dict(part.split("=") for part in fragment(page).split("&"))
    checks.true(f"a dragged range is in the address: {shown}", 100 < float(shown["from"]) < 140 and 240 < float(shown["to"]) < 260)
    said = page.inner_text("[data-range]")
    server.log(run, range(500, 520))
    page.wait_for_function("document.querySelector('#metrics').innerText.includes('520')", timeout=6000)
    page.wait_for_timeout(400)
    checks.same("the range after more was logged", page.inner_text("[data-range]"), said)
    checks.true(f"only what is new is asked for: {asked}", asked and all("from=500" in address for address in asked))
    checks.true("the whole of it is told", "520 points" in page.locator(".panel canvas").first.get_attribute("aria-label"))

    # The same address is the same view; keys move it, double click ends it.
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector(".panel canvas")
    checks.same("the range of a link", other.inner_text("[data-range]"), said)
    chart = other.locator(".chart").first
    chart.focus()
    for key in ("ArrowRight", "+", "-", "ArrowLeft"):
        before = other.inner_text("[data-range]")
        other.keyboard.press(key)
        checks.true(f"{key} moves the range", other.inner_text("[data-range]") not in ("", before))
    other.locator(".u-over").first.dblclick()
    other.wait_for_timeout(400)
    checks.same("the address of the whole run", fragment(other), "")
    chart.focus()
    other.keyboard.press("+")
    checks.true("plus zooms", other.inner_text("[data-range]"))
    other.keyboard.press("0")
    checks.same("0 shows all", other.inner_text("[data-range]"), "")

    # Over tokens and time, by what the server says of each step; of those without tokens nothing.
    asked.clear()
    for over, last in (("tokens", 64 * 499), ("elapsed", 519 / 4), ("clock", 1_700_000_000 + 519 / 4), ("step", 519)):
        other.select_option("[data-over]", over)
        other.wait_for_timeout(500)
        checks.same("the address names the axis", fragment(other), "" if over == "step" else f"x={over}")
        found = other.evaluate("""() => { const seen = []; const join = uPlot.join; uPlot.join = tables => { seen.push(tables[0][0].at(-1)); return join(tables); };
            const smooth = document.querySelector('[data-smooth]'); smooth.value = 0.5; smooth.oninput(); smooth.value = 0; smooth.oninput(); uPlot.join = join; return seen[0]; }""")
        checks.true(f"the last place over {over}: {found}", abs(found - last) < 1e-3)
    other.goto("about:blank")
    other.goto(f"{server.at}/runs/{run}#x=tokens&from=6400&to=12800&smooth=0.6&log=yes")
    other.wait_for_selector(".panel canvas")
    other.wait_for_timeout(500)
    checks.same("a view of a link", other.inner_text("[data-range]"), "6,400 to 12,800")
    checks.same("its switches", other.evaluate("[document.querySelector('[data-over]').value, document.querySelector('[data-smooth]').value, document.querySelector('[data-log]').checked]"), ["tokens", "0.6", True])

    # A metric that comes later, and steps that come again.
    server.log(run, range(3), "late")
    page.wait_for_function("[...document.querySelectorAll('.panel h3')].some(head => head.innerText === 'late')", timeout=6000)
    checks.same("the range with another panel", page.inner_text("[data-range]"), said)
    server.log(run, [-5], "loss")
    page.wait_for_function("[...document.querySelectorAll('.panel canvas')].some(it => it.getAttribute('aria-label').includes('521 points'))", timeout=6000)


def many(server, browser, points):
    run = server.run()
    address = f"{server.at}/runs/{run}"
    each = 100_000
    start = time.monotonic()
    for at in range(0, points, each):
        metrics = ",".join(
            f'{{"key":"loss","value":{1 + (step * 7919 % 10007) / 10007:.5f},"timestamp":{1_700_000_000_000 + step},"step":{step}}}'
            for step in range(at, min(at + each, points))
        )
        server.post("runs/log-batch", f'{{"run_id":"{run}","metrics":[{metrics}]}}'.encode())
    print(f"{points:,} points logged in {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    urllib.request.urlopen(address).read()
    print(f"first look at the log, by whoever comes first: {time.monotonic() - start:.2f} s")
    opened, zoomed, over = [], [], []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    # When the last chart was drawn, by the page's own clock, which starts where its address was opened.
    context.add_init_script("""
        new MutationObserver(seen => { if (seen.some(one => one.attributeName === 'aria-label')) window.drawn = performance.now(); })
            .observe(document, { subtree: true, attributes: true, attributeFilter: ['aria-label'] });
    """)
    for _ in range(7):
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("window.drawn")
        page.wait_for_timeout(300)
        opened.append(page.evaluate("window.drawn"))
        for key in ("+", "+", "+", "ArrowRight"):
            zoomed.append(page.evaluate("""async key => {
                const asked = performance.getEntriesByType('resource').length, from = performance.now();
                document.querySelector('.chart').dispatchEvent(new KeyboardEvent('keydown', { key }));
                const series = () => performance.getEntriesByType('resource').slice(asked).find(one => one.name.includes('/series?'));
                while (!(series() && window.drawn > series().responseEnd)) await new Promise(done => setTimeout(done, 2));
                return window.drawn - from;
            }""", key))
        over.append(page.evaluate("""async () => {
            const select = document.querySelector('[data-over]'), from = performance.now();
            select.value = 'elapsed'; select.onchange();
            while (window.drawn < from) await new Promise(done => setTimeout(done, 2));
            return window.drawn - from;
        }"""))
        page.close()
    for what, times in (("opened", opened), ("zoomed", zoomed), ("over time", over)):
        print(f"{what}: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms")


def main():
    program = sys.argv[1]
    chromium = sys.argv[2] if len(sys.argv) > 2 else None
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(program, folder)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            # What is evaluated here is none of the page's scripts.
            curves(server, browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True), checks)
            if len(sys.argv) > 3:
                many(server, browser, int(sys.argv[3]))
            browser.close()
        finally:
            server.process.kill()
    print("\n".join(checks.wrong) or "the curves do what they are asked")
    sys.exit(bool(checks.wrong))


main()
