#!/usr/bin/python3
"""A real client: ruby-dalli, which speaks the binary protocol."""

import client

client.script(["ruby"], ["-e", "require 'dalli'"], "ruby_client.rb")
