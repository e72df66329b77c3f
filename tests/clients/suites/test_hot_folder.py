"""A hot folder: producers write files under temporary names, rename them, and add `NAME.ok`. Pollers compete for files
that have an `.ok`. Each file arrives exactly once, byte for byte, whatever its name is."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice

from rig.case import ServerCase
from rig.files import content
from rig.process import until

FILES = 300
PRODUCERS = 2
POLLERS = 3
OK = ".ok"
# With `OK` it has 255 bytes, the limit for a name.
LONGEST = 255 - len(OK)
# Names that are special in shells, URLs, patterns, XML, Windows or a client, and text that resembles other text.
ODD = (
    *(" ", "  ", "%", "%20", "%2F", "%2f..%2f", "%00", "+", "#", "?", "?versionId=1", "&", ";", "=", "@", ":", "|", "<", ">"),
    *("<Key>", "&amp;", '"', "'", "''", "`", "$HOME", "$(id)", "!", "*", "[a-z]", "{a,b}", "(", ")", "~", "~root", "^", "\\"),
    *("\\n", "\\\\host", "-", "--", "-rf", "...", ".hidden", "_", ",", "CON", "NUL.txt", "C:", "x.", "x..", "x ", ".tmp"),
    *(".partial", ".filepart", ".crc", "a\u2215b", "½", "–", "…", "“x”", "\u00a0", "\u200b", "\u202e", "\u2028", "\ufeff"),
    *("ß", "SS", "I", "\u0130", "\u0131", "\ufb01", "\u00c5", "A\u030a", "\u212b", "\u00e9", "e\u0301", "\ud55c", "\u1112\u1161\u11ab"),
    *("日本語", "漢字.csv", "עברית", "العربية", "ไทย", "हिन्दी", "😀", "👩\u200d👧", "🇩🇪", "\U0001d518", "\U0010fffd"),
)
CASES = ("Report.CSV", "report.csv", "REPORT.csv", "report.CSV", "Report", "report")


def longest(text):
    """Returns a name of `LONGEST` bytes that begins and ends with the text."""
    size = len(text.encode())
    repeated = text * (LONGEST // size - 1)
    return repeated + "x" * (LONGEST - size - len(repeated.encode())) + text


def names():
    """Returns `FILES` names: each odd text alone, inside a name, in the longest name, and at the beginning of a
    name."""
    forms = (str, lambda text: f"a{text}b", longest, lambda text: f"{text}a")
    odd = (form(text) for form in forms for text in ODD)
    return list(islice(dict.fromkeys(chain(CASES, odd)), FILES))


class HotFolder:
    def setUp(self):
        super().setUp()
        there = self.remote_directory()
        self.hot, self.claimed = f"{there}/hot", f"{there}/claimed"
        with closing(self.sftp()) as client:
            for path in (self.hot, self.claimed, *(f"{self.claimed}/{number}" for number in range(POLLERS))):
                client.mkdir(path)
        self.sent = {name: name.encode() + content(number * 10) for number, name in enumerate(names())}
        self.arrived = []

    def produce(self, number):
        with closing(self.sftp()) as client:
            for name in list(self.sent)[number::PRODUCERS]:
                temporary = f"{self.hot}/.incoming-{number}"
                with client.open(temporary, "wb") as file:
                    file.write(self.sent[name])
                client.rename(temporary, f"{self.hot}/{name}")
                client.open(f"{self.hot}/{name}{OK}", "wb").close()

    def poll(self, number):
        with closing(self.sftp()) as client:
            until(lambda: self.take(client, number) or len(self.arrived) >= FILES, "all files", timeout=120)

    def take(self, client, number):
        """Takes ready files that no other poller takes. All pollers try the same files in the same order."""
        for marker in (name for name in sorted(client.listdir(self.hot)) if name.endswith(OK)):
            name = marker.removesuffix(OK)
            mine = f"{self.claimed}/{number}/{name}"
            try:
                client.rename(f"{self.hot}/{name}", mine)
            except FileNotFoundError:
                continue
            with client.open(mine, "rb") as file:
                self.arrived.append((name, file.read()))
            client.remove(f"{self.hot}/{marker}")

    def test_300_odd_names_and_competing_pollers(self):
        self.assertEqual(FILES, len(self.sent))
        with ThreadPoolExecutor(PRODUCERS + POLLERS) as pool:
            producers = [pool.submit(self.produce, number) for number in range(PRODUCERS)]
            pollers = [pool.submit(self.poll, number) for number in range(POLLERS)]
            for job in (*producers, *pollers):
                job.result()
        self.assertEqual({name: 1 for name in self.sent}, Counter(name for name, _ in self.arrived))
        self.assertEqual([], [name for name, data in self.arrived if data != self.sent[name]])
        with closing(self.sftp()) as client:
            self.assertEqual([], client.listdir(self.hot))
            claimed = [client.listdir(f"{self.claimed}/{number}") for number in range(POLLERS)]
        self.assertEqual(sorted(self.sent), sorted(chain(*claimed)))


class HotFolderOnDemo(HotFolder, ServerCase):
    SHARED = "demo"


class HotFolderOnSshd(HotFolder, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
