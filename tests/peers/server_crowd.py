"""Ten minutes of everything at once: 8 clients log, 8 pages are open, a sweep trains, and in the middle the server is killed.

    python3 tests/peers/server_crowd.py --ablate target/release/ablate [--seconds 600] [--chromium /usr/bin/chromium]

Needs `pip install playwright` and a Chromium. What was acknowledged has to be there at the end, in the order of its steps; the clients and
the pages have to go on by themselves, on the server that took the place of the killed one; the sweep has to end as if nobody had looked.
"""

import argparse
import json
import multiprocessing
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from crashes import TINY
from mlflow_load import BASE, Connection, Server


def logs(port, stop, queue):
    """A client: ten points a second or so, and now and then a batch; what was not answered is sent again."""
    connection, run, step = Connection(port), None, 0
    while not stop.is_set():
        try:
            run = run or connection.run()
            many = 100 if step % 50 == 0 else 1
            metrics = [{"key": "n", "value": float(step + i), "timestamp": 1, "step": step + i} for i in range(many)]
            connection.post("runs/log-batch", {"run_id": run, "metrics": metrics})
            step += many
            time.sleep(0.05)
        except OSError:
            connection = Connection(port)
            time.sleep(0.05)
    connection.post("runs/update", {"run_id": run, "status": "FINISHED"})
    queue.put((run, step))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        steps = int(args.seconds * 20)
        sweep = TINY.replace("steps = 40", f"steps = {steps}").replace("eval_every = 10", "eval_every = 100")
        (folder / "tiny.toml").write_text(sweep.replace("checkpoint_every = 5", "checkpoint_every = 500"))
        server = Server(args.ablate, str(folder / "runs"))
        port, stop, queue = server.port, multiprocessing.Event(), multiprocessing.Queue()
        clients = [multiprocessing.Process(target=logs, args=(port, stop, queue)) for _ in range(8)]
        [client.start() for client in clients]
        training = subprocess.Popen(
            [args.ablate, "run", "tiny.toml", "--threads", "1", "--jobs", "1"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(3)
        runs = [run["id"] for run in listed(args, folder) if run["experiment"] == "Default"]
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        views = ["/", "/?q=state%20%3D%20running", "/experiments", "/experiments/Default", "/experiments/tiny", *(f"/runs/{run}" for run in runs[:3])]
        pages, errors = [], []
        for view in views:
            page = browser.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"http://127.0.0.1:{port}{view}")
            pages.append(page)
        memory, killed, start = [], 0, time.monotonic()
        while time.monotonic() - start < args.seconds:
            pages[0].wait_for_timeout(5000)
            memory.append(server.memory_mib())
            if not killed and time.monotonic() - start > args.seconds / 2:
                server.kill()
                time.sleep(0.5)
                server = Server(args.ablate, str(folder / "runs"), port)
                killed = time.monotonic() - start
        # The pages follow what is logged now, without a reload.
        before = [page.inner_text("main") for page in pages]
        pages[0].wait_for_timeout(10_000)
        follow = [view.startswith(("/runs/", "/?q=")) for view in views]
        asleep = [view for view, page, old, changes in zip(views, pages, before, follow) if changes and page.inner_text("main") == old]
        stop.set()
        told = [queue.get() for _ in clients]
        [client.join() for client in clients]
        browser.close()
        connection, lost, total = Connection(server.port), 0, 0
        for run, acknowledged in told:
            answer = subprocess.run(
                [args.ablate, "export", run, "--format", "jsonl", "--shape", "long"], cwd=folder, capture_output=True, text=True, check=True
            ).stdout
            points = [json.loads(line) for line in answer.splitlines()]
            steps = [point["step"] for point in points]
            assert all(point["value"] == point["step"] for point in points)
            lost += len(set(range(acknowledged)) - set(steps))
            total += acknowledged
        training.kill()
        training.wait()
        sound = subprocess.run([args.ablate, "fsck"], cwd=folder, capture_output=True, text=True)
        server.kill()
        print(f"{args.seconds:.0f} s, server killed after {killed:.0f} s: {total} points acknowledged, {lost} lost; memory {max(memory):.0f} MiB at most")
        print(f"pages that stood still: {asleep or 'none'}; errors of scripts: {errors or 'none'}; fsck: {sound.stderr.strip().splitlines()[-1]}")
        assert not lost and not asleep and not errors


def listed(args, folder):
    return json.loads(subprocess.run([args.ablate, "list", "--json"], cwd=folder, capture_output=True, text=True, check=True).stdout)["runs"]


if __name__ == "__main__":
    main()
