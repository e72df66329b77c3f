"""Concurrent test classes. Each worker is a process with its own servers, and takes the next class after it has ended
one."""

import collections
import json
import subprocess
import sys
import threading

# Prefix of the line with which a worker reports the end of a class. The JSON of its counts follows.
ENDED = "\x1e"


def serve(run_class):
    """Works: runs the classes that standard input names with `run_class`, which returns their counts."""
    for name in sys.stdin:
        counts = run_class(name.strip())
        print(ENDED + json.dumps(counts), flush=True)


class Workers:
    """Workers started by `command`, and the classes that no worker has taken yet."""

    def __init__(self, command, count, names):
        self.names, self.counts, self.lock = collections.deque(names), [], threading.Lock()
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]

    def run(self):
        """Returns the counts of all classes. Prints each class's output in one piece."""
        threads = [threading.Thread(target=self._feed, args=[process]) for process in self.processes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            # Each worker stops the processes that it has started.
            for process in self.processes:
                process.terminate()
            for process in self.processes:
                process.wait()
            raise
        return self.counts

    def _feed(self, process):
        while self.names:
            try:
                name = self.names.popleft()
            except IndexError:
                break
            counts = self._run_class(process, name)
            with self.lock:
                self.counts.append(counts)
            if process.poll() is not None:
                return
        process.stdin.close()
        process.wait()

    def _run_class(self, process, name):
        said = []
        try:
            process.stdin.write(name + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in process.stdout:
            if line.startswith(ENDED):
                self._print(said)
                return json.loads(line.removeprefix(ENDED))
            said.append(line)
        self._print([*said, f"{name} ... FAILED: its worker ended with {process.wait()}\n"])
        return {"run": 1, "skipped": 0, "failed": 1}

    def _print(self, lines):
        with self.lock:
            print("".join(lines), end="", flush=True)
