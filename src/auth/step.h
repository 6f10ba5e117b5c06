/*
 * auth/step.h - how far an authentication has come
 */
#ifndef AUTH_STEP_H
#define AUTH_STEP_H

enum auth_step {
    AUTH_CONTINUE, /* the peer's next message is awaited */
    AUTH_OK,
    AUTH_FAILED, /* *err is complete; there is nothing more to feed */
};

#endif
