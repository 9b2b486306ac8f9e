#!/usr/bin/env python3
"""Opens every view of `ablate serve` in Chromium and looks for what would stop a reader: axe-core's findings, errors in the
console, requests to anybody else, views wider than the screen, and views that do not follow what clients log meanwhile.

    python3 tests/peers/server_page.py target/release/ablate node_modules/axe-core/axe.min.js [CHROMIUM]

Needs `pip install playwright`, `npm install axe-core`, and a Chromium (Playwright's own, or a program's path).
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

EVIL = "<script>alert(1)</script>\"'&한글"


class Server:
    def __init__(self, program, folder):
        self.process = subprocess.Popen(
            [program, "serve", "--port", "0", "--runs", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in self.process.stdout:
            found = re.search(r"http://[\d.:]+", line)
            if found:
                self.at = found.group()
                return
        raise SystemExit("the server did not start")

    def post(self, path, value):
        request = urllib.request.Request(self.at + path, json.dumps(value).encode(), {"content-type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def run(self, experiment, lr, seed):
        made = self.post(
            "/api/2.0/mlflow/runs/create", {"experiment_id": experiment, "run_name": EVIL, "tags": [{"key": "why", "value": EVIL}]}
        )
        run = made["run"]["info"]["run_id"]
        params = [{"key": "lr", "value": str(lr)}, {"key": "seed", "value": str(seed)}]
        self.log(run, [lr + seed / 100 + 1 / (1 + step) for step in range(50)], params)
        self.post("/api/2.0/mlflow/runs/update", {"run_id": run, "status": "FINISHED"})
        return run

    def log(self, run, values, params=()):
        metrics = [{"key": "train/loss", "value": value, "timestamp": 1, "step": step} for step, value in enumerate(values)]
        self.post("/api/2.0/mlflow/runs/log-batch", {"run_id": run, "metrics": metrics, "params": list(params)})


def columns_and_views(browser, server):
    """Columns follow the keyboard, the pointer and the list, the address follows them, a view is saved, and a tag taken back."""
    page, problems = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("dialog", lambda dialog: dialog.accept("kept <b>"))
    page.goto(server.at + "/?columns=lr,seed,state")
    heads = lambda: page.eval_on_selector_all("th[data-column]", "heads => heads.map(head => head.dataset.column).join()")
    def expect(wanted, act):
        try:
            page.wait_for_function("wanted => new URL(location).searchParams.get('columns') === wanted", arg=wanted, timeout=3000)
            page.wait_for_timeout(300)
        except Exception:
            pass
        if heads() != wanted:
            problems.append((act, heads(), wanted))
    page.focus("th[data-column=state] a")
    page.keyboard.press("Shift+ArrowLeft")
    expect("lr,state,seed", "Shift and an arrow")
    page.keyboard.press("Shift+ArrowLeft")
    expect("state,lr,seed", "the same again: the focus went along")
    page.drag_and_drop("th[data-column=seed]", "th[data-column=state]")
    expect("seed,state,lr", "a heading that is dragged")
    page.focus("th[data-column=lr] a")
    page.keyboard.press("Delete")
    expect("seed,state", "Delete")
    page.click(".search summary")
    page.fill("#which", "train")
    page.check("#chooser input[value='~train/loss']")
    expect("seed,state,~train/loss", "a box that is ticked")
    page.go_back()
    page.wait_for_timeout(500)
    if heads() != "seed,state" or page.input_value("#columns") != "seed,state":
        problems.append(("back", heads()))
    page.click("[data-save-view]")
    page.wait_for_selector("#views a", state="attached", timeout=3000)
    if page.get_attribute("#views a", "href") != "/?columns=seed%2Cstate":
        problems.append(("a saved view", page.get_attribute("#views a", "href")))
    page.check("[data-all]")
    page.click("[data-do=tag]")
    page.wait_for_selector(".undo button", timeout=3000)
    tagged = lambda: len(json.load(urllib.request.urlopen(server.at + "/api/v1/runs?query=tag:" + urllib.parse.quote('"kept <b>"')))["runs"])
    before = tagged()
    page.click(".undo button >> nth=0")
    page.wait_for_selector(".undo", state="detached", timeout=3000)
    if not before or tagged():
        problems.append(("undo", before, tagged()))
    page.close()
    return problems


def ranges(browser, server):
    """A range of a comparison leaves out what is outside of it, the address keeps it, and its files can be had."""
    page, problems = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.goto(server.at + "/compare?q=state=finished")
    cut = lambda: page.locator("#runs tr.cut").count()
    for _ in range(2):
        page.fill(".ranges input[data-axis=lr][data-end=high] >> nth=0", "0.15")
        if cut() != 2 or "1 of 2 cells" not in page.inner_text(".ranges output"):
            problems.append(("a range", cut(), page.inner_text(".ranges output")))
        page.reload()
        page.wait_for_timeout(300)
        if cut() != 2:
            problems.append(("a range in the address", page.url))
        page.click(".ranges .clear")
        if cut() or "range=" in page.url:
            problems.append(("no range", page.url))
    page.click(".exports summary")
    with page.expect_download() as download:
        page.click(".exports a[href*='cells.csv']")
    if download.value.suggested_filename != "cells.csv":
        problems.append(("a table", download.value.suggested_filename))
    page.close()
    return problems


def main():
    program, axe = sys.argv[1], pathlib.Path(sys.argv[2]).read_text()
    chromium = sys.argv[3] if len(sys.argv) > 3 else None
    problems = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(program, folder)
        try:
            experiment = server.post("/api/2.0/mlflow/experiments/create", {"name": EVIL})["experiment_id"]
            runs = [server.run(experiment, lr, seed) for lr in (0.1, 0.2) for seed in (1, 2)]
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            views = [
                "/", f"/runs/{runs[0]}", "/experiments", "/experiments/" + urllib.parse.quote(EVIL, safe=""),
                "/compare?q=state=finished", "/?q=lr%20%3E", "/?group=lr,seed", "/?columns=~train/loss,state,lr,name",
            ]
            for view in views:
                for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360)):
                    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
                    page = context.new_page()
                    page.on("console", lambda m: m.type == "error" and problems.append((view, m.text)))
                    page.on("pageerror", lambda e: problems.append((view, str(e))))
                    page.on("request", lambda r: r.url.startswith((server.at, "data:")) or problems.append((view, r.url)))
                    page.goto(server.at + view)
                    page.wait_for_timeout(400)
                    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
                    page.evaluate(axe)
                    found = page.evaluate("axe.run()")["violations"]
                    problems += [(view, scheme, width, one["id"], one["nodes"][0]["html"][:120]) for one in found]
                    if page.evaluate("document.documentElement.scrollWidth") > width:
                        problems.append((view, width, "wider than the screen"))
                    context.close()
            # What a client logs meanwhile is there without a reload: the first point of a run, and a new run in a list.
            run = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
            page, table = browser.new_page(), browser.new_page()
            page.goto(f"{server.at}/runs/{run}")
            table.goto(f"{server.at}/?q=lr%20%3D%200.7")
            page.wait_for_timeout(500)
            server.log(run, [3.0, "NaN", 2.0, "Infinity", 1.0], [{"key": "lr", "value": "0.7"}])
            page.wait_for_selector(".panel canvas", timeout=5000)
            table.wait_for_selector(f'tr[data-run="{run}"]', timeout=5000)
            if "2 of the values" not in page.inner_text(".panel"):
                problems.append("values that are not finite are not told")
            problems += columns_and_views(browser, server) + ranges(browser, server)
            browser.close()
        finally:
            server.process.kill()
    print("\n".join(map(str, problems)) or f"{len(views)} views in three ways: nothing found")
    sys.exit(bool(problems))


main()
