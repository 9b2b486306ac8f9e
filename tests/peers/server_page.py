#!/usr/bin/env python3
"""Opens every view of `ablate serve` in Chromium and looks for what would stop a reader: axe-core's findings, errors in the console, requests
to anybody else, views wider than the screen, what cannot be done with the keyboard alone, views that do not follow what happens meanwhile,
and a sweep that does not obey its page.

    python3 tests/peers/server_page.py target/release/ablate [CHROMIUM]

Needs `pip install playwright axe-playwright-python` and a Chromium (Playwright's own, or a program's path); `.ci/browser` installs them.
"""

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import axe_playwright_python
from playwright.sync_api import sync_playwright

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
EVIL = "<script>alert(1)</script>\"'&한글"
SWEEP = """[experiment]
name = "units"
[data]
corpus = "demo"
demo_documents = 200
[tokenizer]
vocab_size = 1000
[model]
preset = "nano"
[train]
steps = {steps}
batch_size = 8
seq_len = 32
eval_every = 20
checkpoint_every = 20
[sweep.grid]
"optimizer.lr" = [1e-3, 3e-3]
"objective.mask_ratio" = [0.15, 0.3]
[sweep.replicates]
seeds = 2
"""
LAYOUTS = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 3840))


class Server:
    def __init__(self, program, folder, *options):
        self.process = subprocess.Popen(
            [program, "serve", "--port", "0", "--runs", folder, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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

    def get(self, path):
        return json.load(urllib.request.urlopen(self.at + path))

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


class Findings:
    """What is wrong, and pages that tell of it."""

    def __init__(self, at):
        self.at, self.found = at, []

    def __call__(self, *what):
        self.found.append(what)

    def watch(self, page):
        page.on("console", lambda m: m.type == "error" and self(page.url, m.text))
        page.on("pageerror", lambda e: self(page.url, str(e)))
        page.on("request", lambda r: r.url.startswith((self.at, "data:")) or self(page.url, "asks", r.url))
        return page


def look_at_every_view(browser, server, views, wrong):
    for view in views:
        for scheme, width in LAYOUTS:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
            page = wrong.watch(context.new_page())
            page.goto(server.at + view)
            page.wait_for_timeout(400)
            page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
            page.evaluate(AXE)
            for found in page.evaluate("axe.run()")["violations"]:
                wrong(view, scheme, width, found["id"], found["nodes"][0]["html"][:160])
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong(view, width, "wider than the screen")
            context.close()


def follow_what_is_logged(browser, server, experiment, wrong):
    """What a client logs meanwhile is there without a reload: the first point of a run, and a new run in a list."""
    run = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    page, table = wrong.watch(browser.new_page()), wrong.watch(browser.new_page())
    page.goto(f"{server.at}/runs/{run}")
    table.goto(f"{server.at}/?q=lr%20%3D%200.7")
    page.wait_for_timeout(500)
    server.log(run, [3.0, "NaN", 2.0, "Infinity", 1.0], [{"key": "lr", "value": "0.7"}])
    page.wait_for_selector(".panel canvas", timeout=5000)
    table.wait_for_selector(f'tr[data-run="{run}"]', timeout=5000)
    if "2 of the values" not in page.inner_text(".panel"):
        wrong("values that are not finite are not told")
    page.close()
    table.close()


def tab_to(page, selector, wrong, most=80):
    """Presses Tab until what is looked for has the focus, as who has no mouse does."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return True
    wrong(page.url, "not reached by the keyboard:", selector)
    return False


def walk_by_keyboard(browser, server, wrong):
    """From the list to a query, a choice of runs, their comparison, and back to one of them, without a mouse."""
    page = wrong.watch(browser.new_page(viewport={"width": 1280, "height": 900}))
    page.goto(server.at + "/")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.className") != "skip":
        wrong("the first thing that is reached does not lead to the content")
    page.keyboard.press("/")
    page.keyboard.type("state = finished and l")
    page.keyboard.press("ArrowDown")
    if page.get_attribute("#q", "aria-activedescendant") is None:
        wrong("words of a query are not offered")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+A")
    page.keyboard.type("state = fin")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    if page.input_value("#q") != "state = finished ":
        wrong("a value is not completed", page.input_value("#q"))
    page.keyboard.type("and ")
    page.keyboard.type("lr > 0.05")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    if page.locator("tbody tr[data-run]").count() != 4:
        wrong("a query that was typed finds", page.locator("tbody tr[data-run]").count(), "runs, not 4")
    if tab_to(page, "[data-all]", wrong):
        page.keyboard.press("Space")
        if page.locator("tbody input[name=run]:checked").count() != 4:
            wrong("all runs are not chosen by the keyboard")
    page.keyboard.press("Shift+Tab")
    page.focus("form.chosen button[type=submit]")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    if "/compare" not in page.url or "lr" not in page.inner_text("body"):
        wrong("runs that were chosen are not compared", page.url)
    page.goto(server.at + "/")
    if tab_to(page, "tbody a.id", wrong):
        with page.expect_navigation():
            page.keyboard.press("Enter")
        if "/runs/" not in page.url:
            wrong("a run is not opened by the keyboard", page.url)
    page.close()


def wait_until(page, what, is_so, wrong, seconds=90):
    for _ in range(seconds * 4):
        if is_so():
            return
        page.wait_for_timeout(250)
    wrong("waited in vain:", what)


def columns_and_views(browser, server, wrong):
    """Columns follow the keyboard, the pointer and the list, the address follows them, a view is saved, and a tag taken back."""
    page = wrong.watch(browser.new_page(viewport={"width": 1280, "height": 900}))
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
            wrong(act, heads(), wanted)
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
        wrong("back", heads())
    page.click("[data-save-view]")
    page.wait_for_selector("#views a", state="attached", timeout=3000)
    if page.get_attribute("#views a", "href") != "/?columns=seed%2Cstate":
        wrong("a saved view", page.get_attribute("#views a", "href"))
    page.check("[data-all]")
    page.click("[data-do=tag]")
    page.wait_for_selector(".undo button", timeout=3000)
    tagged = lambda: len(json.load(urllib.request.urlopen(server.at + "/api/v1/runs?query=tag:" + urllib.parse.quote('"kept <b>"')))["runs"])
    before = tagged()
    page.click(".undo button >> nth=0")
    page.wait_for_selector(".undo", state="detached", timeout=3000)
    if not before or tagged():
        wrong("undo", before, tagged())
    page.close()


def ranges(browser, server, wrong):
    """A range of a comparison leaves out what is outside of it, the address keeps it, and its files can be had."""
    page = wrong.watch(browser.new_page(viewport={"width": 1280, "height": 900}))
    page.goto(server.at + "/compare?q=state=finished%20lr%20%3E%200.05%20lr%20%3C%200.25")
    cut = lambda: page.locator("#runs tr.cut").count()
    for _ in range(2):
        page.fill(".ranges input[data-axis=lr][data-end=high] >> nth=0", "0.15")
        if cut() != 2 or "1 of 2 cells" not in page.inner_text(".ranges output"):
            wrong("a range", cut(), page.inner_text(".ranges output"))
        page.reload()
        page.wait_for_timeout(300)
        if cut() != 2:
            wrong("a range in the address", page.url)
        page.click(".ranges .clear")
        if cut() or "range=" in page.url:
            wrong("no range", page.url)
    page.click(".exports summary")
    with page.expect_download() as download:
        page.click(".exports a[href*='cells.csv']")
    if download.value.suggested_filename != "cells.csv":
        wrong("a table", download.value.suggested_filename)
    page.close()


def obey(browser, server, program, folder, wrong):
    """A sweep is shown while it is at work, stopped from its page, and resumed from there."""
    # Long enough to be seen at work on any machine: the page learns of a resumed sweep some seconds after it began.
    pathlib.Path(folder, "units.toml").write_text(SWEEP.format(steps=1500))
    sweep = subprocess.Popen([program, "run", "units.toml", "--runs", folder], cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    page = wrong.watch(browser.new_page(viewport={"width": 1280, "height": 900}))
    wait_until(page, "the sweep", lambda: any(s["working"] for s in server.get("/api/v1/sweeps")["sweeps"]), wrong)
    page.goto(server.at + "/experiments/units")
    page.wait_for_selector("[data-running]", timeout=5000)
    if page.locator(".square.waiting").count() == 0:
        wrong("runs that wait are not shown")
    page.click("[data-execute=stop][data-experiment]")
    if sweep.wait(60) != 130:
        wrong("the sweep did not stop as one that was asked to", sweep.returncode)
    page.wait_for_selector("[data-execute=resume][data-experiment]", timeout=15000)
    page.click("[data-execute=resume][data-experiment]")
    page.wait_for_selector("[data-running]", timeout=15000)
    done = lambda: server.get("/api/v1/sweeps")["sweeps"][0]["counts"]["finished"] == 8
    wait_until(page, "the end of the resumed sweep", done, wrong, 240)
    wait_until(page, "the answer", lambda: "What matters" in page.inner_text("#answer"), wrong, 20)
    if page.locator(".map td.mean a, .map td.mean").count() < 4:
        wrong("the map has not four fields")
    page.close()


def main():
    program, chromium = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(program, folder, "--execute")
        wrong = Findings(server.at)
        try:
            experiment = server.post("/api/2.0/mlflow/experiments/create", {"name": EVIL})["experiment_id"]
            runs = [server.run(experiment, lr, seed) for lr in (0.1, 0.2) for seed in (1, 2)]
            address = f"{server.at}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{runs[0]}/artifacts/a.txt"
            urllib.request.urlopen(urllib.request.Request(address, EVIL.encode(), method="PUT"))
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            walk_by_keyboard(browser, server, wrong)
            columns_and_views(browser, server, wrong)
            ranges(browser, server, wrong)
            follow_what_is_logged(browser, server, experiment, wrong)
            obey(browser, server, program, folder, wrong)
            trained = server.get("/api/v1/runs?query=experiment%20%3D%20units&limit=1")["runs"][0]["id"]
            evil = urllib.parse.quote(EVIL, safe="")
            views = [
                "/", f"/runs/{runs[0]}", f"/runs/{trained}", f"/runs/{runs[0]}/diff/{runs[2]}", f"/runs/{runs[0]}/artifacts/",
                f"/runs/{runs[0]}/artifacts/a.txt", f"/runs/{trained}/ask?text=" + urllib.parse.quote("서울 [MASK]"), "/experiments", "/experiments/" + evil, "/experiments/units",
                "/compare?q=state=finished%20lr%20%3E%200.05", "/?q=lr%20%3E", "/?group=lr,seed", "/?columns=~train/loss,state,lr,name", "/experiments/none",
            ]
            look_at_every_view(browser, server, views, wrong)
            browser.close()
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
    # A page that is not there is an answer with an error, which the console tells.
    found = [what for what in wrong.found if not ("none" in str(what[0]) and "404" in str(what))]
    print("\n".join(map(str, found)) or f"{len(views)} views in {len(LAYOUTS)} ways, a walk by keyboard, a sweep stopped and resumed: nothing found")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
