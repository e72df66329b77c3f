"""WinSCP's requests, according to its source/core/SftpFileSystem.cpp. The function of each sequence is beside it.

It asks for version 6 and accepts 3. Blocks are of 32 KiB, with 32 in flight (TSFTPUploadQueue, TSFTPDownloadQueue).
"""

from rig.frames import (
    ATTRS,
    CLOSE,
    CREATE,
    EXCLUSIVE,
    EXTENDED,
    FAILURE,
    FSTAT,
    HANDLE,
    LSTAT,
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
    SETSTAT,
    TRUNCATE,
    WRITE_FLAG,
)
from rig.replay import Ask, Download, List, Upload

VERSION = 6
BLOCK, WINDOW = 32 << 10, 32 * (32 << 10)
MTIME = 1_000_000_001
TIMES = {"times": (MTIME, MTIME)}
REPLACE = WRITE_FLAG | CREATE | TRUNCATE

# DoStartup, LookupUsersGroups, ReadCurrentDirectory, ReadDirectory. WinSCP doesn't wait for the CLOSE.
LOGIN_AND_LIST = [
    Ask(REALPATH, ".", NAME),
    Ask(OPENDIR, "{directory}", HANDLE),
    List(),
    Ask(CLOSE, None, OK, waits=False),
    Ask(LSTAT, "{directory}", ATTRS),
]

# Source, with "transfer to temporary filename" on, the default above 100 KiB. WinSCP checks if the file or a part of it
# exists. OPEN's attributes hold the size (SFTPOpenRemoteFile). WinSCP sends CLOSE right after the last WRITE, before
# their replies arrive. It sets the times after the rename.
UPLOAD_OF_A_LARGE_FILE = [
    Ask(LSTAT, "{target}", NO_SUCH_FILE),
    Ask(LSTAT, "{target}.filepart", NO_SUCH_FILE),
    Ask(OPEN, "{target}.filepart", HANDLE, flags=REPLACE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(RENAME, "{target}.filepart", OK, target="{target}"),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

# The same onto a file. WinSCP removes the file before the rename (DoDeleteFile) and gives its permissions to the new
# one.
REPLACING_A_LARGE_FILE = [
    Ask(LSTAT, "{target}", ATTRS),
    Ask(LSTAT, "{target}.filepart", NO_SUCH_FILE),
    Ask(OPEN, "{target}.filepart", HANDLE, flags=REPLACE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK),
    Ask(REMOVE, "{target}", OK),
    Ask(RENAME, "{target}.filepart", OK, target="{target}"),
    Ask(SETSTAT, "{target}", OK, attributes={"permissions": 0o644, **TIMES}),
]

# Source of a small file, or with temporary names off: WinSCP sends SETSTAT with the CLOSE, before either reply arrives.
UPLOAD_OF_A_SMALL_FILE = [
    Ask(OPEN, "{target}", HANDLE, flags=REPLACE | EXCLUSIVE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

# SFTPOpenRemote: EXCL fails, so WinSCP stats the file, asks the user, and then opens it without EXCL.
REPLACING_A_SMALL_FILE = [
    Ask(OPEN, "{target}", FAILURE, flags=REPLACE | EXCLUSIVE, attributes={"size": "size"}),
    Ask(LSTAT, "{target}", ATTRS),
    Ask(OPEN, "{target}", HANDLE, flags=REPLACE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

def resumed_upload(begun):
    """Source with an existing part of `begun` bytes: WinSCP opens it without TRUNC, and so without the size, and
    resumes at its end."""
    return [
        Ask(LSTAT, "{target}", NO_SUCH_FILE),
        Ask(LSTAT, "{target}.filepart", ATTRS),
        Ask(OPEN, "{target}.filepart", HANDLE, flags=WRITE_FLAG | CREATE, attributes={}),
        Upload(BLOCK, WINDOW, start=begun),
        Ask(CLOSE, None, OK, waits=False),
        Ask(RENAME, "{target}.filepart", OK, target="{target}"),
        Ask(SETSTAT, "{target}", OK, attributes=TIMES),
    ]


# Sink: FSTAT for the time, then READs until one isn't answered with DATA. Some READs are beyond the end.
DOWNLOAD = [
    Ask(OPEN, "{target}", HANDLE, flags=READ_FLAG, attributes={}),
    Ask(FSTAT, None, ATTRS),
    Download(BLOCK, WINDOW),
    Ask(CLOSE, None, OK),
]

# RenameFile with the session's setting UsePosixRename: it replaces the file at the target.
RENAME_BY_POSIX = [
    Ask(EXTENDED, "{target}.new", OK, extension="posix-rename@openssh.com", target="{target}"),
    Ask(LSTAT, "{target}.new", NO_SUCH_FILE),
]

# CreateDirectory, RenameFile, ChangeFileProperties, DeleteFile.
DIRECTORIES = [
    Ask(MKDIR, "{target}", OK, attributes={"permissions": 0o755}),
    Ask(MKDIR, "{target}", FAILURE, attributes={"permissions": 0o755}),
    Ask(LSTAT, "{target}", ATTRS),
    Ask(SETSTAT, "{target}", OK, attributes={"permissions": 0o755}),
    Ask(RENAME, "{target}", OK, target="{target}.moved"),
]
