# Without preloading: CALL qzpay.deliver() from a session does the worker's work, also from two sessions at once; nothing live is charged
# before go_live().
use strict;
use warnings;

use IPC::Run qw(start);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QzpayTest;
use Test::More;

start_simulator();
my $node = new_server('deliver');
install_qzpay($node);
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), '', 'the library is not preloaded');

subscriber($node, "one_$_", 'pm_ok') for 1 .. 3;
subscriber($node, 'poor', 'pm_decline');
is($node->safe_psql('billing', q{SELECT string_agg(DISTINCT status::text, ' ') FROM qzpay.payment_attempts}), 'planned', 'nothing is sent by itself');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is($node->safe_psql('billing', q{SELECT string_agg(status::text, ' ' ORDER BY status::text) FROM qzpay.payment_attempts}), 'declined succeeded succeeded succeeded', 'deliver() sends all and settles all');
charged_once($node, 'one charge each');

# What was claimed is sent after its commit only.
subscriber($node, 'hasty', 'pm_ok');
my ($status, undef, $error) = $node->psql('billing', 'BEGIN; SELECT qzpay._deliver_step(); SELECT qzpay._deliver_step(); COMMIT', on_error_stop => 0);
like($error, qr/only after it has committed/, 'a claim is not sent by its own transaction');
is(attempts($node, 'hasty'), 'planned', 'and what was rolled back was not claimed');
like(($node->psql('billing', 'BEGIN; CALL qzpay.deliver(); COMMIT'))[2], qr/invalid transaction termination/, 'deliver() is not for a transaction block');
is(scalar(grep { $_->{kind} eq 'create' } @{ requests() }), 4, 'none of this has sent anything');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'hasty'), 'succeeded', 'a later run finds it');

# A session that ends between claim and send leaves nothing behind for long.
subscriber($node, 'left', 'pm_ok');
$node->safe_psql('billing', 'SELECT qzpay._deliver_step()');
is(attempts($node, 'left'), 'sending', 'claimed, and the session is gone');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'left'), 'succeeded', 'the next run takes it from the dead, without waiting for the lease');

# Two sessions at once
rules({ match => 'any', action => 'delay_after', ms => 50, times => 100000 });
subscriber($node, "many_$_", 'pm_ok') for 1 .. 10;
my @runs = map { start([ 'psql', '-XAtq', '-d', $node->connstr('billing'), '-c', 'CALL qzpay.deliver()' ], '<', \undef, '>', \my $out, '2>', \my $err) } 1 .. 2;
$_->finish for @runs;
is(scalar(grep { $_->result != 0 } @runs), 0, 'two sessions deliver at once');
rules();
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id LIKE 'many_%' AND a.status = 'succeeded' AND a.fence = 1}), '10', 'each attempt is claimed by one of them');
charged_once($node, 'and charged once');

# Keys that the provider has forgotten: what was made is found by our reference, what was not is made afresh after an hour.
rules({ match => 'create', action => 'drop_after', times => 1 });
subscriber($node, 'forgotten', 'pm_ok');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'forgotten'), 'unknown', 'an answer is lost');
simulate('forget_keys');
$node->safe_psql('billing', q{UPDATE qzpay.payment_attempts SET first_sent_at = first_sent_at - interval '60 hours' WHERE status = 'unknown'});
due_now($node);
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'forgotten'), 'unknown', 'too old for its key, it is searched for, but not in the time it was not made in');
simulate('forget_intents');
$node->safe_psql('billing', q{UPDATE qzpay.payment_attempts SET request = jsonb_set(request, '{not_found,at}', to_jsonb((request #>> '{not_found,at}')::timestamptz - interval '2 hours')) WHERE status = 'unknown'});
due_now($node);
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'forgotten'), 'succeeded', 'twice not found, it is made afresh');
is(scalar(grep { $_->{invoice} eq $node->safe_psql('billing', q{SELECT a.invoice_id FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = 'forgotten'}) } @{ ledger() }), 1, 'and charged once');
rules({ match => 'create', action => 'drop_after', times => 1 });
subscriber($node, 'found', 'pm_ok');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
simulate('forget_keys');
$node->safe_psql('billing', q{UPDATE qzpay.payment_attempts SET first_sent_at = first_sent_at - interval '20 hours 1 minute' WHERE status = 'unknown'});
due_now($node);
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'found'), 'succeeded', 'what was made is found by our reference and confirmed');
charged_once($node, 'nothing is charged twice for it');

# The live gate
subscriber($node, 'real', 'pm_ok', live => 1);
is($node->safe_psql('billing', 'SELECT qzpay.is_live()'), 'f', 'a new installation is not live');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'real'), 'planned', 'no live customer is charged');
is($node->safe_psql('billing', 'SELECT qzpay.go_live(); SELECT qzpay.is_live()'), "t\nt", 'go_live() opens the gate');
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'real'), 'unknown', 'then it is; the object of the simulator is a test object, which is noticed');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.events WHERE type = 'alert.raised' AND data ->> 'message' LIKE '%mode'}), '1', 'with an alert');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE billing');
is($node->safe_psql('copy', 'SELECT qzpay.is_live()'), 'f', 'a copy of the database is not live');

# Where calls may go
like(($node->psql('billing', q{UPDATE qzpay.providers SET base_url = 'https://evil.example' WHERE code = 'stripe'}))[2], qr/not in qzpay.provider_hosts/, 'base_url goes to listed hosts only');
like(($node->psql('billing', q{UPDATE qzpay.providers SET base_url = 'http://api.stripe.com' WHERE code = 'stripe'}))[2], qr/plain http/, 'over TLS only');
like(($node->psql('billing', q{UPDATE qzpay.providers SET base_url = 'https://api.stripe.com@evil.example' WHERE code = 'stripe'}))[2], qr/without credentials/, 'however it is spelt');
is($node->safe_psql('billing', q{UPDATE qzpay.providers SET base_url = 'https://API.stripe.com' WHERE code = 'stripe' RETURNING 1}), '1', 'the right one is allowed');

# No secrets, no calls
my $secrets = $node->basedir . '/secrets';
chmod 0644, $secrets or die;
$node->safe_psql('billing', "SET session_replication_role = replica; UPDATE qzpay.providers SET base_url = 'http://127.0.0.1:1' WHERE code = 'stripe'");
subscriber($node, 'open_file', 'pm_ok');
like(($node->psql('billing', 'CALL qzpay.deliver()'))[2], qr/secrets file cannot be used/, 'a secrets file that others may read is not used');
chmod 0600, $secrets or die;
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is(attempts($node, 'open_file'), 'planned', 'a provider that cannot be reached: not sent, planned again');
is($node->safe_psql('billing', q{SELECT a.next_at > qzpay._real_now() + interval '20 seconds' FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = 'open_file'}), 't', 'in a while');
unlink $secrets or die;
$node->append_conf('postgresql.conf', "qzpay.secrets_file = ''\n");
$node->reload;
due_now($node);
$node->safe_psql('billing', 'CALL qzpay.deliver()');
is($node->safe_psql('billing', q{SELECT fence FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = 'open_file'}), '1', 'without secrets nothing is claimed');
$node->stop;
unlike(slurp_file($node->logfile), qr/sk_test/, 'no secret in the server log');
done_testing();
