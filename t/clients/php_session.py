#!/usr/bin/python3
"""PHP's session handler of php-memcached: sessions are written, locked, read by another process and destroyed."""

import client

client.script(["php"], ["-r", "exit(class_exists('Memcached') ? 0 : 1);"], "php_session.php")
