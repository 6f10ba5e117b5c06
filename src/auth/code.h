/*
 * auth/code.h - the numbers of authentication requests
 *
 * Source:  PostgreSQL docs, protocol-message-formats, the messages that begin with 'R'
 */
#ifndef AUTH_CODE_H
#define AUTH_CODE_H

enum auth_code {
    AUTH_CODE_OK = 0,
    AUTH_CODE_KERBEROS_V5 = 2,
    AUTH_CODE_CLEARTEXT = 3,
    AUTH_CODE_MD5 = 5,
    AUTH_CODE_SCM = 6,
    AUTH_CODE_GSS = 7,
    AUTH_CODE_GSS_CONTINUE = 8,
    AUTH_CODE_SSPI = 9,
    AUTH_CODE_SASL = 10,
    AUTH_CODE_SASL_CONTINUE = 11,
    AUTH_CODE_SASL_FINAL = 12,
};

#endif
