# Backends killed and PostgreSQL restarted while many clients are at work at once: nobody gets an answer that
# is not his, every loss is told once, and who had nothing under way goes on.

use strict;
use warnings;

use Howdah;
use IO::Select;
use Test::More;
use Time::HiRes qw(time);
use Wire;

plan skip_all => 'for howdah' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node,
    settings => {pool_mode => 'transaction', default_pool_size => 4, server_login_retry => 1, query_wait_timeout => 60})->start;
my $limit = 30 * Howdah::slowness();
my ($number, %working) = (0);

# A client with one query under way; of three, one prepares it and one wraps it into a transaction.
sub ask
{
    my ($client) = @_;
    my $nonce = 'n' . ++$number;
    my @messages =
        $number % 3 == 0 ? (Wire::parse("s$number", "select '$nonce'::text"), Wire::bind('', "s$number", []), Wire::execute(''),
            Wire::close_object('S', "s$number"), Wire::sync())
      : $number % 3 == 1 ? (Wire::query("begin; select '$nonce'; commit"))
      :                    (Wire::query("select '$nonce', pg_sleep(0.001)"));
    $working{$client->socket} = {client => $client, nonce => $nonce};
    $client->send(@messages);
    return;
}

sub start_client { return Wire->to($h)->login(user => 'app', database => 'app'); }

# Sixteen clients always at work until so many statements are done; what goes wrong is counted.  The fault
# comes after a third of them.
sub work
{
    my ($enough, $fault) = @_;
    my %count = (done => 0, lost => 0, wrong => 0, twice => 0);
    my $deadline = time + $limit;
    %working = ();
    ask(start_client()) for 1 .. 16;
    while ($count{done} < $enough && time < $deadline) {
        if ($fault && $count{done} > $enough / 3) {
            $fault->();
            $fault = undef;
        }
        my @ready = IO::Select->new(map { $_->{client}->socket } values %working)->can_read(1);
        for my $socket (@ready) {
            my $work = delete $working{$socket};
            my $client = $work->{client};
            my @messages;
            my $closed = 0;
            while (1) {
                my $message = eval { $client->recv($limit) };
                $closed = 1 if !$message;
                last if !$message;
                push @messages, $message;
                last if $message->[0] eq 'Z';
            }
            my $errors = Wire::types(@messages) =~ tr/E//;
            my @values = map { (Wire::data_row($_->[1]))[0] } grep { $_->[0] eq 'D' } @messages;
            $count{wrong}++ if grep { $_ ne $work->{nonce} } @values;
            $count{twice}++ if $errors > 1;
            $closed || $errors ? $count{lost}++ : $count{done}++;
            $client = eval { start_client() } if $closed;
            ask($client) if $client;
        }
    }
    for my $work (values %working) {    # what is still under way is answered, too
        eval { $work->{client}->recv_until('Z', $limit) };
        $work->{client}->close;
    }
    return \%count;
}

sub backends
{
    return split(/\n/, $node->safe_psql('postgres', q(select pid from pg_stat_activity where datname = 'app' order by pid)));
}

my @idle = map { start_client() } 1 .. 8;
$_->value('select 1') for @idle;
$idle[0]->send(Wire::parse('kept', q(select 'kept'::text)), Wire::sync())->recv_until('Z');

sub judge
{
    my ($what, $enough, $most, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    cmp_ok($count->{done}, '>=', $enough, "$what: the work goes on");
    is($count->{wrong}, 0, '... with no answer that belongs to another');
    is($count->{twice}, 0, '... no loss told twice');
    cmp_ok($count->{lost}, '<=', $most, "... and $count->{lost} statements lost, no more than were under way");
    is(scalar(grep { eval { $_->value('select 3', $limit) } // '' eq '3' } @idle), 8, '... clients without a server survive');
    is(Wire::types(eval { $idle[0]->send(Wire::bind('', 'kept', []), Wire::execute(''), Wire::sync())->recv_until('Z', $limit) }),
        '2DCZ', '... and so does a prepared statement');
    return;
}

judge('nothing at all', 1500, 0, work(1500));
judge('one backend terminated', 1500, 1, work(1500, sub {
    $node->safe_psql('postgres', 'select pg_terminate_backend(' . (backends())[0] . ')');
}));
judge('all backends terminated', 1500, 4, work(1500, sub {
    $node->safe_psql('postgres', q(select pg_terminate_backend(pid) from pg_stat_activity where datname = 'app'));
}));
judge('a backend killed, and all with it', 1500, 16, work(1500, sub { kill 'KILL', (backends())[0] }));
judge('PostgreSQL restarted', 1500, 16, work(1500, sub { $node->restart }));

Howdah->finish;
