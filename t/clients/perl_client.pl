# The story of perl_client.py: perl_client.pl PORT
use strict;
use warnings;
use Cache::Memcached::Fast;

my $port = shift or die "usage: perl_client.pl PORT\n";
my $c = Cache::Memcached::Fast->new({
	connect_timeout => 60, io_timeout => 60,    # the machine may be busy
	servers => ["127.0.0.1:$port"], max_size => 1024 * 1024, compress_threshold => -1, utf8 => 1,
});

sub check {
	my ($condition, $text) = @_;
	die "failed: $text\n" unless $condition;
}

check($c->set('k', 'v1') && $c->get('k') eq 'v1', 'set, get');
check(!defined $c->get('none'), 'a miss');
check(!$c->add('k', 'v2') && $c->add('new', 'v2'), 'add');
check(!$c->replace('missing', 'x') && $c->replace('new', 'v3'), 'replace');
check($c->append('k', '-end') && $c->prepend('k', 'start-'), 'append, prepend');
check($c->get('k') eq 'start-v1-end', 'what they made');
my $pair = $c->gets('k');
check($pair->[1] eq 'start-v1-end' && $c->cas('k', $pair->[0], 'swapped'), 'cas');
check(!$c->cas('k', $pair->[0], 'again') && $c->get('k') eq 'swapped', 'cas with an old number');
$c->set('n', 10);
check($c->incr('n', 5) == 15 && $c->decr('n', 20) == 0 && !$c->incr('missing'), 'incr, decr');
check($c->touch('k', 100) && !$c->touch('missing', 1), 'touch');
check($c->delete('k') && !$c->delete('k'), 'delete');

$c->set('structure', { a => [1, 2, 3] });
check($c->get('structure')->{a}[2] == 3, 'a structure, told by the flags');

my %values = map { ("many$_" => "value$_") } 1 .. 500;
my $stored = $c->set_multi(map { [$_, $values{$_}] } keys %values);
check((grep { $_ } values %$stored) == 500, 'set of many');
my $found = $c->get_multi(keys %values, 'absent');
check(keys %$found == 500 && !(grep { $found->{$_} ne $values{$_} } keys %values), 'get of many');
my $gone = $c->delete_multi(keys %values);
check((grep { $_ } values %$gone) == 500 && !%{ $c->get_multi(keys %values) }, 'delete of many');

my $big = '0123456789abcdef' x 56250;
check($c->set('big', $big) && $c->get('big') eq $big, 'a large value');

$c->set("quiet$_", $_) for 1 .. 1000;    # in void context: noreply
$c->nowait_push;
check(keys %{ $c->get_multi(map { "quiet$_" } 1 .. 1000) } == 1000, 'sets without a reply');

$c->set('short', 'x', 1);
sleep 2;
select undef, undef, undef, 0.3;
check(!defined $c->get('short'), 'expiry');
my $versions = $c->server_versions;
check((values %$versions)[0] =~ /^1\.6/, 'version');
$c->flush_all;
check(!defined $c->get('big'), 'flush_all');
