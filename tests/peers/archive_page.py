"""Opens an archive of runs in Chromium from the disk, and looks for what would stop a reader.

    ablate archive quickstart /tmp/quickstart.html
    python3 tests/peers/archive_page.py /tmp/quickstart.html [--screenshots DIR]

At 1440 and 390 px, in light and dark, with and without scripts: no violation that axe-core knows, no message on the console, no request
to anywhere else, nothing wider than the window, and of the bytes behind the page none to be seen.

Needs what report_page.py needs: Playwright for Python, axe-core (`--axe` names its folder) and a Chromium (`--chromium`).
"""

import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

arguments = argparse.ArgumentParser()
arguments.add_argument("archive", type=pathlib.Path)
arguments.add_argument("--axe", type=pathlib.Path, default=pathlib.Path("node_modules/axe-core"))
arguments.add_argument("--chromium", default="/usr/bin/chromium")
arguments.add_argument("--screenshots", type=pathlib.Path)
arguments = arguments.parse_args()
axe = (arguments.axe / "axe.min.js").read_text()
address = arguments.archive.resolve().as_uri()
findings = []

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
    heights = {}
    for width in (1440, 390):
        for scheme in ("light", "dark"):
            for scripts in (True, False):
                where = f"{width}-{scheme}{'' if scripts else '-no-scripts'}"
                window = {"width": width, "height": 900}
                page = browser.new_context(viewport=window, color_scheme=scheme, java_script_enabled=scripts).new_page()
                said, asked = [], set()
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.on("request", lambda request: asked.add(request.url))
                page.goto(address, wait_until="commit")
                page.wait_for_selector("#certificate")
                page.wait_for_timeout(1000)
                text = page.inner_text("body")
                findings += [f"{where}: {message}" for message in said]
                findings += [f"{where}: asks for {url}" for url in asked - {address} if not url.startswith("about:")]
                if "certificate.json\ufffd" in text or "PK\x03" in text:
                    findings.append(f"{where}: bytes of the ZIP are to be seen")
                if scripts:
                    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    heights[width, scheme] = page.evaluate("document.documentElement.scrollHeight")
                    page.evaluate(axe)
                    result = page.evaluate("async () => await axe.run(document, { resultTypes: ['violations'] })")
                    findings += [f"{where}: axe {found['id']}: {found['nodes'][0]['html'][:160]}" for found in result["violations"]]
                    if over > 0:
                        findings.append(f"{where}: the page is {over} px wider than the window")
                    print(f"{where}: axe passed {len(result['passes'])} rules")
                else:
                    box = page.query_selector("html").bounding_box()
                    if round(box["height"]) != heights[width, scheme]:
                        findings.append(f"{where}: {box['height']} px high, not {heights[width, scheme]}")
                if arguments.screenshots:
                    arguments.screenshots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=arguments.screenshots / f"{where}.png", full_page=True)
    browser.close()

print("\n".join(findings) or "nothing found")
sys.exit(bool(findings))
