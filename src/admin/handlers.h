/*
 * admin/handlers.h - what each command does
 *
 * Every one ends with request_done() or request_fail(), at once or later; see admin/session.h.
 */
#ifndef ADMIN_HANDLERS_H
#define ADMIN_HANDLERS_H

struct request;

void show_clients(struct request *request);
void show_servers(struct request *request);
void show_sockets(struct request *request);
void show_active_sockets(struct request *request);
void show_fds(struct request *request);
void show_waiters(struct request *request);
void show_pins(struct request *request);
void show_pin_counts(struct request *request);
void show_routes(struct request *request);
void show_latency(struct request *request);
void show_pools(struct request *request);
void show_lists(struct request *request);
void show_databases(struct request *request);
void show_users(struct request *request);
void show_peers(struct request *request);
void show_peer_pools(struct request *request);
void show_stats(struct request *request);
void show_stats_totals(struct request *request);
void show_stats_averages(struct request *request);
void show_totals(struct request *request);
void show_config(struct request *request);
void show_version(struct request *request);
void show_state(struct request *request);
void show_help(struct request *request);
void show_mem(struct request *request);
void show_dns_hosts(struct request *request);
void show_dns_zones(struct request *request);
void show_nodes(struct request *request);
void show_failovers(struct request *request);
void show_variable(struct request *request);

void act_set(struct request *request);
void act_set_variable(struct request *request);
void act_begin(struct request *request);
void act_end(struct request *request);
void act_reload(struct request *request);
void act_pause(struct request *request);
void act_drain(struct request *request);
void act_resume(struct request *request);
void act_disable(struct request *request);
void act_enable(struct request *request);
void act_suspend(struct request *request);
void act_shutdown(struct request *request);
void act_reconnect(struct request *request);
void act_wait_close(struct request *request);
void act_kill(struct request *request);
void act_eject(struct request *request);
void act_admit(struct request *request);
void act_kill_server(struct request *request);
void act_kill_client(struct request *request);

#endif
