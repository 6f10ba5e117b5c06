/*
 * session/login.h - what only a client that logs in needs
 *
 * Ownership:  by the client, until its first ReadyForQuery
 * Threading:  the thread of its worker
 */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "pool/params.h"

struct client_auth;
struct opening;
struct startup_param;

struct client_login {
    bool ssl_asked, gss_asked;   /* each may be asked once */
    bool session_mode;           /* a server will be opened for it, or for one that begins alike */
    bool tracked;                /* its session follows it from server to server */
    char *database;              /* owned: as the client named it */
    char *raw[PARAMS_MAX];       /* owned: followed parameters as the client gave them, or NULL */
    struct startup_param *extra; /* owned, as its texts: what else its server shall begin with */
    size_t n_extra;
    struct opening *opening;  /* counted: how its server must have begun; NULL: as any */
    struct client_auth *auth; /* owned */
};

#endif
