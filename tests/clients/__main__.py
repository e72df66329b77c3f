"""Runs real SFTP clients against the server.

    python tests/clients             all suites, two test classes at a time
    python tests/clients -k WORD     only the tests whose names hold WORD; may be given more than once
    python tests/clients --sshd      the suite of transfers against OpenSSH's own server, to prove the suite itself
    python tests/clients --jobs N    N test classes at a time; retry a test that fails beside others with 1

It needs the packages of requirements.txt, the Java clients and a debug build of the server: `scripts/test` provides
them.
"""

import argparse
import faulthandler
import os
import signal
import sys
import time
import unittest
import unittest.util
from pathlib import Path

HERE = Path(__file__).resolve().parent
# More than the slowest machine needs for all suites. A run that hangs longer prints its stack.
RUN_TIMEOUT = 1500


class Result(unittest.TestResult):
    """Prints each test as it ends. After a failure it prints the error and the end of the server's log."""

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def addSuccess(self, test):
        self._print(test, "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._print(test, f"skipped: {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._print_failure(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self._print_failure(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._print_failure(subtest, error, test)

    def failed(self):
        # A test with several failing sub-tests is one test.
        tests = [getattr(test, "test_case", test) for test, _ in self.failures + self.errors]
        return len({test.id() for test in tests})

    def _print(self, test, outcome):
        seconds = time.monotonic() - self.started if hasattr(self, "started") else 0
        print(f"{test.id().split('.', 1)[-1]} ... {outcome} ({seconds:.1f} s)", flush=True)

    def _print_failure(self, test, error, owner=None):
        self._print(test, "FAILED")
        print(self._exc_info_to_string(error, owner or test))
        server = getattr(owner or test, "server", None)
        if server is not None:
            print(f"--- the end of the server's log\n{server.process.log_tail()}---", flush=True)


def tests(suite):
    """Yields the tests in a tree of suites."""
    for part in suite:
        yield from tests(part) if isinstance(part, unittest.TestSuite) else [part]


def classes(options):
    """Returns the requested suites, by the names of their test classes."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in options.k] if options.k else None
    found = {}
    for test in tests(loader.discover(str(HERE / "suites"), top_level_dir=str(HERE))):
        if (getattr(test, "SHARED", None) == "sshd") == options.sshd:
            name = unittest.util.strclass(type(test))
            found.setdefault(name, unittest.TestSuite()).addTest(test)
    return found


def run(suite):
    result = Result()
    suite.run(result)
    return {"run": result.testsRun, "skipped": len(result.skipped), "failed": result.failed()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="WORD", action="append")
    parser.add_argument("--sshd", action="store_true")
    parser.add_argument("--jobs", metavar="N", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    # SIGTERM raises KeyboardInterrupt, the one exception that unittest doesn't take for a test's failure. So a
    # terminated run stops the processes that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.path.insert(0, str(HERE))
    from rig import side_by_side

    suites, started = classes(options), time.monotonic()
    try:
        if options.worker:
            faulthandler.dump_traceback_later(RUN_TIMEOUT, exit=False)
            side_by_side.serve(lambda name: run(suites[name]))
            faulthandler.cancel_dump_traceback_later()
            return 0
        worker = [sys.executable, str(HERE), *sys.argv[1:], "--worker"]
        counts = side_by_side.Workers(worker, min(options.jobs, len(suites)), suites).run()
    except KeyboardInterrupt:
        return 143
    ran, skipped, failed = (sum(count[field] for count in counts) for field in ("run", "skipped", "failed"))
    passed = ran - skipped - failed
    print(f"-- SFTP clients: {time.monotonic() - started:.0f} s\n\n{passed} passed, {failed} failed")
    return 0 if passed and not failed and len(counts) == len(suites) else 1


if __name__ == "__main__":
    sys.exit(main())
