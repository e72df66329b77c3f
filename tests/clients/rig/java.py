"""Apache MINA SSHD and sshj, through the programs in tests/clients/java/src, which Maven has built."""

from . import keys, programs
from .servers import ROOT

BUILT = ROOT / "target" / "java-clients"


def run(program, server, user, commands, home):
    """Runs `commands` on one connection; gives a line for each."""
    if not (BUILT / "sources").exists():
        raise FileNotFoundError("the Java clients aren't built: run ./scripts/test, which does it")
    arguments = ["java", "-cp", f"{BUILT}/jars/*:{BUILT}/classes", program, server.host, server.port, user, keys.key()]
    return programs.run([*arguments, *commands], home).stdout.splitlines()
