"""paramiko connections with deadlines."""

import paramiko

from . import keys

TIMEOUT = 120.0


def begin(server):
    """Returns a transport that has exchanged keys but isn't logged in."""
    transport = paramiko.Transport((server.host, server.port))
    transport.auth_timeout = transport.banner_timeout = TIMEOUT
    transport.start_client(timeout=TIMEOUT)
    return transport


def connect(server, user=None, password=None, key=None):
    """Returns a transport that is logged in, by key if there is no password."""
    transport = begin(server)
    if password is None:
        transport.auth_publickey(user or server.user, paramiko.PKey.from_path(key or keys.key()))
    else:
        transport.auth_password(user or server.user, password)
    return transport


def sftp(transport):
    """Returns an SFTP client on a new channel, whose reads and writes have a deadline."""
    client = paramiko.SFTPClient.from_transport(transport)
    client.get_channel().settimeout(TIMEOUT)
    return client
