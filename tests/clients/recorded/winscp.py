"""What WinSCP sends, after its source/core/SftpFileSystem.cpp; the function of each sequence is beside it.

It asks for version 6 and takes 3. Blocks are of 32 KiB, 32 of them under way (TSFTPUploadQueue, TSFTPDownloadQueue).
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

# DoStartup, LookupUsersGroups, ReadCurrentDirectory, ReadDirectory. Nobody waits for the CLOSE.
LOGIN_AND_LIST = [
    Ask(REALPATH, ".", NAME),
    Ask(OPENDIR, "{directory}", HANDLE),
    List(),
    Ask(CLOSE, None, OK, waits=False),
    Ask(LSTAT, "{directory}", ATTRS),
]

# Source, with "transfer to temporary filename" on, as it is by default above 100 KiB: is the file there, is a part of
# it there? The size is in OPEN's attributes (SFTPOpenRemoteFile). The CLOSE goes out behind the last WRITE, before the
# answers are in; the times come after the rename.
UPLOAD_OF_A_LARGE_FILE = [
    Ask(LSTAT, "{target}", NO_SUCH_FILE),
    Ask(LSTAT, "{target}.filepart", NO_SUCH_FILE),
    Ask(OPEN, "{target}.filepart", HANDLE, flags=REPLACE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(RENAME, "{target}.filepart", OK, target="{target}"),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

# The same onto a file: it is removed before the rename (DoDeleteFile), and its permissions are given to the new one.
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

# Source of a small file, or with temporary names off: SETSTAT goes out with the CLOSE, before either is answered.
UPLOAD_OF_A_SMALL_FILE = [
    Ask(OPEN, "{target}", HANDLE, flags=REPLACE | EXCLUSIVE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

# SFTPOpenRemote: EXCL fails, so the file is looked at, the user asked, and then it is opened without EXCL.
REPLACING_A_SMALL_FILE = [
    Ask(OPEN, "{target}", FAILURE, flags=REPLACE | EXCLUSIVE, attributes={"size": "size"}),
    Ask(LSTAT, "{target}", ATTRS),
    Ask(OPEN, "{target}", HANDLE, flags=REPLACE, attributes={"size": "size"}),
    Upload(BLOCK, WINDOW),
    Ask(CLOSE, None, OK, waits=False),
    Ask(SETSTAT, "{target}", OK, attributes=TIMES),
]

def resumed_upload(begun):
    """Source with a part of `begun` bytes there: it is opened without TRUNC, and so without the size, and gone on with
    from its end."""
    return [
        Ask(LSTAT, "{target}", NO_SUCH_FILE),
        Ask(LSTAT, "{target}.filepart", ATTRS),
        Ask(OPEN, "{target}.filepart", HANDLE, flags=WRITE_FLAG | CREATE, attributes={}),
        Upload(BLOCK, WINDOW, start=begun),
        Ask(CLOSE, None, OK, waits=False),
        Ask(RENAME, "{target}.filepart", OK, target="{target}"),
        Ask(SETSTAT, "{target}", OK, attributes=TIMES),
    ]


# Sink: FSTAT for the time, READs until one isn't answered with DATA, some of them beyond the end.
DOWNLOAD = [
    Ask(OPEN, "{target}", HANDLE, flags=READ_FLAG, attributes={}),
    Ask(FSTAT, None, ATTRS),
    Download(BLOCK, WINDOW),
    Ask(CLOSE, None, OK),
]

# RenameFile with the session's setting UsePosixRename: the file at the target is replaced.
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
