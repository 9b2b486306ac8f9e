"""How fast `ablate serve` answers, and what it needs: the figures of docs/server.md.

    python tests/peers/mlflow_load.py --ablate target/release/ablate [--runs 1000 10000]

Needs nothing beside Python. Every write is durable (the server answers after `fdatasync`). The clients of one figure are
processes with plain sockets, so that what is measured is the server. The last figure kills the server with SIGKILL while 8
clients log, starts it again and counts what was acknowledged and is not there.
"""

import argparse
import json
import multiprocessing
import re
import resource
import socket
import subprocess
import tempfile
import threading
import time

BASE = "/api/2.0/mlflow/"


class Connection:
    """A client as small as can be: one socket, one request at a time."""

    def __init__(self, port):
        self.port, self.socket = port, None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method, path, body=None):
        if self.socket is None:
            self.connect()
        body = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.read()
        head, data = data.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
        parts, have = [data], len(data)
        while have < length:
            parts.append(self.read())
            have += len(parts[-1])
        return status, b"".join(parts)

    def read(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("closed")
        return data

    def post(self, endpoint, body):
        status, data = self.send("POST", BASE + endpoint, body)
        assert status == 200, (status, data[:300])
        return json.loads(data)

    def run(self, experiment="0"):
        sent = {"experiment_id": experiment, "start_time": int(time.time() * 1000)}
        return self.post("runs/create", sent)["run"]["info"]["run_id"]


class Server:
    """`ablate serve` on a store."""

    def __init__(self, ablate, runs, port=0):
        start = time.time()
        command = [ablate, "--runs", runs, "serve", "--port", str(port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        self.port = int(line.rsplit(":", 1)[1].strip())
        assert Connection(self.port).send("GET", "/health")[0] == 200
        self.started_secs = time.time() - start

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()


def logs_metrics(port, seconds, queue):
    connection = Connection(port)
    run, took, step = connection.run(), [], 0
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        body = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1, "step": step}
        connection.post("runs/log-metric", body)
        took.append(time.perf_counter() - now)
        step += 1
    queue.put(took)


def durable_metrics(port, clients, seconds=5):
    queue = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=logs_metrics, args=(port, seconds, queue)) for _ in range(clients)]
    [worker.start() for worker in workers]
    took = sorted(sum((queue.get() for _ in workers), []))
    [worker.join() for worker in workers]
    p50, p99 = took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3
    print(f"log_metric, {clients} clients: {len(took) / seconds:.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)


def logs_together(port, run, seconds, queue, threads):
    """Clients of one process that log single points to one run."""
    counts = [0] * threads

    def logs(number):
        connection, end = Connection(port), time.perf_counter() + seconds
        while time.perf_counter() < end:
            body = {"run_id": run, "key": f"m{number}", "value": 0.5, "timestamp": 1, "step": counts[number]}
            connection.post("runs/log-metric", body)
            counts[number] += 1

    clients = [threading.Thread(target=logs, args=(number,)) for number in range(threads)]
    [client.start() for client in clients]
    [client.join() for client in clients]
    queue.put(sum(counts))


def together(port, processes=4, threads=32, seconds=5):
    """What waits for the disk together is written together: as many points as there are clients, for one wait."""
    run, queue = Connection(port).run(), multiprocessing.Queue()
    work = [multiprocessing.Process(target=logs_together, args=(port, run, seconds, queue, threads)) for _ in range(processes)]
    [worker.start() for worker in work]
    count = sum(queue.get() for _ in work)
    [worker.join() for worker in work]
    print(f"log_metric to one run, {processes * threads} clients: {count / seconds:.0f}/s", flush=True)


def logs_batches(port, seconds, queue):
    connection = Connection(port)
    run, count = connection.run(), 0
    bodies = []
    for at in range(20):
        metrics = [{"key": f"m{i % 10}", "value": i / 7, "timestamp": 1, "step": at * 1000 + i} for i in range(1000)]
        bodies.append(json.dumps({"run_id": run, "metrics": metrics}).encode())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.post("runs/log-batch", bodies[count % len(bodies)])
        count += 1
    queue.put(count)


def batches(port, clients, seconds=5):
    queue = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=logs_batches, args=(port, seconds, queue)) for _ in range(clients)]
    [worker.start() for worker in workers]
    count = sum(queue.get() for _ in workers)
    [worker.join() for worker in workers]
    print(f"log_batch of 1,000, {clients} clients: {count * 1000 / seconds:.0f} points/s", flush=True)


