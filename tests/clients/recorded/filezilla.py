"""FileZilla's requests. Its fzsftp is PuTTY's psftp with a window of its own, in src/putty/psftp.c and sftp.c.

WRITEs are of 16 KiB, READs of 32 KiB, with a MiB of them in flight (xfer_init). Each transfer has its own connection.
"""

from rig.frames import (
    ATTRS,
    CLOSE,
    CREATE,
    FSTAT,
    HANDLE,
    MKDIR,
    NAME,
    NO_SUCH_FILE,
    OK,
    OPEN,
    OPENDIR,
    READ_FLAG,
    REALPATH,
    REMOVE,
    RENAME,
    RMDIR,
    SETSTAT,
    STAT,
    TRUNCATE,
    WRITE_FLAG,
)
from rig.replay import Ask, Download, List, Upload

WRITE_BLOCK, READ_BLOCK, WINDOW = 16 << 10, 32 << 10, 1 << 20
MTIME = 1_000_000_001
# PUT_PERMISSIONS of the local file.
MODE = {"permissions": 0o640}

# do_sftp_init, sftp_cmd_cd, sftp_cmd_ls.
LOGIN_AND_LIST = [
    Ask(REALPATH, ".", NAME),
    Ask(REALPATH, "{directory}", NAME),
    Ask(OPENDIR, "{directory}", HANDLE),
    Ask(CLOSE, None, OK),
    Ask(OPENDIR, "{directory}", HANDLE),
    List(),
    Ask(CLOSE, None, OK),
]

# sftp_put_file, after canonify.
UPLOAD = [
    Ask(REALPATH, "{target}", NAME),
    Ask(OPEN, "{target}", HANDLE, flags=WRITE_FLAG | CREATE | TRUNCATE, attributes=MODE),
    Upload(WRITE_BLOCK, WINDOW),
    Ask(CLOSE, None, OK),
]

# "Preserve timestamps": sftp_cmd_chmtime reads the times, and sets those that differ. It keeps the access time.
PRESERVE_TIMES = [
    Ask(REALPATH, "{target}", NAME),
    Ask(STAT, "{target}", ATTRS),
    Ask(SETSTAT, "{target}", OK, attributes={"times": (MTIME, MTIME)}),
]

# sftp_get_file.
DOWNLOAD = [
    Ask(REALPATH, "{target}", NAME),
    Ask(STAT, "{target}", ATTRS),
    Ask(OPEN, "{target}", HANDLE, flags=READ_FLAG, attributes={}),
    Download(READ_BLOCK, WINDOW),
    Ask(CLOSE, None, OK),
]


def resumed_upload(begun):
    """sftp_put_file with `restart`: no CREAT and no TRUNC. FSTAT returns the offset to resume at."""
    return [
        Ask(OPEN, "{target}", HANDLE, flags=WRITE_FLAG, attributes=MODE),
        Ask(FSTAT, None, ATTRS),
        Upload(WRITE_BLOCK, WINDOW, start=begun),
        Ask(CLOSE, None, OK),
    ]


# sftp_cmd_mkdir, sftp_cmd_mv, sftp_cmd_rm, sftp_cmd_rmdir.
CHANGES = [
    Ask(MKDIR, "{directory}/made", OK, attributes={}),
    Ask(RENAME, "{target}", OK, target="{directory}/made/moved"),
    Ask(STAT, "{target}", NO_SUCH_FILE),
    Ask(REMOVE, "{directory}/made/moved", OK),
    Ask(RMDIR, "{directory}/made", OK),
]
