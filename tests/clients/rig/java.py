"""Apache MINA SSHD and sshj, through the programs in tests/clients/java/src, which Maven built."""

from . import keys, programs
from .servers import ROOT

BUILT = ROOT / "target" / "java-clients"


def run(program, server, user, commands, home, key="ed25519", bouncy_castle=True, status=0):
    """Runs `commands` on one connection. Returns a line for each."""
    if not (BUILT / "sources").exists():
        raise FileNotFoundError("the Java clients aren't built: run ./scripts/test, which does it")
    jars = [jar for jar in (BUILT / "jars").glob("*.jar") if bouncy_castle or not jar.name.startswith("bc")]
    path = ":".join(map(str, [*jars, BUILT / "classes"]))
    arguments = ["java", "-cp", path, program, server.host, server.port, user, keys.key(key)]
    return programs.run([*arguments, *commands], home, status=status).stdout.splitlines()
