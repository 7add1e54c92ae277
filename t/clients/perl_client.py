#!/usr/bin/python3
"""A real client: libcache-memcached-fast-perl."""

import client

client.script(["perl"], ["-MCache::Memcached::Fast", "-e", "1"], "perl_client.pl")
