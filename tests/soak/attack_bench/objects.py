"""Objects that the bench puts into a bucket without the protocol."""

import http.client
from urllib.parse import quote, urlsplit

from rig.fake_aws import BUCKET, Zeros


def seed(s3, objects):
    """Stores objects, all through one connection."""
    connection = http.client.HTTPConnection(urlsplit(s3.levers).netloc, timeout=60)
    for key, data in objects.items():
        connection.request("PUT", f"/objects/{BUCKET}/{quote(key, safe='')}", body=data)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise OSError(f"fake-aws answered {answer.status} to {key}")
    connection.close()


def zeros(s3, key, size):
    s3.objects[key] = Zeros(size)
