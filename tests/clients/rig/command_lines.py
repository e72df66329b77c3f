"""Command lines that give each program its server and user. The settings are those of docs/clients.md."""

from . import keys
from .openssh import OpenSsh


def lftp(server, *commands):
    """lftp ends at the first command that fails."""
    ssh = "ssh -a -x " + " ".join(OpenSsh(server).options)
    begin = [
        "set cmd:fail-exit yes",
        "set net:max-retries 1",
        f'set sftp:connect-program "{ssh}"',
        f"open -u {server.user}, -p {server.port} sftp://{server.host}",
    ]
    return ["lftp", "--norc", "-c", "; ".join([*begin, *commands])]


def rclone_remote(server, path, **settings):
    """Returns a remote for rclone's command line. `settings` add to the necessary ones. None removes a setting."""
    settings = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "key_file": keys.key(),
        "shell_type": "none",
        "disable_hashcheck": "true",
        **settings,
    }
    joined = ",".join(f"{name}={value}" for name, value in settings.items() if value is not None)
    return f":sftp,{joined}:{path}"


def curl(server, *arguments, path):
    """`path` begins at the root, in whatever directory sessions start."""
    key = ["--key", keys.key(), "--pubkey", f"{keys.key()}.pub", "--user", f"{server.user}:"]
    return ["curl", "--disable", "-sS", "--insecure", *key, *arguments, f"sftp://{server.host}:{server.port}{path}"]


def psftp(server, host_key):
    """psftp reads its commands from standard input, up to the first that fails."""
    return [*_putty("psftp", server, host_key), "-b", "/dev/stdin", f"{server.user}@{server.host}"]


def pscp(server, host_key, *arguments):
    return [*_putty("pscp", server, host_key), "-q", *arguments]


def _putty(program, server, host_key):
    return [program, "-batch", "-hostkey", host_key, "-P", server.port, "-i", keys.putty_key()]


def restic(server, directory, *arguments):
    """restic on the repository in `directory`."""
    openssh = OpenSsh(server)
    ssh = " ".join(["ssh", *openssh.options, "-p", str(server.port), openssh.place, "-s", "sftp"])
    repository = ["-o", f"sftp.command={ssh}", "-r", f"sftp:{openssh.place}:{directory}/repository"]
    return ["restic", "--no-cache", *repository, *arguments]
