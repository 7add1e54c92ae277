<?php
// The story of php_client.py: php_client.php PORT
function check($condition, $text)
{
	if (!$condition) {
		fwrite(STDERR, "failed: $text\n");
		exit(1);
	}
}

function story(Memcached $c)
{
	check($c->set('k', 'v1') && $c->get('k') === 'v1', 'set, get');
	check($c->get('none') === false && $c->getResultCode() === Memcached::RES_NOTFOUND, 'a miss');
	check(!$c->add('k', 'v2') && $c->add('new', 'v2'), 'add');
	check(!$c->replace('missing', 'x') && $c->replace('new', 'v3'), 'replace');
	check($c->append('k', '-end') && $c->prepend('k', 'start-'), 'append, prepend');
	$got = $c->get('k', null, Memcached::GET_EXTENDED);
	check($got['value'] === 'start-v1-end', 'what they made');
	check($c->cas($got['cas'], 'k', 'swapped'), 'cas');
	check(!$c->cas($got['cas'], 'k', 'again') && $c->get('k') === 'swapped', 'cas with an old number');
	$c->set('n', 10);
	check($c->increment('n', 5) === 15 && $c->decrement('n', 20) === 0, 'increment, decrement');
	check($c->increment('missing') === false, 'increment of nothing');
	check($c->touch('k', 100) && !$c->touch('missing', 1), 'touch');
	check($c->delete('k') && !$c->delete('k'), 'delete');
	foreach ([1, 1.5, true, ['a' => [1, 2]], "\u{20ac}", null] as $value) {
		$c->set('typed', $value);
		check($c->get('typed') === $value, 'the type of a value, told by the flags');
	}
	$values = [];
	for ($n = 0; $n < 500; $n++)
		$values["many$n"] = "value$n";
	check($c->setMulti($values), 'set of many');
	$found = $c->getMulti(array_merge(array_keys($values), ['absent']));
	ksort($values);
	ksort($found);
	check($found === $values, 'get of many');
	check(!in_array(false, array_map(fn ($r) => $r === true, $c->deleteMulti(array_keys($values)))), 'delete of many');
	check($c->getMulti(array_keys($values)) === [], 'they are gone');
	$big = str_repeat('0123456789abcdef', 56250);
	check($c->set('big', $big) && $c->get('big') === $big, 'a large value');
	$c->set('short', 'x', 1);
	usleep(2300000);
	check($c->get('short') === false, 'expiry');
	check(current($c->getStats())['curr_items'] > 0, 'stats');
	check(strpos(current($c->getVersion()), '1.6') === 0, 'version');
	check($c->flush() && $c->get('big') === false, 'flush');
}

foreach ([false, true] as $binary) {
	$c = new Memcached();
	$c->setOption(Memcached::OPT_BINARY_PROTOCOL, $binary);
	$c->setOption(Memcached::OPT_COMPRESSION, false);
	// The machine may be busy.
	$c->setOption(Memcached::OPT_POLL_TIMEOUT, 60000);
	$c->setOption(Memcached::OPT_CONNECT_TIMEOUT, 60000);
	$c->addServer('127.0.0.1', (int) $argv[1]);
	story($c);
}
