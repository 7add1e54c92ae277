#!/usr/bin/python3
"""A real client: php-memcached, over both protocols."""

import client

client.script(["php"], ["-r", "exit(class_exists('Memcached') ? 0 : 1);"], "php_client.php")
