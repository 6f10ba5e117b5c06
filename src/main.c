/* Options, wiring and the end: the one place that knows everybody. */
#include <event2/event.h>
#include <getopt.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/descriptors.h"
#include "admin/taker.h"
#include "base/daemon.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pidfile.h"
#include "base/systemd.h"
#include "conf/logging.h"
#include "conf/report.h"
#include "conf/sample.h"
#include "conf/settings.h"
#include "session/listen.h"
#include "session/worker.h"
#include "sql/facts.h"

enum { WORKERS_MAX = 64 };

struct options {
    bool daemon, quiet, check, reboot;
    int verbose;
    const char *user; /* borrowed from argv, as all here; NULL: not given */
    const char *file;
};

static const char usage[] =
    "usage: howdah [OPTION]... FILE.ini\n"
    "  -d, --daemon     run in the background (needs the setting pidfile)\n"
    "  -q, --quiet      nothing on standard output and error\n"
    "  -v, --verbose    more in the log\n"
    "  -u, --user=USER  become this user\n"
    "  -R, --reboot     take over from the process that runs with the same file: its sockets, and "
    "its\n"
    "                   clients with their sessions; without one, start as usual\n"
    "      --check      say everything that is wrong with FILE.ini; exit with 1 if anything is\n"
    "  -V, --version    show the version and exit\n"
    "  -h, --help       show this and exit\n";

static void print_version(void)
{
    printf("howdah %s\nlibevent %s\n%s\nsystemd: %s\n", HOWDAH_VERSION, event_get_version(),
           OpenSSL_version(OPENSSL_VERSION), systemd_is_built() ? "yes" : "no");
}

/* What is not a run: ends the process. */
static void run_other(int option)
{
    switch (option) {
    case 'V':
        print_version();
        exit(0);
    case 'h':
        fputs(usage, stdout);
        exit(0);
    case 'S':
        conf_write_sample(stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(1);
    }
}

static struct options read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"daemon", no_argument, NULL, 'd'},  {"quiet", no_argument, NULL, 'q'},
        {"verbose", no_argument, NULL, 'v'}, {"user", required_argument, NULL, 'u'},
        {"check", no_argument, NULL, 'C'},   {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},    {"sample", no_argument, NULL, 'S'},
        {"reboot", no_argument, NULL, 'R'},  {NULL, 0, NULL, 0}};
    struct options options = {0};
    int option;
    while ((option = getopt_long(argc, argv, "dqvu:VhR", longs, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.daemon = true;
            break;
        case 'q':
            options.quiet = true;
            break;
        case 'v':
            options.verbose++;
            break;
        case 'u':
            options.user = optarg;
            break;
        case 'C':
            options.check = true;
            break;
        case 'R':
            options.reboot = true;
            break;
        default:
            run_other(option);
        }
    }
    if (optind != argc - 1)
        run_other('?');
    options.file = argv[optind];
    return options;
}

