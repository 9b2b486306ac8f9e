"""Leases where locks do nothing: workers that die, are suspended and come back late, on this machine and on another.

    python tests/peers/heartbeats.py --ablate target/release/ablate        (Linux; `unshare`, a C compiler)

Another machine is another namespace of processes (`unshare --pid`): neither sees whether a process of the other lives. What comes
out is held against a sweep that nothing happened to, bit for bit.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crashes import Bench as Base, RUN, TINY

# Long enough to be stopped in the middle.
LONG = TINY.replace("steps = 40", "steps = 2000").replace("checkpoint_every = 5", "checkpoint_every = 50")
LONG = LONG.replace("eval_every = 10", "eval_every = 500").replace("[0.15, 0.3]", "[0.15]").replace("seeds = 2", "seeds = 1")

NO_LOCKS = r"""
#include <errno.h>
#ifndef ANSWER
#define ANSWER 0
#endif
int flock(int fd, int how) { if (ANSWER) errno = ANSWER; return ANSWER ? -1 : 0; }
"""


class Bench(Base):
    def __init__(self, ablate, by_heartbeat=True):
        super().__init__(ablate)
        (self.folder / "tiny.toml").write_text(LONG)
        if by_heartbeat:
            (self.store / ".claims").mkdir(parents=True)
            (self.store / ".claims" / "by-heartbeat").write_text("the test says so\n")
            # Machines do not see each other's locks, but these are one.
            os.environ["LD_PRELOAD"] = self.without_locks()
        else:
            os.environ.pop("LD_PRELOAD", None)

    def without_locks(self, answer="0"):
        """What makes locks do nothing, or fail, for a program that it is loaded before."""
        source, shim = self.folder / "locks.c", self.folder / f"locks-{answer}.so"
        source.write_text(NO_LOCKS)
        subprocess.run(["cc", "-shared", "-fPIC", f"-DANSWER={answer}", "-o", shim, source], check=True)
        return str(shim)

    def elsewhere(self, *words):
        """The program on another machine. It dies with its first process."""
        command = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", self.ablate, *words]
        return subprocess.Popen(
            command, cwd=self.folder, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def state(self):
        runs = self.json("list")["runs"]
        assert len(runs) <= 1, runs
        return runs[0]["state"] if runs else None

    def steps(self):
        logs = list(self.store.glob("????????/events.log"))
        return logs[0].read_bytes().count(b'{"step"') if logs else 0

    def wait_for(self, what, seconds=60):
        start = time.monotonic()
        while not what():
            assert time.monotonic() - start < seconds, f"not within {seconds} s"
            time.sleep(0.2)
        return time.monotonic() - start


def descendants(pid):
    """A process and all that it started, as this machine sees them."""
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += descendants(int(child))
    return found


def everybody(process, how):
    for pid in descendants(process.pid):
        os.kill(pid, how)


def begun(ablate, start):
    """A sweep in the middle of its run."""
    bench = Bench(ablate)
    process = start(bench, *RUN)
    bench.wait_for(lambda: bench.steps() > 300)
    return bench, process


def finished(bench, reference):
    """The same command again completes what is there, with the bits of the reference."""
    code, out = bench.call(*RUN)
    assert code == 0, out
    assert bench.outcome() == reference, "other bits"
    code, out = bench.call("fsck")
    assert code == 0, out
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", required=True)
    args = parser.parse_args()
    ablate = os.path.abspath(args.ablate)
    bench = Bench(ablate, by_heartbeat=False)
    start = time.monotonic()
    assert bench.call(*RUN)[0] == 0
    reference = bench.outcome()
    print(f"reference: {time.monotonic() - start:.1f} s, leases of the kernel")

    bench, process = begun(ablate, Bench.elsewhere)
    assert bench.state() == "running"
    everybody(process, signal.SIGKILL)
    process.communicate()
    print(f"died elsewhere: lost after {bench.wait_for(lambda: bench.state() == 'lost'):.0f} s of looking")
    finished(bench, reference)

    bench, process = begun(ablate, Bench.start)
    everybody(process, signal.SIGKILL)
    process.communicate()
    print(f"died here: lost after {bench.wait_for(lambda: bench.state() == 'lost'):.0f} s")
    finished(bench, reference)

    bench, process = begun(ablate, Bench.start)
    everybody(process, signal.SIGSTOP)
    for _ in range(45):
        time.sleep(1)
        assert bench.state() == "running", bench.state()
    everybody(process, signal.SIGCONT)
    out, _ = process.communicate()
    assert process.returncode == 0 and bench.outcome() == reference, out
    print("suspended here for 45 s: running all the time, then finished with the same bits")

    bench, late = begun(ablate, Bench.elsewhere)
    everybody(late, signal.SIGSTOP)
    before = bench.steps()
    seconds = bench.wait_for(lambda: bench.state() == "lost")
    next_one = bench.start(*RUN)
    bench.wait_for(lambda: bench.steps() > before + 50)
    everybody(late, signal.SIGCONT)
    said, _ = late.communicate(timeout=60)
    words = "is being executed by another process"
    log = next(bench.store.glob("????????/log.txt")).read_text()
    assert "another process took over" in log, log
    assert late.returncode != 0 and words in said, said
    out, _ = next_one.communicate(timeout=300)
    assert next_one.returncode == 0, out
    print(f"suspended elsewhere: lost after {seconds:.0f} s, taken over, and late it says:")
    print("   ", next(line.strip() for line in said.splitlines() if words in line))
    finished(bench, reference)

    for answer in ("0", "ENOLCK"):
        bench = Bench(ablate, by_heartbeat=False)
        two = [bench.start(*RUN, env={"LD_PRELOAD": bench.without_locks(answer)}) for _ in range(2)]
        for process in two:
            out, _ = process.communicate(timeout=300)
            assert process.returncode == 0, out
        assert len(bench.json("list")["runs"]) == 1 and bench.outcome() == reference, "two runs, or other bits"
        code, out = bench.call("doctor")
        print(f"locks that answer {answer}: two sweeps at once made one run;", next(l.strip() for l in out.splitlines() if "leases" in l))


main()
