"""Runs real SFTP clients against the server.

    python tests/clients             all suites
    python tests/clients -k WORD     only the tests whose names hold WORD; may be given more than once
    python tests/clients --sshd      the suite of transfers against OpenSSH's own server, to prove the suite itself

It needs the packages of requirements.txt, the Java clients and a debug build of the server: `scripts/test` provides them.
"""

import argparse
import faulthandler
import signal
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Longer than the slowest machine needs for everything; what hangs past it says where.
RUN_TIMEOUT = 1500


class Result(unittest.TestResult):
    """Prints each test as it ends, and what failed with the end of its server's log."""

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
    """The tests in a tree of suites."""
    for part in suite:
        yield from tests(part) if isinstance(part, unittest.TestSuite) else [part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="WORD", action="append")
    parser.add_argument("--sshd", action="store_true")
    options = parser.parse_args()
    # A signal to end is the one exception that unittest doesn't take for a test's, so that what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    faulthandler.dump_traceback_later(RUN_TIMEOUT, exit=False)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in options.k] if options.k else None
    sys.path.insert(0, str(HERE))
    found = tests(loader.discover(str(HERE / "suites"), top_level_dir=str(HERE)))
    suite = unittest.TestSuite(test for test in found if (getattr(test, "SHARED", None) == "sshd") == options.sshd)
    result, started = Result(), time.monotonic()
    try:
        suite.run(result)
    except KeyboardInterrupt:
        return 143
    faulthandler.cancel_dump_traceback_later()
    failed = result.failed()
    passed = result.testsRun - len(result.skipped) - failed
    print(f"-- SFTP clients: {time.monotonic() - started:.0f} s\n\n{passed} passed, {failed} failed")
    return 0 if result.wasSuccessful() and passed else 1


if __name__ == "__main__":
    sys.exit(main())
