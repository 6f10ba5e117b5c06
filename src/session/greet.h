/*
 * session/greet.h - the end of a login: its parameters, its server in session mode, the welcome
 *
 * In transaction and statement mode the welcome is what some server of the pool has said, with the
 * client's own parameters in it as a server spells them; only an unknown spelling needs a server.  In
 * session mode the client gets its server now, as if it had connected to it.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_GREET_H
#define SESSION_GREET_H

struct client;

void greet_begin(struct client *client);          /* it is authenticated, and in its database */
void greet_granted(struct client *client);        /* WELCOME: has a server now */
void greet_parameters_set(struct client *client); /* the server has taken them */

#endif
