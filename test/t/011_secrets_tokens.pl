# The secrets file: who may read it, what it may look like, where its values go. Tokens signed with a key of it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $a = 'aaaaaaaa-0000-4000-8000-000000000001';
my $b = 'bbbbbbbb-0000-4000-8000-000000000002';
my $key = 'k3y-' . 'a' x 40;
my $file = PostgreSQL::Test::Utils::tempdir() . '/secrets';

sub write_secrets
{
	my ($text, $mode) = @_;
	unlink $file;
	append_to_file($file, $text);
	chmod($mode // 0600, $file) or die "chmod: $!";
}

my $node = PostgreSQL::Test::Cluster->new('secrets');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
CREATE ROLE tok_app LOGIN;
CREATE ROLE tok_tenant LOGIN;
CREATE ROLE tok_bound LOGIN;
INSERT INTO qzpay.tenants VALUES ('$a', 'A', '2026-01-01'), ('$b', 'B', '2026-01-01');
SELECT qzpay.grant_access('tok_app', 'app');
SELECT qzpay.grant_access('tok_tenant', 'tenant');
SELECT qzpay.grant_access('tok_bound', 'tenant', '$b');
SQL
my $who = q{SELECT coalesce((SELECT string_agg(name, ',' ORDER BY name) FROM qzpay.tenants), 'none')};

# as(ROLE, SQL): what it says, or its SQLSTATE and message
sub as
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET SESSION AUTHORIZATION $role;\n$sql");
	return $out if $status == 0;
	return $err =~ /ERROR:\s+(\w{5}): (.*)/ ? "$1 $2" : "? $err";
}
my $issue = "SELECT qzpay._issue_token('$a', 60)";

like(as('tok_app', $issue), qr/^55000 tokens are not configured/, 'no file configured');

# Without the library loaded the setting is a placeholder; a session that loads it sees the file's.
$node->append_conf('postgresql.conf', "qzpay.secrets_file = '$file'\n");
$node->reload;
like(as('tok_app', $issue), qr/^F0000 the secrets file cannot be used/, 'the file does not exist');
write_secrets("QZPAY_TOKEN_KEY=$key\n", 0644);
like(as('tok_app', $issue), qr/^F0000/, 'a file that others may read is refused');
write_secrets("QZPAY_TOKEN_KEY=$key\n", 0620);
like(as('tok_app', $issue), qr/^F0000/, 'or write');
write_secrets("no pair\n");
like(as('tok_app', $issue), qr/^F0000/, 'a line that is no pair');
write_secrets("A=b\tc\n");
like(as('tok_app', $issue), qr/^F0000/, 'a control character in a value');
write_secrets('x' x 300000);
like(as('tok_app', $issue), qr/^F0000/, 'a file too large');
unlink $file;
symlink('/dev/zero', $file);
like(as('tok_app', $issue), qr/^F0000/, 'no regular file');
write_secrets("QZPAY_TOKEN_KEY=short\n");
like(as('tok_app', $issue), qr/^55000/, 'a key too short');
write_secrets("OTHER=$key\n");
like(as('tok_app', $issue), qr/^55000/, 'no such key');
write_secrets("# comment\n\n  export QZPAY_TOKEN_KEY='$key'  \r\nSTRIPE_SECRET_KEY=\"sk_test_abcdef0123456789\"\nEMPTY=\n", 0400);

# Tokens
my $token = as('tok_app', $issue);
like($token, qr/^[A-Za-z0-9_-]{98}$/, 'a token');
my $other = as('tok_app', "SELECT qzpay._issue_token('$b', 60)");
isnt($token, $other, 'each tenant its own');
is(as('tok_app', "SELECT qzpay._issue_token('cccccccc-0000-4000-8000-000000000003', 60)"), "QZ404 tenant \"cccccccc-0000-4000-8000-000000000003\" not found", 'no token for a tenant that is not there');
is(as('tok_app', "BEGIN; SELECT FROM qzpay.set_tenant('$b'); $issue"), "QZ404 tenant \"$a\" not found", 'nor for another tenant than the current one');
like(as('tok_app', "SELECT qzpay._issue_token('$a', $_)"), qr/^22023/, "not for $_ seconds") for (0, -1, 86401);
like(as('tok_tenant', $issue), qr/^42501/, 'a tenant issues none');

