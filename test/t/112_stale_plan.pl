
# A change of a table makes prepared statements stale: each server prepares them again, and the client's
# batch is sent once more if it can be.

use strict;
use warnings;

use Howdah;
use Test::More;
use Wire;

plan skip_all => 'PgBouncer gives the error to the client' if Howdah->is_pgbouncer;

my $node = Howdah->node('main');
my $h = Howdah->new(node => $node, settings => {pool_mode => 'transaction', default_pool_size => 2, workers => 1})->start;
$node->safe_psql('app', 'create table t (a int); insert into t values (1); grant all on t to app');

sub client { return Wire->to($h)->login(user => 'app', database => 'app'); }
sub change { return $node->safe_psql('app', "alter table t add column c$_[0] int default $_[0]"); }

# As libpq does it: with a description of the portal.  As others do: by what they know already.
sub described { return (Wire::bind('', $_[0], []), Wire::describe('P', ''), Wire::execute(''), Wire::sync()); }
sub blind { return (Wire::bind('', $_[0], []), Wire::execute(''), Wire::sync()); }
sub ask { my ($c, @messages) = @_; $c->send(@messages); return $c->recv_until('Z'); }
sub columns { my ($row) = grep { $_->[0] eq 'D' } @_; return $row ? scalar(Wire::data_row($row->[1])) : 'none'; }
sub code { my $error = Wire::first_error(@_); return $error ? $error->{C} : ''; }

my @clients = map { client() } 1 .. 3;
ask($_, Wire::parse('s', 'select * from t'), Wire::sync()) for @clients;
# Both servers have it.
$_->rows('begin') for @clients[0, 1];
is(columns(ask($_, described('s'))), 1, 'one column') for @clients[0, 1];
$_->rows('commit') for @clients[0, 1];

change(1);
my @answer = ask($clients[0], described('s'));
is(Wire::types(@answer), '2TDCZ', 'a batch that describes its result is sent once more');
is(columns(@answer), 2, '... and the result is the new one');
$_->rows('begin') for @clients[0, 1];
is(columns(ask($_, described('s'))), 2, 'the other server has learned it, too: in a transaction nothing could be sent again') for @clients[0, 1];
$_->rows('commit') for @clients[0, 1];

change(2);
@answer = ask($clients[0], blind('s'));
is(code(@answer), '0A000', 'a client that knows the result from before gets the error');
is((Wire::first_error(@answer))->{M}, 'cached plan must not change result type', '... as from PostgreSQL');
@answer = ask($clients[0], Wire::close_object('S', 's'), Wire::parse('s', 'select * from t'), Wire::describe('S', 's'), Wire::sync());
is(Wire::types(@answer), '31tTZ', '... and prepares anew, as drivers do');
is(columns(ask($clients[0], blind('s'))), 3, '... which helps: on this server');
$_->rows('begin') for @clients[0, 1];
is(columns(ask($clients[$_], described('s'))), 3, '... and on the other') for 0, 1;
$_->rows('commit') for @clients[0, 1];

change(3);
$clients[0]->rows('begin');
is(code(ask($clients[0], described('s'))), '0A000', 'in a transaction the error is the client\'s');
$clients[0]->rows('rollback');
is(columns(ask($clients[0], described('s'))), 4, '... and the next one goes well');

change(4);
@answer = ask($clients[0], Wire::parse('', 'select 1'), Wire::bind('', '', []), Wire::execute(''), described('s'));
is(code(@answer), '0A000', 'behind something that was answered already, too');

change(5);
$clients[2]->send(described('s'), described('s'));
my @first = $clients[2]->recv_until('Z');
my @second = $clients[2]->recv_until('Z');
ok((grep { $_ eq code(@first) } '', '0A000'), 'of a pipeline the first may fail');
is(columns(@second), 6, '... and what follows goes well');

# A statement that cannot be prepared any more
ask($clients[0], Wire::parse('gone', 'select c5 from t'), Wire::sync());
ask($clients[0], described('gone'));
$node->safe_psql('app', 'alter table t drop column c5');
is(code(ask($clients[0], described('gone'))), '42703', 'what is wrong now is told');
is(columns(ask($clients[1], described('s'))), 5, '... and the others go on');

# Under load nobody sees anything
my $stop = 0;
my $errors = 0;
for my $i (6 .. 15) {
    change($i) if $i % 2;
    for my $c (@clients) {
        my @a = ask($c, described('s'));
        $errors++ if code(@a) ne '';
    }
}
is($errors, 0, 'ten changes later nobody has seen an error');
Howdah->finish;
