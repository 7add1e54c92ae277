# The story of ruby_client.py: ruby_client.rb PORT
require 'dalli'

PORT = ARGV.fetch(0)

def check(condition, text)
  abort "failed: #{text}" unless condition
end

def story(c)
  check(c.set('k', 'v1') && c.get('k') == 'v1', 'set, get')
  check(c.get('none').nil?, 'a miss')
  check(!c.add('k', 'v2') && c.add('new', 'v2'), 'add')
  check([nil, false, 0].include?(c.replace('missing', 'x')) && c.replace('new', 'v3'), 'replace')
  c.set('raw', 'mid', 0, raw: true)
  check(c.append('raw', '-end') && c.prepend('raw', 'start-'), 'append, prepend')
  check(c.get('raw', raw: true) == 'start-mid-end', 'what they made')
  c.set('s', 1)
  check(c.cas('s') { |v| v + 1 } && c.get('s') == 2, 'cas')
  check(!c.cas('s') { |v| c.set('s', 10) && v + 1 } && c.get('s') == 10, 'cas with an old number')
  c.set('n', '10', 0, raw: true)
  check(c.incr('n', 5) == 15 && c.decr('n', 20).zero? && c.incr('missing').nil?, 'incr, decr')
  check(c.incr('made', 1, 0, 7) == 7, 'incr with an initial value')
  check(c.touch('k', 100) && !c.touch('missing', 1), 'touch')
  check(c.gat('k', 100) == 'v1', 'gat')
  check(c.delete('k') && !c.delete('k'), 'delete')
  c.set('structure', { a: [1, 2, 3] })
  check(c.get('structure') == { a: [1, 2, 3] }, 'a structure, told by the flags')
  values = (1..500).to_h { |n| ["many#{n}", "value#{n}"] }
  c.multi { values.each { |k, v| c.set(k, v) } }
  check(c.get_multi(values.keys + ['absent']) == values, 'get of many')
  c.multi { values.each_key { |k| c.delete(k) } }
  check(c.get_multi(values.keys) == {}, 'delete of many')
  big = '0123456789abcdef' * 56_250
  check(c.set('big', big) && c.get('big') == big, 'a large value')
  c.set('short', 'x', 1)
  sleep 2.2
  check(c.get('short').nil?, 'expiry')
  check(c.stats.values.first['curr_items'].to_i.positive?, 'stats')
  check(c.version.values.first.start_with?('1.6'), 'version')
  c.flush
  check(c.get('big').nil?, 'flush')
end

story(Dalli::Client.new("127.0.0.1:#{PORT}", compress: false, socket_timeout: 60))