is(as('tok_tenant', "BEGIN; $who; SELECT FROM qzpay.enter('$token'); $who; COMMIT; $who"), "none\nA\nnone", 'entered for the transaction');
like(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$token'); SELECT FROM qzpay.enter('$other')"), qr/^42501/, 'not twice');
is(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$token'); SELECT FROM qzpay.enter('$token'); $who"), 'A', 'the same again is nothing');
is(as('tok_tenant', "BEGIN; SAVEPOINT s; SELECT FROM qzpay.enter('$token'); ROLLBACK TO s; $who; SELECT FROM qzpay.enter('$other'); $who"), "none\nB", 'a rollback undoes it');
like(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$token'); SELECT qzpay.set_tenant('$b')"), qr/^42501/, 'and the tenant cannot be chosen');
like(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$token'); DECLARE c CURSOR WITH HOLD FOR SELECT * FROM qzpay.tenants; COMMIT"), qr/^QZ004/, 'no cursor is held beyond it');
is(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$token'); DECLARE c CURSOR FOR SELECT name FROM qzpay.tenants; FETCH c; COMMIT"), 'A', 'other cursors end with it');
like(as('tok_tenant', "BEGIN; DECLARE c CURSOR FOR SELECT 1; SELECT qzpay.enter('$token')"), qr/^QZ004/, 'not while a cursor is open');
is(as('tok_bound', "BEGIN; SELECT FROM qzpay.enter('$other'); $who"), 'B', 'a bound role may enter its own');
like(as('tok_bound', "SELECT qzpay.enter('$token')"), qr/^42501/, 'and no other');
is(as('tok_app', "BEGIN; SELECT FROM qzpay.enter('$token'); SELECT FROM qzpay.enter('$other'); $who"), 'B', 'an application may change');

# What is no token, here
like(as('tok_tenant', "SELECT qzpay.enter(" . (defined $_ ? "'$_'" : 'NULL') . ")"), qr/^QZ005 the token is not valid here/, 'refused: ' . ($_ // 'NULL'))
  for (undef, '', 'x', "$token ", substr($token, 0, -1), $token . 'A', "B" . substr($token, 1), '=' x 98);
for my $at (0, 5, 30, 60, 96)
{
	my $forged = $token;
	substr($forged, $at, 1) = substr($forged, $at, 1) eq 'B' ? 'C' : 'B';
	like(as('tok_tenant', "SELECT qzpay.enter('$forged')"), qr/^QZ005/, "forged at $at");
}
my $short = as('tok_app', "SELECT qzpay._issue_token('$a', 1)");
sleep 2;
like(as('tok_tenant', "SELECT qzpay.enter('$short')"), qr/^QZ005 the token has expired/, 'expired');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', "CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install(); INSERT INTO qzpay.tenants VALUES ('$a', 'A', '2026-01-01')");
my ($status, $out, $err) = $node->psql('other', "SET SESSION AUTHORIZATION tok_tenant; SELECT qzpay.enter('$token')");
like($err, qr/not valid here/, 'another installation with the same key');

# A new key counts at once, in a session that has read the old one.
my $session = $node->background_psql('postgres');
$session->query_safe('SET SESSION AUTHORIZATION tok_app');
my $before = $session->query_safe($issue);
write_secrets("QZPAY_TOKEN_KEY=$key\nQZPAY_TOKEN_KEY=" . ('z' x 40) . "\n");
my $after = $session->query_safe($issue);
like(as('tok_tenant', "SELECT qzpay.enter('$before')"), qr/^QZ005/, 'the old key\'s tokens are void');
is(as('tok_tenant', "BEGIN; SELECT FROM qzpay.enter('$after'); $who"), 'A', 'the new one\'s are good; the later line counts');
$session->quit;

# Nobody but superusers sees even where the file is, and nobody its values.
like(as('tok_app', 'SELECT qzpay.current_tenant(); SHOW qzpay.secrets_file'), qr/^42501/, 'the path is for superusers');
like(as('tok_app', "SELECT qzpay.current_tenant(); SET qzpay.secrets_file = '/etc/passwd'"), qr/^55P02/, 'nor can it be set');
like(as('tok_app', "SET qzpay.secrets_file = '/etc/passwd'; $issue"), qr/^[A-Za-z0-9_-]{98}$/m, 'nor by setting it before the library is loaded');
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$key\E|sk_test_abcdef|z{40}/, 'no secret in the log');
like($log, qr/File: \Q$file\E/, 'but the path, for whoever runs the server');
unlike($log, qr/leak|PANIC|TRAP|terminated by signal/, 'nothing leaked');
$node->stop;
done_testing();