static void die(const char *what, const char *detail)
{
    log_fatal("%s%s%s", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    exit(1);
}

static struct settings *load(const struct options *options)
{
    struct conf_report report;
    conf_report_init(&report);
    struct settings *settings = settings_load(options->file, &report);
    for (size_t i = 0; i < report.n_notes && !options->quiet; i++)
        fprintf(stderr, "%s: %s\n", report.notes[i].is_error ? "error" : "warning",
                report.notes[i].text);
    conf_report_done(&report);
    if (settings == NULL)
        exit(1);
    if (options->check) {
        if (!options->quiet)
            printf("%s: no errors\n", options->file);
        settings_unref(settings);
        exit(0);
    }
    return settings;
}

static void become(const char *name)
{
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        die("unknown user", name);
    if (user->pw_uid == geteuid())
        return;
    if (initgroups(name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
        die("could not become the user", name);
}

static void leave_root(const struct options *options, const struct settings *settings)
{
    const char *user = options->user != NULL ? options->user : settings->user;
    if (user[0] != '\0')
        become(user);
    if (geteuid() == 0)
        die("howdah does not run as root", "give another user with -u or the setting \"user\"");
}

static int go_to_background(const struct settings *settings)
{
    struct err err;
    int parent;
    if (settings->pidfile[0] == '\0')
        die("--daemon needs the setting \"pidfile\"", NULL);
    if (!daemon_fork(&parent, &err))
        die(err.message, NULL);
    return parent;
}

/* ---- workers ---- */

static unsigned count_workers(const struct settings *settings)
{
    cpu_set_t cpus;
    unsigned n = (unsigned)settings->workers;
    if (n == 0 && sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        n = (unsigned)CPU_COUNT(&cpus);
    if (n == 0)
        n = 1;
    return n < WORKERS_MAX ? n : WORKERS_MAX;
}

static void *run_worker(void *arg)
{
    loop_run(((struct worker *)arg)->loop);
    sql_thread_done();
    return NULL;
}

static void open_workers(struct proxy *proxy, struct settings *settings)
{
    struct err err;
    for (unsigned i = 0; i < proxy->n_workers; i++)
        proxy->workers[i] = worker_new(proxy, i, settings);
    for (unsigned i = 0; i < proxy->n_workers; i++) {
        if (!listen_open(proxy->workers[i], &err))
            die(err.message, NULL);
    }
}

/* Signals are for the main thread, whose loop handles them. */
static void start_workers(struct proxy *proxy)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (unsigned i = 0; i < proxy->n_workers; i++) {
        struct worker *worker = proxy->workers[i];
        char name[16]; /* as ps -L and top -H show it */
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
            die("could not start a thread", NULL);
        snprintf(name, sizeof name, "howdah:%hhu", (unsigned char)i);
        pthread_setname_np(worker->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void end_workers(struct proxy *proxy)
{
    for (unsigned i = 0; i < proxy->n_workers; i++)
        loop_stop(proxy->workers[i]->loop);
    for (unsigned i = 0; i < proxy->n_workers; i++)
        pthread_join(proxy->workers[i]->thread, NULL);
    pools_stop(proxy->pools);
    for (unsigned i = 0; i < proxy->n_workers; i++)
        worker_close(proxy->workers[i]);
    for (unsigned i = 0; i < proxy->n_workers; i++)
        worker_free(proxy->workers[i]);
}

static struct pidfile *write_pidfile(const struct settings *settings)
{
    struct err err;
    if (settings->pidfile[0] == '\0')
        return NULL;
    struct pidfile *pidfile = pidfile_write(settings->pidfile, &err);
    if (pidfile == NULL)
        die(err.message, NULL);
    return pidfile;
}

/* NULL: there is nobody. */
static struct taker *ask_running(const struct settings *settings)
{
    struct err err;
    struct taker *taker = NULL;
    switch (taker_ask(settings, &taker, &err)) {
    case TAKER_REFUSED:
        die(err.message, NULL);
        break;
    case TAKER_NOBODY:
        log_info("there is no process to take over from, starting as usual");
        break;
    case TAKER_LENT:
        break;
    }
    return taker;
}

static struct pidfile *get_pidfile(struct taker *taker, const struct settings *settings)
{
    struct pidfile *inherited = taker != NULL ? taker_pidfile(taker, settings->pidfile) : NULL;
    return inherited != NULL ? inherited : write_pidfile(settings);
}

/* parent: who waits for a daemon, or -1. */
static int serve(struct settings *settings, int n_sockets, int parent, bool reboot)
{
    struct proxy proxy = {.n_workers = count_workers(settings), .n_sockets = n_sockets};
    struct taker *taker = reboot ? ask_running(settings) : NULL;
    if (taker != NULL)
        taker_lend(taker, &proxy);
    if (RAND_bytes(proxy.mock_key, sizeof proxy.mock_key) != 1)
        die("no random numbers", NULL);
    proxy.workers = mem_new_array(proxy.n_workers, sizeof(struct worker *));
    proxy.pools = pools_new(proxy.n_workers, settings->track_extra_parameters);
    open_workers(&proxy, settings);
    proxy.pidfile = get_pidfile(taker, settings);
    struct control *control = control_new(&proxy, settings_ref(settings));
    start_workers(&proxy);
    log_info("process up: howdah %s, libevent %s (%s), adns: libc, tls: %s, workers: %u",
             HOWDAH_VERSION, event_get_version(),
             event_base_get_method(proxy.workers[0]->loop->base), OpenSSL_version(OPENSSL_VERSION),
             proxy.n_workers);
    if (parent >= 0)
        daemon_ready(parent);
    int status = control_run(control, taker);
    end_workers(&proxy);
    control_free(control);
    pools_free(proxy.pools);
    mem_free(proxy.workers);
    pidfile_remove(proxy.pidfile);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);
    struct err err;
    int n_sockets = systemd_take_sockets();
    log_begin(options.quiet, options.verbose);
    struct settings *settings = load(&options);
    signal(SIGPIPE, SIG_IGN);
    hash_init();
    leave_root(&options, settings);
    if (!logging_apply(settings, &err))
        die(err.message, NULL);
    if (!options.reboot && !pidfile_check(settings->pidfile, &err))
        die(err.message, NULL);
    int parent = options.daemon ? go_to_background(settings) : -1;
    descriptors_raise_limit();
    descriptors_log(settings);
    int status = serve(settings, n_sockets, parent, options.reboot);
    settings_unref(settings);
    log_close();
    libevent_global_shutdown();
    return status;
}
