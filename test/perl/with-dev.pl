# with-dev.pl DIR PROGRAM...: run PROGRAM with DIR for its /dev, that is, with DIR/log for its syslog
#
# The device files that a program needs are bound into DIR.  Run by "unshare --mount"; status 77: that
# is not allowed here.

use strict;
use warnings;

require 'syscall.ph';

use constant {MS_BIND => 4096, MS_REC => 16384};

sub bind_mount
{
    my ($from, $to) = @_;
    return if syscall(SYS_mount(), $from, $to, my $type = '', MS_BIND | MS_REC, 0) == 0;
    print STDERR "could not mount $from on $to: $!\n";
    exit 77;
}

my ($dir, @command) = @ARGV;
for my $name (qw(null zero random urandom)) {
    open(my $file, '>', "$dir/$name") or die "$dir/$name: $!";
    bind_mount("/dev/$name", "$dir/$name");
}
mkdir("$dir/shm");
bind_mount('/dev/shm', "$dir/shm");
bind_mount("$dir", '/dev');
exec(@command) or die "$command[0]: $!";