def makes_runs(port, experiment, numbers):
    connection = Connection(port)
    for number in numbers:
        run = connection.run(experiment)
        metrics = [{"key": f"m{i}", "value": number * 0.37 % 1 + i, "timestamp": 1, "step": 1} for i in range(10)]
        params = [{"key": f"p{i}", "value": f"{number % (i + 2)}"} for i in range(20)]
        connection.post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
        connection.post("runs/update", {"run_id": run, "status": "FINISHED"})


def searches(port, count):
    connection = Connection(port)
    experiment = connection.post("experiments/create", {"name": f"search {count}"})["experiment_id"]
    start = time.perf_counter()
    parts = [range(first, count, 4) for first in range(4)]
    workers = [multiprocessing.Process(target=makes_runs, args=(port, experiment, part)) for part in parts]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    print(f"{count} runs made in {time.perf_counter() - start:.1f} s")
    for words, body in {
        "1,000 of all": {},
        "100, filter and order": {"filter": "metrics.m3 < 3.5 and params.p3 = '2'", "order_by": ["metrics.m0 DESC"], "max_results": 100},
    }.items():
        took = []
        for _ in range(7):
            now = time.perf_counter()
            _, data = connection.send("POST", BASE + "runs/search", {"experiment_ids": [experiment], **body})
            took.append((time.perf_counter() - now) * 1e3)
        found = len(json.loads(data).get("runs", []))
        took, first = sorted(took[1:]), took[0]
        print(f"search of {count} runs, {words}: first {first:.1f} ms, then {took[len(took) // 2]:.1f} ms ({found} runs, {len(data)} bytes)", flush=True)


def idles(ablate, runs, count=10_000):
    """Connections that say nothing, and an answer beside them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    server = Server(ablate, runs)
    idle = []
    for at in range(count):
        # Beyond 127.0.0.1 for the client's side alone: one address has too few ports.
        connection = socket.socket()
        connection.bind((f"127.0.0.{2 + at % 4}", 0))
        connection.connect(("127.0.0.1", server.port))
        idle.append(connection)
    took = []
    for _ in range(50):
        now = time.perf_counter()
        assert Connection(server.port).send("GET", "/health")[0] == 200
        took.append((time.perf_counter() - now) * 1e3)
    print(f"{count} idle connections: {server.memory_mib():.1f} MiB, beside them a new one is answered in {sorted(took)[25]:.2f} ms", flush=True)
    server.kill()


def logs_until_told(port, stop, queue):
    """Logs through deaths of the server, as clients do: what was not answered is sent again."""
    connection, run, acknowledged = Connection(port), None, 0
    while not stop.is_set():
        try:
            run = run or connection.run()
            body = {"run_id": run, "key": "n", "value": float(acknowledged), "timestamp": acknowledged, "step": acknowledged}
            connection.post("runs/log-metric", body)
            acknowledged += 1
        except OSError:
            connection = Connection(port)
            time.sleep(0.02)
    queue.put((run, acknowledged))


def kills(ablate, runs, times=5):
    server = Server(ablate, runs)
    port, stop, queue = server.port, multiprocessing.Event(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=logs_until_told, args=(port, stop, queue)) for _ in range(8)]
    [worker.start() for worker in workers]
    for _ in range(times):
        time.sleep(1.0)
        server.kill()
        server = Server(ablate, runs, port)
    time.sleep(0.5)
    stop.set()
    told = [queue.get() for _ in workers]
    [worker.join() for worker in workers]
    server.kill()
    server = Server(ablate, runs)
    connection, lost, total = Connection(server.port), 0, 0
    for run, acknowledged in told:
        _, data = connection.send("GET", f"{BASE}metrics/get-history?run_id={run}&metric_key=n")
        found = {point["step"] for point in json.loads(data).get("metrics", [])}
        lost += sum(step not in found for step in range(acknowledged))
        total += acknowledged
    server.kill()
    print(f"kill -9 of the server, {times} times, 8 clients: {total} acknowledged, {lost} lost", flush=True)
    assert lost == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--runs", type=int, nargs="*", default=[1000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        starts = []
        for at in range(5):
            server = Server(arguments.ablate, f"{folder}/start{at}")
            starts.append(server.started_secs * 1e3)
            memory = server.memory_mib()
            if at < 4:
                server.kill()
        print(f"cold start to the first answer: {sorted(starts)[2]:.0f} ms; idle memory {memory:.1f} MiB")
        for clients in (1, 8):
            durable_metrics(server.port, clients)
        together(server.port)
        for clients in (1, 8):
            batches(server.port, clients)
        for count in arguments.runs:
            searches(server.port, count)
        print(f"memory after all that: {server.memory_mib():.1f} MiB")
        server.kill()
        idles(arguments.ablate, f"{folder}/idle")
        kills(arguments.ablate, f"{folder}/killed")


if __name__ == "__main__":
    main()
