<?php
// The story of php_session.py: php_session.php PORT, which calls itself as "php_session.php PORT step ID".
function check($condition, $text)
{
	if (!$condition) {
		fwrite(STDERR, "failed: $text\n");
		exit(1);
	}
}

function begin($port, $id)
{
	ini_set('session.save_handler', 'memcached');
	ini_set('session.save_path', "127.0.0.1:$port");
	ini_set('memcached.sess_connect_timeout', '60000');
	ini_set('session.use_cookies', '0');
	ini_set('session.cache_limiter', '');
	session_id($id);
	check(session_start(), 'a session starts');
}

function other($port, $step, $id)
{
	$command = array_map('escapeshellarg', [PHP_BINARY, __FILE__, $port, $step, $id]);
	passthru(implode(' ', $command), $status);
	check($status === 0, "the step $step");
}

[$port, $step, $id] = [$argv[1], $argv[2] ?? 'all', $argv[3] ?? 'session' . getmypid()];
if ($step === 'count') {
	begin($port, $id);
	$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
	$_SESSION['basket'] = str_repeat('x', 100000);
	session_write_close();
} elseif ($step === 'look') {
	begin($port, $id);
	check($_SESSION['count'] === 5 && strlen($_SESSION['basket']) === 100000, 'the session is whole');
	session_destroy();
} elseif ($step === 'gone') {
	begin($port, $id);
	check($_SESSION === [], 'the session is gone');
} else {
	for ($n = 0; $n < 5; $n++)
		other($port, 'count', $id);
	other($port, 'look', $id);
	other($port, 'gone', $id);
}
